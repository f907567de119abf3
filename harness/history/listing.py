"""All runs of a folder, newest first, and what in it is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import RecordingError, UsageError
from harness.history import index, reading
from harness.history.runs import OF_A_RUN, RUNNING
from harness.recording import folder
from harness.recording.series import suite
from harness.recording.series.experiment import FILE as EXPERIMENT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.history.runs import Run


@dataclass(frozen=True, slots=True)
class Skipped:
    """A folder that is no run, or none that can be read, and why."""

    folder: str
    why: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs of a folder, newest first, and the folders that were skipped, by name."""

    runs: tuple[Run, ...]
    skipped: tuple[Skipped, ...] = ()


def listed(root: Path) -> Listing:
    """List the runs in `root`, those of suites in it too, from its index as far as that is up to date.

    No link is followed but `root` itself. Raises UsageError, one line, if `root` is no folder of runs.
    """
    folders, links = _below(root)
    folders = [run for name in folders if _shown(name) for run in _with_a_suites(root, name)]
    known = index.load(root) if len(folders) >= index.WORTH_IT else {}
    found: index.Known = {}
    skipped = [Skipped(name, "it is a link, and links are not followed") for name in links if _shown(name)]
    for name in folders:
        stamp = reading.stamp(root, name)
        old = known.get(name)
        try:
            found[name] = old if old and old[0] == stamp else (stamp, reading.read(root, name))
        except reading.NoRunError as error:
            skipped.append(Skipped(name, _why(root, name, str(error))))
    # A running run will be another one soon, without a change of either file.
    lasting = {name: one for name, one in found.items() if one[1].state != RUNNING}
    if len(lasting) >= index.WORTH_IT and lasting != known:
        index.save(root, lasting)
    runs = sorted(
        (run for _, run in found.values()), key=lambda run: (run.began_ns, run.folder), reverse=True
    )
    return Listing(tuple(runs), tuple(sorted(skipped, key=lambda one: one.folder)))


def _below(root: Path) -> tuple[list[str], list[str]]:
    try:
        folders, links = folder.below(root)
    except FileNotFoundError:
        raise UsageError(f"{root}: no such folder; give the folder that holds the runs") from None
    except OSError as error:
        raise UsageError(
            f"{root} cannot be read: {error.strerror}; give the folder that holds the runs"
        ) from None
    if "hits" in folders and folder.stamp(root, "run.json"):
        raise UsageError(
            f"{root} is one run, not a folder of runs; give the folder that it is in, or see zdtest show"
        )
    return folders, links


def _with_a_suites(root: Path, name: str) -> list[str]:
    """Return a folder's name; of a suite's folder, in its place, those of its runs: "…-suite-nightly/runs/…-web"."""
    if folder.stamp(root, f"{name}/run.json") or not folder.stamp(root, f"{name}/{suite.FILE}"):
        return [name]
    try:
        return [
            f"{name}/{suite.RUNS}/{run}" for run in folder.names(root, f"{name}/{suite.RUNS}") if _shown(run)
        ]
    except RecordingError:
        return [name]


def _shown(name: str) -> bool:
    return not name.startswith(".")


def _why(root: Path, name: str, why: str) -> str:
    """Say more about a folder that has a run's name and no run.json."""
    if folder.stamp(root, f"{name}/{EXPERIMENT}"):
        return f"an experiment; its runs are listed by: zdtest list {root / name}/runs"
    half = why == reading.MISSING and OF_A_RUN.match(name)
    return f"a run that never began, or was half deleted: {why}" if half else why
