"""The two arms of an experiment's folder, as `zdtest ab` leaves it -> the runs of both sides, each with its block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from pathlib import Path

Placed = tuple[tuple["Path", int], ...]  # folders of runs, each with its block


def arms_of(path: Path) -> tuple[tuple[str, Placed], tuple[str, Placed], float]:
    """Return the names of both arms, each with the runs that it has made so far, and the level of this comparison.

    That is what the design left for it: of several looks, each has a part of the experiment's level. Raises UsageError
    for an experiment that does not compare two arms, RecordingError for a file that is damaged.
    """
    found = file.read(path)
    if found.kind != "ab" or len(found.arms) != 2:
        raise UsageError(
            f"{path} compares no two versions (its kind is {found.kind!r}); give an experiment of zdtest ab"
        )
    first, second = (
        (
            arm.name,
            tuple((path / step.run, step.block) for step in found.order if step.arm == arm.name and step.run),
        )
        for arm in found.arms
    )
    return first, second, found.level_now


is_experiment = file.is_experiment
