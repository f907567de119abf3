"""The default objective, where the run has objectives of its own that say how much may fail.

Only an objective that bounds the failed requests of all kinds replaces the default, and only in the phases that it
speaks of: what is lost in a phase that nothing bounds is held against the rollout as ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.findings.finding import REPLACED, Finding
from harness.judge.findings.lost import lost_requests
from harness.judge.numbers.hits import own_faults
from harness.model import Grade
from harness.scenario.objectives import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.findings.case import Case


def default(case: Case) -> Finding:
    """Return the finding on lost requests, as the run's own objectives leave it."""
    lost, finding = lost_requests(case)
    own = _own(case)
    suspected = case.background.suspected
    if not own or (finding.grade is Grade.INCONCLUSIVE and not suspected):
        return finding
    if suspected:
        most = lost + suspected
        settled = _own(case, most_lost=most)
        if not settled:
            observed = (
                f"{finding.observed}; up to {most:,} may have been lost, more than {_texts(own)} allows"
            )
            return replace(finding, grade=Grade.INCONCLUSIVE, observed=observed)
        own = settled
    left = _left(case, own)
    if not left:
        return replace(finding, grade=Grade.PASS, observed=f"{finding.observed}; replaced by {_texts(own)}")
    numbers = replace(case.numbers, parts=tuple(p for p in case.numbers.parts if p.name not in own))
    grade: Grade = finding.grade
    if grade is not Grade.PASS:
        unbounded = replace(case, numbers=numbers, background=case.background.within(numbers.parts))
        grade = lost_requests(unbounded)[1].grade
    failed = sum(part.failed - own_faults(part.kinds) for part in numbers.parts if part.name in left)
    (phase,) = left
    observed = f"{finding.observed}; {failed:,} of them in {phase}, which no objective of this run bounds"
    return replace(finding, grade=grade, observed=observed)


def replacement(case: Case) -> Finding | None:
    """Say which of the run's own objectives replace the default; None where none does."""
    lost, finding = lost_requests(case)
    suspected = case.background.suspected
    own = _own(case, most_lost=lost + suspected) if suspected else _own(case)
    if not own or (finding.grade is Grade.INCONCLUSIVE and not suspected):
        return None
    where = f" in {next(iter(own))} only" if _left(case, own) else ""
    return Finding(REPLACED, f'{_texts(own)} replaces "{finding.objective}"{where}', Grade.PASS)


def _own(case: Case, most_lost: int | None = None) -> Mapping[str, Sequence[str]]:
    """Return the objectives that bound the failed requests of all kinds, by phase; with `most_lost` those that allow
    so many.
    """
    return replacing(case.run.scenario, rollout=case.run.rollout_wanted, most_lost=most_lost)


def _texts(own: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(dict.fromkeys(text for texts in own.values() for text in texts))


def _left(case: Case, own: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the phases of the rollout that none of them bounds."""
    return {"during", "after"} - set(own) if case.run.rollout_wanted else set()
