"""Requests that never got an answer: still out when the load was over, so neither good nor failed. What do they mean?

One that began before the rollout was over may have been lost to it. One that began later is out for as long as the drain
at least: that is no matter where such times are usual, and a loss in all likelihood where they are not. And where nothing
at all was answered any more, the service was gone, whatever the clock of the run says of settling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.headline import Finding
from harness.judge.wording import count, lasting
from harness.model import NEVER, Grade, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.judge.hits import Hits
    from harness.judge.summary import Numbers
    from harness.judge.timeline import Timeline
    from harness.model import HealthSample

LATE_NS = 5 * NS  # what takes longer than this and longer than anything before the trigger is late
OUTAGE_NS = 2 * LATE_NS  # a silence is an outage when it lasts longer than this
OUTAGE_TIMES_USUAL = 3  # and than so many of the slowest good requests


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The hits that were still out when the load was over. Times on the run's clock."""

    begun_ns: int  # when the first of them began
    late: int  # of those: out for longer than what is usual, and longer than LATE_NS
    usual_ns: int  # the slowest good request after the warm-up and before the trigger, if there is one
    silent_ns: int  # how long nothing had been answered well when the load ended


def unanswered(hits: Hits, timeline: Timeline) -> Unanswered | None:
    """Gather what was left out; None where nothing was."""
    cut = hits.cut
    if not cut.any():
        return None
    begun, done = hits.begun_ns, hits.done_ns
    age = done[cut] - begun[cut]
    before = hits.good & (begun >= timeline.judged.from_ns)  # the warm-up's are slow by themselves
    if timeline.triggered:
        before &= begun < timeline.zero_ns
    usual = int((done[before] - begun[before]).max(initial=0))
    end_ns = timeline.load.to_ns
    good = done[hits.good & (done <= end_ns)]
    return Unanswered(
        begun_ns=int(begun[cut].min()),
        late=int((age > max(usual, LATE_NS)).sum()),
        usual_ns=usual,
        silent_ns=end_ns - int(good.max()) if len(good) else timeline.load.length_ns,
    )


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
    objective = "no request is still out at the end"
    observed = f"{count(numbers.cut, 'request')} still out when the load was over (oldest {lasting(numbers.cut_oldest_ns)})"
    end_ns = timeline.load.to_ns
    awake = all(s.lag_p99_ns <= lag_limit_ns for s in health if end_ns - out.silent_ns < s.t_ns <= end_ns)
    if out.silent_ns > max(OUTAGE_TIMES_USUAL * out.usual_ns, OUTAGE_NS) and out.late and awake:
        last = f"no request was answered in the last {lasting(out.silent_ns)} of the load; before, none took over {lasting(out.usual_ns)}"
        return Finding(objective, f"{last}; {observed}", Grade.FAIL)
    during = timeline.phase(Phase.DURING)
    until_ns = timeline.judged.to_ns if not rollout else during.to_ns if during else NEVER
    if out.begun_ns < until_ns:
        return Finding(objective, observed, Grade.INCONCLUSIVE)
    if out.late:
        more = f"{observed}; before, none took over {lasting(out.usual_ns)}"
        return Finding(objective, more, Grade.INCONCLUSIVE)
    return Finding(objective, f"{observed}, as such a request takes that long", Grade.PASS)
