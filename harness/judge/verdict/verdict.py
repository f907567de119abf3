"""Numbers x objectives -> findings -> the grade. One function per objective; none of them knows the others.

FAIL beats INCONCLUSIVE beats PASS: what makes a run untrustworthy withholds a PASS, but never erases a lost request
that was seen. A run without a rollout is judged as a whole: any failed hit after the warm-up is a FAIL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.judge.findings import (
    answers,
    coverage,
    load,
    objectives,
    pathproof,
    replacing,
    service,
    unanswered,
    untilclose,
)
from harness.judge.findings.case import Case
from harness.judge.findings.finding import Finding
from harness.judge.findings.lost import lost_requests
from harness.judge.findings.streams import held
from harness.judge.verdict.headline import blamed, bound, headline
from harness.model import Grade


@dataclass(frozen=True, slots=True)
class Verdict:
    """The grade, why in one line, all findings, and what a clean run does not prove."""

    grade: Grade
    headline: str  # without the grade
    findings: tuple[Finding, ...]
    lost: int  # failed hits held against the rollout (or the run, without one)
    of: int  # requests from which they are counted
    bound: str
    kinds: dict[str, int] = field(default_factory=dict)  # failed since the trigger, of kinds held against it
    untied: int = 0  # of `lost`: failed during the rollout, but tied to nothing that happened to a pod


Objective = Callable[[Case], Finding | None]

OF_EACH: tuple[Objective, ...] = (
    held.closed,
    held.back,
    service.finding,
    answers.finding,
    service.baseline,
    pathproof.finding,
    coverage.rollout,
    coverage.watch,
    unanswered.finding,
    untilclose.finding,
)
# Findings about the whole run, however many rollouts it made: the generator, the recording, the end.
OF_THE_RUN: tuple[Objective, ...] = (
    load.workers,
    load.paired,
    load.spare,
    load.record,
    load.generator,
    load.together,
    load.held,
    load.hole,
    load.end,
)


def of_the_run(case: Case) -> tuple[Finding, ...]:
    """Judge the objectives of the run as a whole."""
    return _findings(case, OF_THE_RUN)


def decide(case: Case, *, whole: bool = True) -> Verdict:
    """Grade a run, by its own objectives where it has any.

    With `whole` False it is one rollout of several, and the objectives of the run as a whole are left to `of_the_run`.
    """
    lost, _ = lost_requests(case)
    findings = (
        *_findings(case, (replacing.default, replacing.replacement)),
        *(objectives.findings(case, lost) if whole else ()),
        *_findings(case, OF_EACH),
        *(of_the_run(case) if whole else ()),
    )
    grades = {finding.grade for finding in findings}
    grade = next(g for g in (Grade.FAIL, Grade.INCONCLUSIVE, Grade.PASS) if g in grades)
    run, timeline, numbers = case.run, case.timeline, case.numbers
    untied = min(case.untied, lost)
    return Verdict(
        grade=grade,
        headline=headline(
            grade, findings, lost, run, numbers, timeline, case.background, untied, case.streams
        ),
        findings=findings,
        lost=lost,
        of=numbers.requests,
        bound=bound(run, timeline, numbers, case.streams)
        if not lost and grade is not Grade.FAIL and numbers.requests
        else "",
        kinds=blamed(run, numbers, case.background),
        untied=untied,
    )


def _findings(case: Case, asked: Sequence[Objective]) -> tuple[Finding, ...]:
    return tuple(finding for objective in asked if (finding := objective(case)) is not None)
