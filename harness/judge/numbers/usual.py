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
from harness.model import Mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
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


def longest_ns(hits: Hits, timeline: Timeline) -> int:
    """Return the longest that a request took that was begun after the warm-up and before the trigger, and answered
    well; else 0.

    Also where it ended after the trigger: a service whose slowest requests outlast the baseline would else look quick.
    """
    begun = hits.begun_ns
    good: NDArray[np.bool_] = hits.good & (begun >= timeline.judged.from_ns) & (begun < timeline.zero_ns)
    return int((hits.done_ns[good] - begun[good]).max(initial=0))


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The hits that were still out when the load was over. Times on the run's clock."""

    begun_ns: int  # when the first of them began
    late: int  # of those: out for longer than what is usual
    usual_ns: int  # the slowest good request after the warm-up and before the trigger, if there is one
    silent_ns: int  # how long nothing had been answered well when the load ended


def unanswered(hits: Hits, timeline: Timeline, usual_ns: int, slots: int) -> Unanswered | None:
    """Gather what was left out; None where nothing was. `usual_ns` is the slowest good request before the trigger."""
    cut = hits.cut
    if not cut.any():
        return None
    begun, done = hits.begun_ns, hits.done_ns
    end_ns = timeline.load.to_ns
    good = done[hits.good & (done <= end_ns)]
    return Unanswered(
        begun_ns=int(begun[cut].min()),
        late=late(done[cut] - begun[cut], usual_ns, slots),
        usual_ns=usual_ns,
        silent_ns=end_ns - int(good.max()) if len(good) else timeline.load.length_ns,
    )


def late(ages_ns: NDArray[np.int64], usual_ns: int, slots: int) -> int:
    """Count those that have been out for longer than what is usual, with the margins above."""
    longer = int((ages_ns > max(usual_ns, NOISE_NS)).sum())
    if longer >= FEW and 2 * longer >= slots:
        return longer
    return int((ages_ns > max(TIMES_USUAL * usual_ns, NOISE_NS)).sum())


def hung(hits: Hits, lost: Hits, timeline: Timeline) -> NDArray[np.bool_]:
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
