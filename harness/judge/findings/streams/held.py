"""Streams: none is cut, and each that was lost is back in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.findings.finding import BACK, CLOSED, Finding
from harness.judge.streams import words
from harness.judge.wording import lasting
from harness.model import Grade, Phase
from harness.scenario.objectives import replacing

if TYPE_CHECKING:
    from harness.judge.findings.case import Case


def closed(case: Case) -> Finding | None:
    """Fail if streams were cut that were not in the baseline, too; None if the run held none."""
    numbers = case.streams
    if numbers is None:
        return None
    ends = ", ".join(f"{name}: {n:,}" for name, n in numbers.ends.items())
    observed = (
        f"{numbers.cut:,} of {words.named(numbers, numbers.held)} cut, {numbers.announced:,} closed cleanly"
    )
    observed += f" ({ends})" if ends else ""
    if not numbers.held:
        return Finding(CLOSED, "no stream was open", Grade.INCONCLUSIVE)
    cut, before_it = numbers.blamed, numbers.cut_before - numbers.limited_before
    if numbers.limit:
        observed += f"; {words.limited(numbers)}"
    if numbers.limited and not cut:
        return Finding(CLOSED, observed, _of_limited(case, numbers.limited))
    if cut and before_it:
        before = f"{before_it:,} in the baseline, too"
        more = "whether that is more than usual is judged with all requests"
        return Finding(CLOSED, f"{observed}; {before}: {more}", Grade.PASS)
    if cut and replacing(case.run.scenario, rollout=case.run.rollout_wanted):
        return Finding(CLOSED, f"{observed}; this run's own objectives say how much may fail", Grade.PASS)
    return Finding(CLOSED, observed, Grade.FAIL if cut else Grade.PASS)


def _of_limited(case: Case, number: int) -> Grade:
    """Grade streams that a limit cut without regard to the rollout: as the baseline would be, had it been longer."""
    run = case.run
    if replacing(run.scenario, rollout=run.rollout_wanted):
        return Grade.PASS
    if not run.rollout_wanted:
        return Grade.FAIL
    since = sum(part.requests for part in case.numbers.parts if part.name in {Phase.DURING, Phase.AFTER})
    return Grade.PASS if number <= run.max_baseline_failures * since else Grade.INCONCLUSIVE


def back(case: Case) -> Finding | None:
    """Fail if a lost stream took longer to come back than allowed; withhold the PASS if one has not had the time."""
    numbers = case.streams
    if numbers is None or not numbers.back_within_ns:
        return None
    objective = f"{BACK} {lasting(numbers.back_within_ns)}"
    if not numbers.lost:
        return Finding(objective, "none was lost", Grade.PASS)
    observed = words.how_soon(numbers)
    if numbers.over or (numbers.away and numbers.away_ns > numbers.back_within_ns):
        late = f"; {numbers.over:,} later than that" if numbers.over else ""
        return Finding(objective, observed + late, Grade.FAIL)
    if numbers.away:
        return Finding(objective, f"{observed}: the load ended before they had to be", Grade.INCONCLUSIVE)
    return Finding(objective, observed, Grade.PASS)
