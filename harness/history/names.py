"""The name of a run, as it is given on the command line -> its folder. `choose` is pure.

A name is the folder's name, a beginning or part of it which only this run has, or `last`, `last-pass`, `last-fail`.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness import typedpaths
from harness.errors import UsageError
from harness.history.listing import listed
from harness.history.runs import RUNS, own_name
from harness.model import Grade
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.runs import Run

LAST = {"last": None, "last-pass": Grade.PASS.value, "last-fail": Grade.FAIL.value}
_SHOWN = 3  # names in a message
_DATE = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d))?)?)?)?Z?")


def find(word: str) -> Path:
    """Return the folder of the run that a word names: a path to it, or its name below `results` or another folder.

    Raises UsageError, one line that lists the nearest, if no run has this name, or several have it.
    """
    if not word:
        raise UsageError("the name of a run is empty; give the folder of one run, its name, or last")
    path, placed = Path(word), "/" in word
    if folder.stamp(path, "run.json") or path.name in {"", ".."}:
        return path
    if placed and folder.stamp(RUNS / path, "run.json"):  # a suite's run, as it is listed
        return RUNS / path
    parent = path.parent if placed else RUNS
    if typedpaths.exists(path) and path.name not in LAST and (placed or not RUNS.is_dir()):
        return path  # whoever reads it says what is missing in it
    if not typedpaths.is_dir(parent):
        why = "" if placed else f", and no folder {RUNS} in which a run could have this name"
        raise UsageError(f"{word}: no such folder{why}; give the folder of one run, or its name")
    return parent / choose(path.name, listed(parent).runs, str(parent))


def choose(word: str, runs: Sequence[Run], where: str) -> str:
    """Return the folder's name of the run that a word names; `runs` are newest first.

    The first of these that any run fits decides: the folder's whole name, its beginning (a date may be written
    2026-11-30), all of what follows the time, its beginning, a part of it. Raises UsageError.
    """
    if word in LAST:
        return _last(word, runs, where)
    plain = _as_in_a_folder(word)
    tries = (
        lambda name: name == word,
        lambda name: name.startswith(plain),
        lambda name: _label(name) == word,
        lambda name: _label(name).startswith(word),
        lambda name: word in _label(name),
    )
    for fits in tries:
        found = [run.folder for run in runs if word and fits(own_name(run.folder))]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{word}: {len(found):,} runs in {where} have this in their name: {_some(found)}; "
                "give more of it, or last, last-pass, last-fail"
            )
    if not runs:
        raise UsageError(f"{word}: there is no run in {where}")
    names = [run.folder for run in runs]
    near = difflib.get_close_matches(word, [_label(name) for name in names[:1000]], n=_SHOWN, cutoff=0.5)
    nearest = [name for name in names if _label(name) in near] or names
    raise UsageError(f"{word}: no run in {where} has this in its name; the nearest: {_some(nearest)}")


def completions(incomplete: str) -> list[str]:
    """Return what a shell may offer in place of an incomplete name; nothing if there is no folder of runs."""
    head, slash, _ = incomplete.rpartition("/")
    root = Path(f"{head}/") if slash else RUNS
    try:
        found = listed(root).runs
    except UsageError:
        return []
    words = [*LAST, *(run.folder for run in found)]
    offered = (f"{head}{slash}{word}" for word in words)
    return [word for word in offered if word.startswith(incomplete) and word.isprintable()]


def _last(word: str, runs: Sequence[Run], where: str) -> str:
    wanted = LAST[word]
    found = next((run.folder for run in runs if wanted is None or run.grade == wanted), None)
    if found is None:
        what = f"run with the verdict {wanted}" if wanted else "run"
        raise UsageError(f"{word}: there is no {what} in {where}")
    return found


def _label(name: str) -> str:
    """Return what follows the time in a folder's name."""
    return own_name(name).partition("Z-")[2] or own_name(name)


def _as_in_a_folder(word: str) -> str:
    """Return a date or a time as a run's folder begins with it: 2026-11-30 03:00 is 20261130T0300."""
    found = _DATE.fullmatch(word)
    if found is None:
        return word
    date, time = (*found.groups()[:3],), (*found.groups()[3:],)
    return "".join(filter(None, date)) + ("T" + "".join(filter(None, time)) if time[0] else "")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
