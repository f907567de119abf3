"""Requests without an answer: in flight when the load ended, so neither good nor failed.

One that began before the rollout was over may have been lost to it. One that began later means nothing if requests
usually take that long; otherwise it is probably a loss, however short the drain. If nothing at all was answered at
the end, the service was gone, even if the rollout counts as settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.findings.finding import NONE_OUT, Finding
from harness.judge.numbers.sending import LAG_LIMIT_NS
from harness.judge.wording import count, lasting
from harness.model import NEVER, Grade, Phase

if TYPE_CHECKING:
    from harness.judge.findings.case import Case
    from harness.judge.numbers.usual import Unanswered

LATE_NS = 5 * NS  # an outage has requests in flight for longer than this
OUTAGE_NS = 2 * LATE_NS  # a silence is an outage when it lasts longer than this
OUTAGE_TIMES_USUAL = 3  # and than this many times the slowest good request


def finding(case: Case) -> Finding | None:
    """Judge them. A silence is due to the service only if the generator itself was awake (see its own lag)."""
    out, numbers, timeline = case.unanswered, case.numbers, case.timeline
    if out is None or not numbers.cut:
        return None
    objective = NONE_OUT
    observed = (
        f"{count(numbers.cut, 'request')} still out when the load was over "
        f"(oldest {lasting(numbers.cut_oldest_ns)})"
    )
    end_ns = timeline.load.to_ns
    awake = all(
        s.lag_p99_ns <= LAG_LIMIT_NS for s in case.health if end_ns - out.silent_ns < s.t_ns <= end_ns
    )
    old = numbers.cut_oldest_ns > max(out.usual_ns, LATE_NS)
    if out.silent_ns > max(OUTAGE_TIMES_USUAL * out.usual_ns, OUTAGE_NS) and old and awake:
        last = f"no request was answered in the last {lasting(out.silent_ns)} of the load; {_before(out)}"
        return Finding(objective, f"{last}; {observed}", Grade.FAIL)
    during = timeline.phase(Phase.DURING)
    until_ns = timeline.judged.to_ns if not case.run.rollout_wanted else during.to_ns if during else NEVER
    if out.begun_ns < until_ns:
        return Finding(objective, observed, Grade.INCONCLUSIVE)
    if out.late:
        return Finding(objective, f"{observed}; {_before(out)}", Grade.INCONCLUSIVE)
    return Finding(objective, f"{observed}, which is normal for such a request", Grade.PASS)


def _before(out: Unanswered) -> str:
    if not out.usual_ns:
        return "before that, none got a good answer"
    return f"before that, no good answer took over {lasting(out.usual_ns)}"
