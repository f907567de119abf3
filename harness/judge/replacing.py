"""The default objective, where the run has objectives of its own that say how much may fail.

Only an objective that bounds the failed requests of all kinds replaces the default, and only in the phases that it
speaks of: what is lost in a phase that nothing bounds is held against the rollout as ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.finding import REPLACED, Finding
from harness.judge.loadhost import own as own_fault
from harness.model import Grade
from harness.scenario.objectives import replacing

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.judge.summary import Numbers
    from harness.model import RunRecord


def replaced(
    run: RunRecord, numbers: Numbers, default: Finding, judge: Callable[[Numbers], Finding]
) -> tuple[Finding, ...]:
    """Return the default's finding as the run's own objectives leave it, and one that says which of them replace it.

    `judge` is the default: it judges the phases that it is given.
    """
    own = replacing(run.scenario, rollout=run.rollout_wanted)
    if not own or default.grade is Grade.INCONCLUSIVE:
        return (default,)
    texts = ", ".join(dict.fromkeys(text for texts in own.values() for text in texts))
    left = {"during", "after"} - set(own) if run.rollout_wanted else set()
    where = f" in {next(iter(own))} only" if left else ""
    told = Finding(REPLACED, f'{texts} replaces "{default.objective}"{where}', Grade.PASS)
    if not left:
        return (replace(default, grade=Grade.PASS, observed=f"{default.observed}; replaced by {texts}"), told)
    unbounded = replace(numbers, parts=tuple(part for part in numbers.parts if part.name not in own))
    grade = judge(unbounded).grade if default.grade is Grade.FAIL else default.grade
    failed = sum(part.failed - own_fault(part.kinds) for part in unbounded.parts if part.name in left)
    (phase,) = left
    observed = f"{default.observed}; {failed:,} of them in {phase}, which no objective of this run bounds"
    return (replace(default, grade=grade, observed=observed), told)
