"""What a side of a comparison names on the command line -> the folders of its runs."""

from __future__ import annotations

from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING

from harness import typedpaths
from harness.cli.root import warn
from harness.errors import UsageError
from harness.history.listing import listed
from harness.history.names import find
from harness.history.runs import RUNS
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 500  # runs of one side


def runs_of(words: Iterable[str], name: str) -> tuple[Path, ...]:
    """Return the folders of the runs that the words of a side name, each once, in the order given.

    A word is a run (its folder or name), a folder of runs, or a pattern such as 'results/*-nightly'. Raises
    UsageError, one line, for one that names nothing.
    """
    found: dict[Path, Path] = {}  # by where it really is: a run given by two paths must not count twice
    for word in words:
        for path in _of(word, name):
            found.setdefault(path.resolve(), path)
    if len(found) > _MOST:
        raise UsageError(f"{name} names {len(found):,} runs, and at most {_MOST} are compared; give fewer")
    return tuple(found.values())


def _of(word: str, name: str) -> list[Path]:
    if set("*?[") & set(word) and not typedpaths.exists(Path(word)):
        return _matching(word, name)
    path = Path(word)
    if word and typedpaths.is_dir(path) and not folder.stamp(path, "run.json") and not _is_name(word):
        return _inside(path, name)
    return [find(word)]


def _is_name(word: str) -> bool:
    """Whether a word without a slash may rather be the name of a run below `results`."""
    return word in {"last", "last-pass", "last-fail"}


def _inside(path: Path, name: str) -> list[Path]:
    runs = listed(path)
    for one in runs.skipped:
        if folder.stamp(path, f"{one.folder}/run.json"):
            warn(f"zdtest: {path / one.folder} is left out: {one.why}")
    if not runs.runs:
        raise UsageError(f"{name}: there is no run in {path}; give a run, or a folder that holds runs")
    return [path / run.folder for run in reversed(runs.runs)]


def _matching(word: str, name: str) -> list[Path]:
    below = "" if "/" in word or not RUNS.is_dir() else f"{escape(str(RUNS))}/"
    found = [Path(match) for match in sorted(glob(below + word))]  # noqa: PTH207  an absolute pattern, too
    runs = [path for path in found if folder.stamp(path, "run.json")]
    if not runs:
        raise UsageError(f"{name}: no run matches {word}; zdtest list shows the names of the runs")
    return runs
