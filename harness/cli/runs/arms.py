"""The two arms of an experiment's folder, as `zdtest ab` leaves it -> the runs of both sides, each with its block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError, UsageError
from harness.recording import folder
from harness.recording.jsontext import parse

if TYPE_CHECKING:
    from pathlib import Path

FILE = "experiment.json"
FORMAT = 1
_MOST = 4 * folder.MIB
_MOST_STEPS = 10_000

Placed = tuple[tuple["Path", int], ...]  # folders of runs, each with its block


def is_experiment(path: Path) -> bool:
    """Whether a folder is that of an experiment."""
    return folder.stamp(path, FILE) is not None


def arms_of(path: Path) -> tuple[tuple[str, Placed], tuple[str, Placed], float]:
    """Return the names of both arms, each with the runs that it has made so far, and the experiment's level.

    Raises UsageError for an experiment that does not compare two arms, RecordingError for a file that is damaged.
    """
    file = path / FILE
    try:
        raw = parse(folder.read(path, FILE, _MOST))
    except ValueError as error:
        raise RecordingError(f"{file} is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise RecordingError(f"{file} was not written by this zdtest: its format is not {FORMAT}")
    if raw.get("kind") != "ab":
        kind = str(raw.get("kind"))[:20]
        raise UsageError(
            f"{path} compares no two versions (its kind is {kind!r}); give an experiment of zdtest ab"
        )
    arms, order = raw.get("arms"), raw.get("order")
    if not isinstance(arms, list) or not isinstance(order, list) or len(order) > _MOST_STEPS:
        raise RecordingError(f"{file} is damaged: it lacks its arms or its order")
    names = [arm["name"] for arm in arms if isinstance(arm, dict) and isinstance(arm.get("name"), str)]
    if len(names) != 2 or names[0] == names[1]:
        raise UsageError(
            f"{path} has {len(names)} arms, and two are compared; give an experiment of zdtest ab"
        )
    level = raw.get("level")
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise RecordingError(f"{file} is damaged: its level is no share")
    first, second = ((name, _made(path, order, name)) for name in names)
    return first, second, float(level)


def _made(path: Path, order: list[Any], arm: str) -> Placed:
    found: list[tuple[Path, int]] = []
    for step in order:
        if not isinstance(step, dict) or step.get("arm") != arm or not step.get("run"):
            continue
        run, block = step["run"], step.get("block")
        inside = isinstance(run, str) and run.startswith("runs/") and run.count("/") == 1 and run != "runs/.."
        if not inside or not isinstance(block, int) or isinstance(block, bool) or block < 1:
            raise RecordingError(
                f"{path / FILE} is damaged: a run of {arm} is none of its folder, or has no block"
            )
        found.append((path / run, block))
    return tuple(found)
