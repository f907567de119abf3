"""Sends a run's folder to object storage, beside others and never over another run.

Below the prefix each run has its folder, with the same files as here, and upload.json: first as a claim on the name,
last as the list of all files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import RecordingError
from harness.recording import folder
from harness.storage.contents import (
    INDEX,
    MOST_BYTES,
    MOST_INDEX,
    File,
    Index,
    digests,
    from_json,
    identity_of,
    to_json,
)
from harness.storage.door import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.storage.door import Store

PROBE = ".zdtest"  # an object that shows, before a run, that one can be stored after it
PAUSES_S = (
    5.0,
)  # before a file is sent once more: the client itself does not repeat a request that was timed out
_MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What was sent: where it is, all of its files, and how many of them were not there already."""

    where: str
    files: int
    sent: int
    bytes: int


def check(store: Store) -> None:
    """Put a small object there: what a run needs at its end is asked for before it changes anything.

    Raises StorageError.
    """
    store.write(PROBE, b"zdtest stores runs here\n")


def upload(root: Path, store: Store, wait: Callable[[float], None] = time.sleep) -> Uploaded:
    """Send a run that is over. What is there already, of this run and with the same bytes, is not sent again.

    Raises StorageError, after which it can be done again, and RecordingError if `root` is no run.
    """
    files = digests(root)
    run = identity_of(root)
    name, there = _claim(store, root.resolve().name, run)
    known = set(there.files)
    sent = [file for file in files if file not in known]
    for file in sent:
        _send(root, store, f"{name}/{file.name}", file, wait)
    store.write(f"{name}/{INDEX}", to_json(Index(run, whole=True, files=files)))
    return Uploaded(f"{store.address}/{name}", len(files), len(sent), sum(file.bytes for file in sent))


def _claim(store: Store, name: str, run: str) -> tuple[str, Index]:
    """Return the name that this run has there: its folder's, with -2 … where that is another run's.

    Two clusters may roll out a workload of the same name in the same second.
    """
    for n in range(1, _MOST_NAMES):
        tried = name if n == 1 else f"{name}-{n}"
        claim = Index(run)
        at = f"{tried}/{INDEX}"
        if store.create(at, to_json(claim)):
            return tried, claim
        text = store.read(at, MOST_INDEX)
        there = from_json(text, f"{store.address}/{at}") if text is not None else None
        if there and there.run == run:
            return tried, there
    raise StorageError(f"{store.address} holds {_MOST_NAMES} other runs called {name}; give another prefix")


def _send(root: Path, store: Store, at: str, file: File, wait: Callable[[float], None]) -> None:
    for pause in (*PAUSES_S, None):
        try:
            with folder.opened(root, file.name, MOST_BYTES) as opened:
                store.send(at, opened)
        except StorageError:
            if pause is None:
                raise
            wait(pause)
        except FileNotFoundError:
            raise RecordingError(f"{root / file.name} went away while it was sent") from None
        else:
            return
