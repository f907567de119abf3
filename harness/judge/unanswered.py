"""Requests that never got an answer: still out when the load was over, so neither good nor failed. What do they mean?

One that began before the rollout was over may have been lost to it. One that began later is no matter where such times
are usual, and a loss in all likelihood where they are not, however short the drain. And where nothing at all was answered
any more, the service was gone, whatever the clock of the run says of settling.

Usual is what good requests took before the trigger. One request may take longer than the slowest of so many, so one that
is still out is late beyond TIMES_USUAL of that: of services whose times vary as those of an exponential distribution,
fewer than 1 in 100 clean runs have such a request in flight at their end, even with no drain at all. That half of all slots
are out for longer than anything before is no accident, and needs no such margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.finding import NONE_OUT, Finding
from harness.judge.wording import count, lasting
from harness.model import NEVER, Grade, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from harness.judge.hits import Hits
    from harness.judge.summary import Numbers
    from harness.judge.timeline import Timeline
    from harness.model import HealthSample

TIMES_USUAL = 2  # one is late that is out for longer than so many of the slowest good requests before
FEW = 3  # fewer than this are not "half of all slots"
NOISE_NS = 100_000_000  # nothing is late that this host itself may have delayed: twice the lag that counts as saturated
LATE_NS = 5 * NS  # an outage has requests that are out for longer than this
OUTAGE_NS = 2 * LATE_NS  # a silence is an outage when it lasts longer than this
OUTAGE_TIMES_USUAL = 3  # and than so many of the slowest good requests


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
    """Count those that have been out for longer than what is usual, with the margins told above."""
    longer = int((ages_ns > max(usual_ns, NOISE_NS)).sum())
    if longer >= FEW and 2 * longer >= slots:
        return longer
    return int((ages_ns > max(TIMES_USUAL * usual_ns, NOISE_NS)).sum())


def finding(
    out: Unanswered | None,
    numbers: Numbers,
    timeline: Timeline,
    health: Iterable[HealthSample],
    *,
    rollout: bool,
    lag_limit_ns: int,
) -> Finding | None:
    """Judge them. A silence is the service's only where the generator itself was awake: see its own lag."""
    if out is None or not numbers.cut:
        return None
    objective = NONE_OUT
    observed = f"{count(numbers.cut, 'request')} still out when the load was over (oldest {lasting(numbers.cut_oldest_ns)})"
    end_ns = timeline.load.to_ns
    awake = all(s.lag_p99_ns <= lag_limit_ns for s in health if end_ns - out.silent_ns < s.t_ns <= end_ns)
    old = numbers.cut_oldest_ns > max(out.usual_ns, LATE_NS)
    if out.silent_ns > max(OUTAGE_TIMES_USUAL * out.usual_ns, OUTAGE_NS) and old and awake:
        last = f"no request was answered in the last {lasting(out.silent_ns)} of the load; {_before(out)}"
        return Finding(objective, f"{last}; {observed}", Grade.FAIL)
    during = timeline.phase(Phase.DURING)
    until_ns = timeline.judged.to_ns if not rollout else during.to_ns if during else NEVER
    if out.begun_ns < until_ns:
        return Finding(objective, observed, Grade.INCONCLUSIVE)
    if out.late:
        return Finding(objective, f"{observed}; {_before(out)}", Grade.INCONCLUSIVE)
    return Finding(objective, f"{observed}, as such a request takes that long", Grade.PASS)


def _before(out: Unanswered) -> str:
    if not out.usual_ns:
        return "before, none was answered well"
    return f"before, no good answer took over {lasting(out.usual_ns)}"
