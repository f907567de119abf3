"""What a run's folder holds, as the object beside it says: which run it is, each file's size and digest. Pure, but for
the reading of files.

The index is what tells a whole upload from one that was cut off, and a run from another one of the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.recording import folder, jsontext
from harness.recording.folder import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INDEX = "upload.json"  # beside a run's files, in object storage alone
FORMAT = 1
MOST_FILES = 10_000
MOST_BYTES = 1 << 40  # of one file
MOST_INDEX = 4 * MIB
_MOST_RUN = 64 * MIB
_STEP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_DEEPEST = 6
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """One file of a run; `name` is relative to its folder."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Index:
    """What is stored of a run. Without `whole` its upload has begun, and `files` are none."""

    run: str  # see `identity`
    whole: bool = False
    files: tuple[File, ...] = ()

    @property
    def bytes(self) -> int:
        """Return the size of all files together."""
        return sum(file.bytes for file in self.files)


def is_file_name(name: str) -> bool:
    """Whether a file of a run may have this name: no step leads out, and none is hidden."""
    steps = name.split("/")
    return len(steps) <= _DEEPEST and all(map(_STEP.fullmatch, steps))


def identity(run_json: bytes) -> str:
    """Return what no two runs share, by the bytes of run.json: a digest of the host and of both its clocks.

    It stays the same while a run goes on and when it is judged again. Raises RecordingError.
    """
    try:
        raw: Any = jsontext.parse(run_json)
        parts = [raw["host"].get("name", ""), int(raw["wall_ns"]), int(raw["monotonic_ns"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecordingError(
            "run.json was not written by zdtest: it does not say when and where it ran"
        ) from None
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def identity_of(root: Path) -> str:
    """Return the same of a run's folder. Raises RecordingError if it is none."""
    try:
        return identity(folder.read(root, "run.json", _MOST_RUN))
    except FileNotFoundError:
        raise RecordingError(f"{root} is not a run folder: there is no run.json in it") from None


def digest(root: Path, name: str) -> File:
    """Read one file through. Raises RecordingError, and FileNotFoundError."""
    sha, size = hashlib.sha256(), 0
    with folder.opened(root, name, MOST_BYTES) as file:
        while chunk := file.read(MIB):
            sha.update(chunk)
            size += len(chunk)
    return File(name, size, sha.hexdigest())


def digests(root: Path) -> tuple[File, ...]:
    """Read through all files of a run that may be stored. Raises RecordingError."""
    try:
        names = [name for name in folder.files_below(root) if is_file_name(name)]
    except OSError as error:
        raise RecordingError(f"{root} cannot be read: {error.strerror}") from None
    if len(names) > MOST_FILES:
        raise RecordingError(f"{root} holds {len(names):,} files; a run has at most {MOST_FILES:,}")
    return tuple(digest(root, name) for name in names)


def to_json(index: Index) -> bytes:
    """Write an index."""
    files = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in index.files]
    raw = {"format": FORMAT, "run": index.run, "whole": index.whole, "files": files}
    return json.dumps(raw, indent=1).encode()


def from_json(text: bytes, where: str) -> Index:
    """Read an index that may be a stranger's. Raises RecordingError, one line."""
    try:
        raw: Any = jsontext.parse(text)
        if raw["format"] > FORMAT:
            raise RecordingError(f"{where} has format {raw['format']}: use the newer zdtest that wrote it")
        files = _files(raw["files"])
        fine = (
            isinstance(raw["run"], str)
            and bool(_DIGEST.fullmatch(raw["run"]))
            and isinstance(raw["whole"], bool)
        )
    except (ValueError, KeyError, TypeError):
        files, fine = None, False
    if files is None or not fine:
        raise RecordingError(f"{where} was not written by zdtest, or is damaged")
    return Index(raw["run"], raw["whole"], files)


def _files(raw: Sequence[Any]) -> tuple[File, ...] | None:
    if not isinstance(raw, list) or len(raw) > MOST_FILES:
        return None
    found = [File(str(one["name"]), one["bytes"], str(one["sha256"])) for one in raw]
    fine = all(
        is_file_name(file.name)
        and type(file.bytes) is int
        and 0 <= file.bytes <= MOST_BYTES
        and _DIGEST.fullmatch(file.sha256)
        for file in found
    )
    names = {file.name for file in found}
    return tuple(found) if fine and len(names) == len(found) else None
