"""What the test did to itself: hits that failed because this host had no port or no descriptor left. Nobody's fault but ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.finding import SPARE, Finding
from harness.judge.wording import count
from harness.model import Grade, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.judge.summary import Numbers

OWN_FAULT = frozenset({Outcome.NO_LOCAL_PORT.value, Outcome.NO_DESCRIPTOR.value})


def own(kinds: Mapping[str, int]) -> int:
    """Count those of our own making among failed hits by kind."""
    return sum(n for kind, n in kinds.items() if kind in OWN_FAULT)


def of_the_host(numbers: Numbers) -> Finding | None:
    """Withhold the PASS where the host could not send; None where it always could."""
    kinds = {kind.kind: kind.count for kind in numbers.kinds if kind.kind in OWN_FAULT}
    if not kinds:
        return None
    told = ", ".join(f"{kind}: {n:,}" for kind, n in kinds.items())
    mend = (
        "raise `ulimit -n`" if Outcome.NO_DESCRIPTOR.value in kinds else "widen net.ipv4.ip_local_port_range"
    )
    return Finding(
        SPARE,
        f"{count(sum(kinds.values()), 'request')} could not be sent ({told}): {mend}",
        Grade.INCONCLUSIVE,
    )
