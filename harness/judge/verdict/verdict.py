"""Numbers x objectives -> findings -> the grade. One function per objective; none of them knows the others.

FAIL beats INCONCLUSIVE beats PASS: what makes a run untrustworthy withholds a PASS and never erases a lost
request that was seen. A run without a rollout is judged whole: any failed hit after the warm-up is a FAIL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge.findings import answers, coverage, objectives, pathproof, service, unanswered
from harness.judge.findings.finding import Finding  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.findings.load import LAG_LIMIT_NS, of_the_run
from harness.judge.findings.lost import lost_requests
from harness.judge.findings.replacing import replaced
from harness.judge.verdict.headline import bound, headline
from harness.model import Grade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.findings.answers import Usual
    from harness.judge.findings.unanswered import Unanswered
    from harness.judge.numbers.background import Background
    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.sending import Sending
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline
    from harness.model import HealthSample, RunRecord


@dataclass(frozen=True, slots=True)
class Verdict:
    """The grade, why in one line, all findings, and what a clean run does not prove."""

    grade: Grade
    headline: str  # without the grade
    findings: tuple[Finding, ...]
    lost: int  # failed hits held against the rollout (or the run, without one)
    of: int  # requests among which they are counted
    bound: str


def decide(
    *,
    run: RunRecord,
    timeline: Timeline,
    numbers: Numbers,
    health: Sequence[HealthSample],
    workers: Sequence[int],
    out: Unanswered | None,
    background: Background,
    usual: Usual,
    measured: Measured | None = None,
    whole: bool = True,
    sent: Sending | None = None,
    doubts: Sequence[Finding | None] = (),
) -> Verdict:
    """Grade a run, by its own objectives where it has any. `out` are the hits that were still out at the end.

    `usual` is what good answers take before the trigger.
    `doubts` are findings about the answers themselves, made where the hits are at hand.

    With `whole` False it is one rollout of several, and what is asked of the run as a whole is left to `of_the_run`.
    """
    lost, against = lost_requests(run, timeline, numbers, background)
    default = replaced(
        run,
        numbers,
        against,
        lambda left: lost_requests(run, timeline, left, background.within(left.parts))[1],
    )
    own = objectives.findings(run, numbers, measured, lost) if whole else ()
    findings = [
        *default,
        *own,
        service.finding(run),
        answers.finding(numbers, usual, rollout=run.rollout_wanted),
    ]
    if run.rollout_wanted:
        findings += [
            service.baseline(run, numbers),
            pathproof.finding(run, timeline, numbers),
            coverage.rollout(run, timeline),
            coverage.watch(run, timeline),
        ]
    findings.append(
        unanswered.finding(
            out, numbers, timeline, health, rollout=run.rollout_wanted, lag_limit_ns=LAG_LIMIT_NS
        )
    )
    findings += doubts
    if whole:
        findings += of_the_run(run, timeline, numbers, health, workers, sent)
    kept = tuple(finding for finding in findings if finding is not None)
    grades = {finding.grade for finding in kept}
    grade = next(g for g in (Grade.FAIL, Grade.INCONCLUSIVE, Grade.PASS) if g in grades)
    return Verdict(
        grade=grade,
        headline=headline(grade, kept, lost, run, numbers, timeline),
        findings=kept,
        lost=lost,
        of=numbers.requests,
        bound=bound(run, timeline, numbers)
        if not lost and grade is not Grade.FAIL and numbers.requests
        else "",
    )
