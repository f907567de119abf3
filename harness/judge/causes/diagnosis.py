"""What the rollout has no part in: failures as frequent before the trigger, and what they look like; and what nothing
explains.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.balancers.meaning import BROKEN
from harness.judge.causes.matching import NOT_THE_ROLLOUT
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Numbers

_AGAIN = 5  # seconds with a failure
FAST_NS = NS // 4  # a balancer that finds its connection closed says so at once
_DIAGNOSES = {
    "C2": (
        "C2: fast failures all the time: idle connections are closed under the balancer's hands; the app's keep-alive"
        " must outlast the balancer's idle timeout (or a backend is unhealthy, or the balancer has no port left to"
        " its backends: its error log tells)"
    ),
    "C7": (
        "C7: answers that never come all the time: requests outlast the balancer's idle timeout, or a backend hangs"
    ),
    "D7": (
        "D7: readiness flaps all the time: no endpoint was left, though nobody had deleted a pod; the readinessProbe"
        " needs a timeoutSeconds and a failureThreshold that load does not break, and nothing that all pods share"
    ),
    "E1": "E1: this client gave up: its --timeout is shorter than what some requests take",
}


def diagnosis_of(
    lost: Hits, mask: NDArray[np.bool_], meanings: NDArray[np.int64], flapped: NDArray[np.bool_]
) -> str:
    """Say what failures that the rollout has no part in look like: by their most frequent kind, and how long they took.

    `meanings`: of each hit, as sums of Meaning. A 503 that can only mean a broken connection is what others call 502.
    `flapped`: the hits that found no endpoint because readiness had failed.
    """
    if 2 * int((mask & flapped).sum()) > int(mask.sum()):
        return "D7"
    kind = next(iter(lost.counts(mask)))
    if kind in {"read_timeout_headers", "read_timeout_body", "write_timeout", "connect_timeout"}:
        return "E1"  # this client gave up
    if kind == "504":
        return "C7"
    return "C2" if idle_close(lost, mask, meanings) else ""


def idle_close(lost: Hits, mask: NDArray[np.bool_], meanings: NDArray[np.int64]) -> bool:
    """Whether most of these failed as on connections that were just being closed: broken, and at once."""
    kind = next(iter(lost.counts(mask)))
    took_ns = int(np.median((lost.done_ns - lost.begun_ns)[mask]))
    quick = {"502", "idle_close_race", "eof_before_response", "reset_before_response", "write_reset"}
    broken = bool(np.median(((meanings != 0) & (meanings & ~int(BROKEN) == 0))[mask]))
    return (kind in quick or broken) and took_ns < FAST_NS


def here_and_there(done_ns: NDArray[np.int64]) -> bool:
    """Whether failures come singly and again and again, as nothing that happens once to a pod makes them."""
    singly = np.unique(done_ns // NS)
    return len(singly) >= _AGAIN and 2 * len(singly) >= len(done_ns)


def plain(label: str, diagnosis: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the fixes of a label that is no cause."""
    if label == NOT_THE_ROLLOUT:
        return "as frequent before the trigger: not the rollout", ()
    if diagnosis:
        return f"no rule fits; it looks like {diagnosis}, see its evidence", ()
    return "no rule fits: see timeline.png and the balancer's log for these seconds", ()


def plain_evidence(
    label: str, lost: Hits, mask: NDArray[np.bool_], numbers: Numbers, diagnosis: str
) -> list[str]:
    """Return how often each kind failed before the trigger and since, and what that looks like."""
    kinds = lost.counts(mask)
    baseline = numbers.baseline
    if label != NOT_THE_ROLLOUT and diagnosis:
        return [
            f"looks like {_DIAGNOSES[diagnosis]}",
            "a longer baseline would show whether it does so without a rollout",
        ]
    if label != NOT_THE_ROLLOUT or baseline is None:
        return []
    window = lasting(baseline.to_ns - baseline.from_ns)
    frequencies = [
        f"{kind}: {count(n)} since the trigger, {count(baseline.kinds.get(kind, 0))} in the {window} before it"
        for kind, n in kinds.items()
    ]
    backend = _backend(lost, mask)
    return [*frequencies, *([_DIAGNOSES[diagnosis]] if diagnosis else []), *([backend] if backend else [])]


def _backend(lost: Hits, mask: NDArray[np.bool_]) -> str:
    """Say which pods answered themselves what was not expected, where most of these answers named theirs; ""
    otherwise.
    """
    named = Counter(str(pod) for pod in lost.names("pod")[mask] if pod)
    if 2 * sum(named.values()) < int(mask.sum()):
        return ""
    pods = ", ".join(f"{pod}: {n:,}" for pod, n in named.most_common(3))
    return f"an unhealthy backend: the pods answered so themselves ({pods})"
