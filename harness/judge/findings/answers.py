"""Good answers: a phase without any shows only that the service did not serve.

Failures after the trigger that are as frequent as before it are not due to the rollout. If everything failed before,
that would excuse everything. So a PASS needs good answers before, during and after the rollout, whatever the
objectives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.findings.finding import ANSWERED, Finding
from harness.judge.wording import lasting
from harness.model import Grade, Phase

if TYPE_CHECKING:
    from harness.judge.findings.case import Case
    from harness.judge.numbers.summary import Part
    from harness.judge.numbers.usual import Usual

_NAMES = {
    Phase.BEFORE: "before the trigger",
    Phase.DURING: "during the rollout",
    Phase.AFTER: "after the rollout",
}


def finding(case: Case) -> Finding | None:
    """Withhold the PASS if a phase has no good answer; None if each has some.

    A *during* or *after* in which no request ended is ignored if it is shorter than requests may take: they are
    answered later.
    """
    numbers, rollout = case.numbers, case.run.rollout_wanted
    if not numbers.requests:
        return Finding(ANSWERED, "no request ended after the warm-up", Grade.INCONCLUSIVE)
    parts = [(phase, part) for phase in _NAMES if (part := numbers.part(phase)) is not None]
    bare = [
        f"no good answer {_NAMES[phase] if rollout else 'in the whole run'} ({_instead(part)})"
        for phase, part in parts
        if not _good(part) and not (phase is not Phase.BEFORE and _too_short(part, case.usual))
    ]
    return Finding(ANSWERED, "; ".join(bare), Grade.INCONCLUSIVE) if bare else None


def _good(part: Part) -> int:
    return part.requests - part.failed


def _too_short(part: Part, known: Usual) -> bool:
    return not part.failed and part.to_ns - part.from_ns <= max(known.slowest_ns, known.wait_ns)


def _instead(part: Part) -> str:
    took = lasting(part.to_ns - part.from_ns)
    return f"{took}, {f'all {part.failed:,} failed' if part.failed else 'no request ended'}"
