"""How long good answers take, and against that: what was still out at the end, or had hung before the trigger.

One request may take longer than the slowest of so many, so one that is still out is late beyond TIMES_USUAL of that:
of services whose times vary as those of an exponential distribution, fewer than 1 in 100 clean runs have such a
request in flight at their end, even with no drain at all. That half of all slots are out for longer than anything
before is no accident, and needs no such margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import TIMEOUTS, kind_name
from harness.judge.numbers.piecewise.gaps import LongestWait
from harness.model import NEVER, Mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.timeline import Timeline

TIMES_USUAL = 2  # one is late that is out for longer than so many of the slowest good requests before
FEW = 3  # fewer than this are not "half of all slots"
NOISE_NS = 100_000_000  # nothing is late that this host itself may have delayed: twice the lag that counts as saturated


# Nobody answered until a timer ended: this client's own, or a balancer's. What is reset was ended by somebody.
BY_TIMER = frozenset({"504", *(outcome.value for outcome in TIMEOUTS)})
SURELY_NS = 2 * NS  # a change that is only observed may have begun so long before it was seen


@dataclass(frozen=True, slots=True)
class Usual:
    """How long good requests take, and how long it is from one to the next, by those that ended before the trigger."""

    slowest_ns: int = 0
    wait_ns: int = 0  # the longest time without the end of one


def usual(hits: AllHits, timeline: Timeline) -> Usual:
    """Measure it. The warm-up's are slow by themselves; those that end after the trigger may be slow because of it."""
    from_ns = timeline.judged.from_ns
    end_ns = timeline.zero_ns if timeline.triggered else timeline.load.to_ns
    # In a lull nothing is sent: it is no wait for an answer.
    lulls = [m.t_ns for m in timeline.marks if m.mark is Mark.LULL and from_ns < m.t_ns < end_ns]
    end_ns = min([*lulls, end_ns])
    wait, slowest_ns = LongestWait(from_ns), None
    for piece in hits.pieces(since_ns=from_ns, until_ns=end_ns):
        good = piece.good & (piece.begun_ns >= from_ns) & (piece.done_ns < end_ns)
        if good.any():
            wait.add(piece.done_ns[good])
            slowest_ns = max(slowest_ns or 0, int(piece.took_ns[good].max()))
    if slowest_ns is None:
        return Usual()
    return Usual(slowest_ns=slowest_ns, wait_ns=wait.until(end_ns))


def longest_ns(hits: AllHits, timeline: Timeline) -> int:
    """Return the longest that a request took that was begun after the warm-up and before the trigger, and answered
    well; else 0.

    Also where it ended after the trigger: a service whose slowest requests outlast the baseline would else look quick.
    """
    from_ns, zero_ns = timeline.judged.from_ns, timeline.zero_ns
    longest = 0
    for piece in hits.pieces(since_ns=from_ns, until_ns=zero_ns):
        good = piece.good & (piece.begun_ns >= from_ns) & (piece.begun_ns < zero_ns)
        longest = max(longest, int(piece.took_ns[good].max(initial=0)))
    return longest


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The hits that were still out when the load was over. Times on the run's clock."""

    begun_ns: int  # when the first of them began
    late: int  # of those: out for longer than what is usual
    usual_ns: int  # the slowest good request after the warm-up and before the trigger, if there is one
    silent_ns: int  # how long nothing had been answered well when the load ended


def unanswered(hits: AllHits, timeline: Timeline, usual_ns: int, slots: int) -> Unanswered | None:
    """Gather what was left out; None where nothing was. `usual_ns` is the slowest good request before the trigger."""
    cut = hits.cut
    if not len(cut):
        return None
    end_ns = timeline.load.to_ns
    last_ns = NEVER
    for piece in hits.pieces(until_ns=end_ns):
        last_ns = max(last_ns, int(piece.done_ns[piece.good & (piece.done_ns <= end_ns)].max(initial=NEVER)))
    return Unanswered(
        begun_ns=int(cut.begun_ns.min()),
        late=late(cut.took_ns, usual_ns, slots),
        usual_ns=usual_ns,
        silent_ns=end_ns - last_ns if last_ns != NEVER else timeline.load.length_ns,
    )


def late(ages_ns: NDArray[np.int64], usual_ns: int, slots: int) -> int:
    """Count those that have been out for longer than what is usual, with the margins above."""
    longer = int((ages_ns > max(usual_ns, NOISE_NS)).sum())
    if longer >= FEW and 2 * longer >= slots:
        return longer
    return int((ages_ns > max(TIMES_USUAL * usual_ns, NOISE_NS)).sum())


def hung(hits: AllHits, lost: Hits, timeline: Timeline) -> NDArray[np.bool_]:
    """Tell which lost hits had been out for longer than any good answer takes when the trigger came.

    The rollout is not why they failed: the end of a timer, after the trigger, only told of it.
    """
    timers = [code for code in np.unique(lost.kind).tolist() if kind_name(code) in BY_TIMER]
    found: NDArray[np.bool_] = np.isin(lost.kind, timers)
    if not found.any():
        return found
    slowest_ns = usual(hits, timeline).slowest_ns
    if not slowest_ns:
        return np.zeros(len(lost), dtype=bool)
    return found & (lost.begun_ns < timeline.zero_ns - max(TIMES_USUAL * slowest_ns, SURELY_NS))
