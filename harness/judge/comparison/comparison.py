"""Two sides -> a Comparison: the table, every difference with its interval, and a conclusion in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.judge.comparison import conclusion
from harness.judge.comparison.alike import refusals, warnings
from harness.judge.comparison.causes import cause_changes, explained
from harness.judge.comparison.measures import MEASURES, differences, points
from harness.judge.comparison.record import FORMAT, Comparison
from harness.judge.comparison.significance.design import unit_of
from harness.judge.comparison.significance.exact import LEVEL
from harness.judge.comparison.table import rows_of
from harness.judge.verdict.fieldchanges import field_changes
from harness.model import Grade

if TYPE_CHECKING:
    from harness.judge.comparison.sides import Side
    from harness.judge.verdict.fieldchanges import FieldChange


def compare(before: Side, after: Side, *, level: float = LEVEL, margin: float | None = None) -> Comparison:
    """Compare two sides; `margin`: so many lost requests a rollout more do not matter.

    Raises UsageError, one line, for a side that is empty or a single INCONCLUSIVE run, and for runs of different
    formats.
    """
    _check(before, after)
    primary = MEASURES[0]
    unit = unit_of(points(before, primary.of), points(after, primary.of), level)
    reasons = refusals(before, after)
    found = differences(before, after, unit, level)
    concluded = (
        conclusion.refused(reasons)
        if reasons
        else conclusion.conclude(before, after, found, unit, level, margin)
    )
    causes = cause_changes(before, after)
    changes, note = _manifest(before, after)
    return Comparison(
        format=FORMAT,
        conclusion=concluded.conclusion,
        sentence=concluded.sentence,
        evidence=concluded.evidence,
        level=level,
        unit=unit.value,
        before=before,
        after=after,
        rows=rows_of(before, after),
        differences=found,
        causes=causes,
        manifest=explained(changes, causes),
        manifest_note=note,
        warnings=warnings(before, after, unit),
        more=concluded.more,
        bound=concluded.bound,
        also=() if reasons else conclusion.also(found, level),
    )


def _check(before: Side, after: Side) -> None:
    for side in (before, after):
        name = side.label
        if not side.runs:
            raise UsageError(f"{name} has no run; give at least one run for each side")
        if len(side.runs) == 1 and side.runs[0].grade is Grade.INCONCLUSIVE and not side.rollouts:
            run = side.runs[0]
            raise UsageError(
                f"{name} is one run, {run.folder}, and it is INCONCLUSIVE ({run.headline}): "
                "it tells nothing; give a run with a verdict"
            )
    formats = {run.format for side in (before, after) for run in side.runs}
    if len(formats) > 1:
        told = " and ".join(map(str, sorted(formats)))
        raise UsageError(
            f"these runs are recordings of formats {told}, which cannot be compared; record one side anew"
        )


def _manifest(before: Side, after: Side) -> tuple[tuple[FieldChange, ...], str]:
    if before.manifests and after.manifests:
        return field_changes(before.manifests, after.manifests), "Manifest: no difference"
    kept = before.manifests or after.manifests
    return (), f"Manifest: not kept by {'one of the sides' if kept else 'either side'}"
