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
    from collections.abc import Callable, Mapping

    from harness.judge.summary import Numbers
    from harness.model import RunRecord


def replaced(
    run: RunRecord,
    numbers: Numbers,
    default: Finding,
    judge: Callable[[Numbers], Finding],
    suspected: int = 0,
    lost: int = 0,
) -> tuple[Finding, ...]:
    """Return the default's finding as the run's own objectives leave it, and one that says which of them replace it.

    `judge` is the default: it judges the phases that it is given. `lost` requests were lost for certain, and
    `suspected` more may have been.
    """
    own = replacing(run.scenario, rollout=run.rollout_wanted)
    if not own or (default.grade is Grade.INCONCLUSIVE and not suspected):
        return (default,)
    if suspected:
        most = lost + suspected
        settled = replacing(run.scenario, rollout=run.rollout_wanted, most_lost=most)
        if not settled:
            observed = (
                f"{default.observed}; up to {most:,} may have been lost, more than {_texts(own)} allows"
            )
            return (replace(default, grade=Grade.INCONCLUSIVE, observed=observed),)
        own = settled
    texts = _texts(own)
    left = {"during", "after"} - set(own) if run.rollout_wanted else set()
    where = f" in {next(iter(own))} only" if left else ""
    told = Finding(REPLACED, f'{texts} replaces "{default.objective}"{where}', Grade.PASS)
    if not left:
        return (replace(default, grade=Grade.PASS, observed=f"{default.observed}; replaced by {texts}"), told)
    unbounded = replace(numbers, parts=tuple(part for part in numbers.parts if part.name not in own))
    grade = default.grade if default.grade is Grade.PASS else judge(unbounded).grade
    failed = sum(part.failed - own_fault(part.kinds) for part in unbounded.parts if part.name in left)
    (phase,) = left
    observed = f"{default.observed}; {failed:,} of them in {phase}, which no objective of this run bounds"
    return (replace(default, grade=grade, observed=observed), told)


def _texts(own: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(dict.fromkeys(text for texts in own.values() for text in texts))
