"""Brings runs from object storage into a folder of runs. What comes may be a stranger's, as any recording.

A run is put together in a hidden folder and moved to its name when it is whole and can be read, so that a fetch that
is cut off leaves no half of a run, and the next one goes on where it ended.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import RecordingError, UsageError
from harness.history.runs import OF_A_RUN
from harness.recording import folder
from harness.recording.folder import FOLDER_MODE
from harness.recording.read import Recording
from harness.storage.contents import (
    INDEX,
    MOST_INDEX,
    File,
    digest,
    from_json,
    identity_of,
    is_file_name,
)
from harness.storage.door import StorageError, Store

if TYPE_CHECKING:
    from pathlib import Path

    from harness.storage.address import Address

_PAGES = (".html", ".svg")  # could run a script in a browser; `zdtest report` makes them of the recording
_MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class Fetched:
    """One run, and what became of it. `path` is where it is here, None where it could not be fetched: `why` tells."""

    name: str
    path: Path | None
    new: bool = False
    files: int = 0
    bytes: int = 0
    why: str = ""


def runs_at(address: Address) -> tuple[Address, list[str]]:
    """Return the prefix, and the names of the runs below it, oldest first; of one run's own address that run alone.

    Raises UsageError if there are none, and StorageError.
    """
    last = address.steps[-1] if address.steps else ""
    if is_run(last):
        return address.parent, [last]
    store = Store(address)
    names = [name for name in store.folders() if is_run(name)]
    if not names:
        raise UsageError(f"{address}: there is no run; give the prefix that `zdtest run -o` was given")
    return address, names


def is_run(name: str) -> bool:
    """Whether a run's folder may have this name."""
    return bool(OF_A_RUN.match(name)) and is_file_name(name)


def is_a_page(name: str) -> bool:
    """Whether a file is made for a browser."""
    return name.endswith(_PAGES)


def fetch(store: Store, name: str, root: Path) -> Fetched:
    """Bring one run into `root`. Raises StorageError and RecordingError, one line each; what came so far stays."""
    where = f"{store.address}/{name}"
    text = store.read(f"{name}/{INDEX}", MOST_INDEX)
    if text is None:
        raise StorageError(f"{where}: there is no {INDEX}, so it is no run that zdtest stored")
    index = from_json(text, f"{where}/{INDEX}")
    if not index.whole:
        raise StorageError(f"{where}: its upload has not finished; what is missing cannot be known")
    path = place(root, name, index.run)
    if path.is_dir():
        return Fetched(name, path)
    part = path.with_name(f".fetch-{path.name}")
    part.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    wanted = [file for file in index.files if not is_a_page(file.name)]
    _make_room(root, wanted)
    for file in wanted:
        _bring(store, name, file, part)
    settle(part, path, index.run, where)
    return Fetched(name, path, new=True, files=len(wanted), bytes=sum(file.bytes for file in wanted))


def place(root: Path, name: str, run: str) -> Path:
    """Return where a run belongs: its folder if it is here already, else one that no other run has."""
    for n in range(1, _MOST_NAMES):
        path = root / (name if n == 1 else f"{name}-{n}")
        if not path.exists() and not path.is_symlink():
            return path
        if not path.is_symlink() and folder.stamp(path, "run.json") and identity_of(path) == run:
            return path
    raise RecordingError(
        f"{root} holds {_MOST_NAMES} other runs called {name}; choose another folder with -o"
    )


def settle(part: Path, path: Path, run: str, where: str) -> None:
    """Give a run that has come whole its name, if it is one. Raises RecordingError: then nothing of it is kept."""
    why = _not_the_run(part, run).replace(str(part), where)
    if why:
        shutil.rmtree(part, ignore_errors=True)
        raise RecordingError(why)
    part.rename(path)


def _not_the_run(part: Path, run: str) -> str:
    """Return why this is no recording of a run, or of another one; "" if it is the one that is expected ("": any)."""
    try:
        Recording.open(part)
        found = identity_of(part)
    except RecordingError as error:
        return str(error)
    return "" if run in {"", found} else f"{part}: run.json is of another run than {INDEX} says"


def _make_room(root: Path, files: list[File]) -> None:
    wanted, free = sum(file.bytes for file in files), shutil.disk_usage(root).free
    if wanted > free:
        raise UsageError(f"{root}: there is no room for {wanted:,} bytes; {free:,} are free")


def _bring(store: Store, name: str, file: File, part: Path) -> None:
    if folder.stamp(part, file.name) and digest(part, file.name) == file:
        return
    with folder.replacing(part, file.name) as into:
        store.receive(f"{name}/{file.name}", into, file.bytes)
    if digest(part, file.name) != file:
        folder.remove_below(part, file.name)
        raise StorageError(f"{store.address}/{name}/{file.name}: it is not what {INDEX} says; fetch it again")
