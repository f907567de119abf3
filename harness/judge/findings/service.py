"""Whether the service was up: in the baseline, and for as long as the load lasted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.findings.finding import BASELINE, UP, Finding
from harness.judge.streams.words import limited
from harness.judge.wording import share
from harness.model import Grade, Phase

if TYPE_CHECKING:
    from harness.judge.findings.case import Case


def finding(case: Case) -> Finding | None:
    """Fail if the run stopped the load because the service was gone."""
    if case.run.ended_by != "service_down":
        return None
    return Finding(UP, "over half of all requests failed for 30 s; the load was stopped", Grade.FAIL)


def baseline(case: Case) -> Finding | None:
    """Withhold the PASS if more requests failed before the trigger than is allowed."""
    run, numbers = case.run, case.numbers
    if not run.rollout_wanted:
        return None
    objective = f"{BASELINE} (at most {100 * run.max_baseline_failures:g} % fail before the trigger)"
    part = numbers.part(Phase.BEFORE)
    if part is None or not part.requests:
        return Finding(objective, "nothing was measured before the trigger", Grade.INCONCLUSIVE)
    observed = f"{part.failed:,} of {part.requests:,} failed ({share(part.failed, part.requests)})"
    if case.streams is not None and (case.streams.limited_before or not case.timeline.triggered):
        why = limited(case.streams)
        observed += f"; {why}" if why else ""
    sound = part.failed <= run.max_baseline_failures * part.requests and run.ended_by != "baseline_unsound"
    if not sound and run.ended_by == "baseline_unsound":
        observed += "; nothing was changed"
    return Finding(objective, observed, Grade.PASS if sound else Grade.INCONCLUSIVE)
