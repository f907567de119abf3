"""The scenarios that come with zdtest: find them by name, and list them with what each shows."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import typedpaths
from harness.errors import UsageError
from harness.scenario.reading import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "zdtest.yaml"
_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z`+])")


@dataclass(frozen=True, slots=True)
class Entry:
    """A scenario on disk. `name` is its folder's path below the root that was searched."""

    name: str
    label: str  # the id of its one fault, "clean", or ""
    text: str  # the comment at its head, as one line
    path: Path
    needs: str = ""  # what it needs of a real cluster that not every one has

    @property
    def first_sentence(self) -> str:
        """What it shows."""
        return _SENTENCE.split(self.text, maxsplit=1)[0]


def entries(root: Path) -> tuple[Entry, ...]:
    """Return all scenarios below a folder, by name. Raises UsageError for one that is malformed YAML."""
    return tuple(_entry(file, root) for file in sorted(root.rglob(FILE)))


def steps(folder: Path) -> tuple[Entry, ...]:
    """Return the scenarios in a folder's own sub-folders, by name: a ladder's steps. Raises UsageError."""
    return tuple(_entry(file, folder) for file in sorted(folder.glob(f"*/{FILE}")))


def find(name: str, root: Path) -> Path | None:
    """Return the folder of a scenario named like `seed/1-no-probe`, or by the last part alone if that is unique."""
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name) or ".." in name:
        return None
    if typedpaths.is_file(root / name / FILE):
        return root / name
    same = [file.parent for file in root.rglob(FILE) if file.parent.name == name]
    return same[0] if len(same) == 1 else None


def near(name: str, among: Iterable[str]) -> str:
    """Return names with a similar last part, for a message."""
    by_last = {other.rpartition("/")[2].lower(): other for other in among}
    close = difflib.get_close_matches(name.rpartition("/")[2].lower(), by_last, n=3, cutoff=0.5)
    return ", ".join(by_last[last] for last in close)


def _entry(file: Path, root: Path) -> Entry:
    data, _ = read_file(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    head = [line[1:].strip() for line in lines[: _end(lines)]]
    return Entry(
        file.parent.relative_to(root).as_posix(),
        str(data.get("label") or ""),
        " ".join(head),
        file.parent,
        str(data.get("needs") or ""),
    )


def _end(lines: list[str]) -> int:
    return next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))


def not_found(name: str, root: Path) -> UsageError:
    """Return the message for a name that is neither a path nor a shipped scenario."""
    close = near(name, (entry.name for entry in entries(root)))
    return UsageError(
        f"no such scenario: {name}; `zdtest scenarios` lists those that are shipped"
        + (f"; did you mean {close}?" if close else "")
    )
