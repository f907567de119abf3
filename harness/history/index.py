"""The index of a folder of runs: what was read of each, so that a thousand runs are listed without opening them.

`.zdtest-index.jsonl` may be deleted at any time. Its first line says which format it has; each other line is one run,
and counts only as long as run.json and verdict.json in that folder have the time and size that they had. A line that
does not fit is read again from the run, a file that does not fit is rebuilt, and where none can be written there is
none.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.history import runs
from harness.recording import folder, jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.history.reading import Stamp
    from harness.history.runs import Run

NAME = ".zdtest-index.jsonl"
FORMAT = 4  # raise it with every change of what a Run is or means
WORTH_IT = 20  # runs; fewer are read as fast as an index, and a folder need not have one
_MOST = 64 * folder.MIB

Known = dict[str, tuple["Stamp", "Run"]]


def load(root: Path) -> Known:
    """Return the runs of the index by folder, each with its stamp; what does not fit is left out."""
    try:
        lines = folder.read(root, NAME, _MOST).split(b"\n")
    except (OSError, RecordingError):
        return {}
    if _parsed(lines[0]) != _head():
        return {}
    found: Known = {}
    for line in lines[1:]:
        raw = _parsed(line)
        run = runs.from_json(raw.get("run")) if isinstance(raw, dict) else None
        stamp = raw["stamp"] if run and _is_stamp(raw.get("stamp")) else None
        if run and stamp:
            found[run.folder] = tuple(stamp), run
    return found


def save(root: Path, known: Mapping[str, tuple[Stamp, Run]]) -> None:
    """Write the index in one step; where that is not possible, there is none."""
    lines: Iterable[Any] = (
        _head(),
        *({"stamp": stamp, "run": runs.to_json(run)} for stamp, run in known.values()),
    )
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    with suppress(OSError):
        folder.write_below(root, NAME, text + "\n")


def _head() -> dict[str, Any]:
    return {"zdtest_index": FORMAT}


def _parsed(line: bytes) -> Any:
    try:
        return jsontext.parse(line)
    except ValueError:
        return None


def _is_stamp(raw: object) -> bool:
    return isinstance(raw, list) and len(raw) == 4 and all(runs.fits(number, int) for number in raw)
