"""Good answers: without any in a phase, nothing is known of it but that the service did not serve.

What fails after the trigger as it failed before it is not the rollout's; where everything failed before it, that
would excuse everything. So a PASS needs good answers before, during and after the rollout, whatever the objectives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.finding import ANSWERED, Finding
from harness.judge.wording import lasting
from harness.model import Grade, Mark, Phase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.hits import Hits
    from harness.judge.summary import Numbers, Part
    from harness.judge.timeline import Timeline

_NAMES = {
    Phase.BEFORE: "before the trigger",
    Phase.DURING: "during the rollout",
    Phase.AFTER: "after the rollout",
}


@dataclass(frozen=True, slots=True)
class Usual:
    """How long good requests take, and how long it is from one to the next, by those that ended before the trigger."""

    slowest_ns: int = 0
    wait_ns: int = 0  # the longest time without the end of one


def usual(hits: Hits, timeline: Timeline) -> Usual:
    """Measure it. The warm-up's are slow by themselves; those that end after the trigger may be slow because of it."""
    begun, done = hits.begun_ns, hits.done_ns
    from_ns = timeline.judged.from_ns
    end_ns = timeline.zero_ns if timeline.triggered else timeline.load.to_ns
    # In a lull nothing is sent: it is no wait for an answer.
    lulls = [m.t_ns for m in timeline.marks if m.mark is Mark.LULL and from_ns < m.t_ns < end_ns]
    end_ns = min([*lulls, end_ns])
    good: NDArray[np.bool_] = hits.good & (begun >= from_ns) & (done < end_ns)
    if not good.any():
        return Usual()
    edges = np.concatenate(([from_ns], np.sort(done[good]), [end_ns]))
    return Usual(slowest_ns=int((done[good] - begun[good]).max()), wait_ns=int(np.diff(edges).max()))


def finding(numbers: Numbers, known: Usual, *, rollout: bool) -> Finding | None:
    """Withhold the PASS where a phase has no good answer; None where each has some.

    A phase of *during* or *after* in which nothing ended at all, and which is shorter than what it may take until
    something does, shows nothing: its requests are answered later.
    """
    if not numbers.requests:
        return Finding(ANSWERED, "not one request ended after the warm-up", Grade.INCONCLUSIVE)
    parts = [(phase, part) for phase in _NAMES if (part := numbers.part(phase)) is not None]
    bare = [
        f"no good answer {_NAMES[phase] if rollout else 'in the whole run'} ({_instead(part)})"
        for phase, part in parts
        if not _good(part) and not (phase is not Phase.BEFORE and _too_short(part, known))
    ]
    return Finding(ANSWERED, "; ".join(bare), Grade.INCONCLUSIVE) if bare else None


def _good(part: Part) -> int:
    return part.requests - part.failed


def _too_short(part: Part, known: Usual) -> bool:
    return not part.failed and part.to_ns - part.from_ns <= max(known.slowest_ns, known.wait_ns)


def _instead(part: Part) -> str:
    took = lasting(part.to_ns - part.from_ns)
    return f"{took}, {f'all {part.failed:,} failed' if part.failed else 'no request ended'}"
