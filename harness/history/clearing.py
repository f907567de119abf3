"""Which runs are old enough to be deleted, and deleting them: for `run --keep` and for `clean`."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.history.runs import OF_A_RUN
from harness.model import Grade
from harness.recording import jsontext
from harness.recording.folder import MIB, read
from harness.recording.series import suite

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

_GROWING = ("run.json", "events.jsonl", "generator.jsonl")  # files that a running run writes to
_A_DAY_S = 86400.0


def prune(root: Path, name: str, keep: int) -> list[Path]:
    """Delete the oldest finished runs called `name` under `root` until `keep` are left; return what went.

    Raises OSError at the first that cannot be deleted.
    """
    gone = outdated(finished_runs(root).get(name, []), keep)
    for path in gone:
        remove(path)
    return gone


def prune_suites(root: Path, name: str, keep: int, spared: Path) -> list[Path]:
    """Delete the oldest suites called `name` under `root`, with their runs, until `keep` are left; return what went.

    `spared` never goes: a suite that was resumed may be an old one.

    Only for whoever has the lock of `root`, so that none of them is under way. Raises OSError as `prune` does.
    """
    mine = [
        path
        for path in sorted(file.parent for file in root.glob(f"*/{suite.FILE}"))
        if OF_A_RUN.match(path.name) and not path.is_symlink() and _name_of_suite(path) == name
    ]
    gone = outdated(mine, keep, [path for path in mine if path.name == spared.name])
    for path in gone:
        remove(path, suite.FILE)
    return gone


def finished_runs(root: Path) -> dict[str, list[Path]]:
    """Return the folders of all finished runs under `root` by the run's name, each oldest first.

    A folder is a run of a name if its run.json says so: `web-2` may be the second run of `web` in one second, or a run
    of `web-2`. Its own name has to begin with a time: what was renamed by hand is to be kept. Running runs are left
    out. A killed run also says that it is running, but it has written nothing for longer than it could have lasted.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(file.parent for file in root.glob("*/run.json") if OF_A_RUN.match(file.parent.name)):
        name = _finished_run(path)
        if name is not None:
            found.setdefault(name, []).append(path)
    return found


def outdated(runs: Sequence[Path], keep: int, spared: Collection[Path] = ()) -> list[Path]:
    """Return those of these runs, oldest first, that are not among the latest `keep`, and not spared."""
    return [path for path in runs[: max(0, len(runs) - keep)] if path not in spared]


def chosen(
    finished: Mapping[str, Sequence[Path]], grades: Mapping[str, str], keep: int, keep_failed: int = 0
) -> list[Path]:
    """Return the runs that `clean` deletes: of each name all but the latest `keep`.

    Spared are the latest `keep_failed` runs with FAIL, and always the latest PASS of each name: it is what a failed run
    is compared with. `grades` has the verdict of each folder, "" where there is none.
    """
    gone: list[Path] = []
    for runs in finished.values():
        passed = [path for path in runs if grades.get(path.name) == Grade.PASS.value]
        failed = [path for path in runs if grades.get(path.name) == Grade.FAIL.value]
        spared = {*passed[-1:], *failed[len(failed) - min(keep_failed, len(failed)) :]}
        gone += outdated(runs, keep, spared)
    return sorted(gone)


def remove(path: Path, record: str = "run.json") -> None:
    """Delete the folder of a run, or of a suite; no link in it is followed. Raises OSError.

    Its record goes last, so that what is deleted in part is still a run, or a suite, and goes the next time.
    """
    for inner in path.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        elif inner.name != record:
            inner.unlink()
    shutil.rmtree(path)


def _name_of_suite(path: Path) -> str | None:
    try:
        return suite.read(path).name
    except RecordingError:
        return None


def _finished_run(path: Path) -> str | None:
    """Return the name of the finished run in this folder, if there is one."""
    if path.is_symlink():  # a link's target is not ours
        return None
    try:
        record = jsontext.parse(read(path, "run.json", 64 * MIB))
    except (OSError, ValueError, RecordingError):
        return None
    name = record.get("name") if isinstance(record, dict) else None
    if not isinstance(name, str) or (record.get("state") == "running" and not was_killed(path, record)):
        return None
    return name


def was_killed(folder: Path, record: dict[str, Any]) -> bool:
    """Whether a run that says that it is running has written nothing for longer than it could have lasted."""
    try:
        most_s = record["scenario"]["rollout"]["max_time"] / 1e9
    except (KeyError, TypeError):
        most_s = _A_DAY_S
    files = [file for name in _GROWING if (file := folder / name).exists()]
    last = max((file.stat().st_mtime for file in files), default=0.0)
    return bool(time.time() - last > most_s)
