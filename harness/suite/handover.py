"""What a suite tells the process of a run, and how that process learns that the suite is gone.

Through a pipe, for a command line is seen by everyone on the host, and fields of a scenario may be secret. The suite
writes one line of JSON and keeps its end open; when the suite ends, however it ends, the run sees the end of the pipe.
It then ends as after Ctrl-C, with its partial report: nobody would read it, and the next suite would meet it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.errors import UsageError

_MOST = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Handed:
    """What a run is told. fields: dotted names, as flags are; earlier: the folder in which `last-pass` is looked up."""

    fields: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    interactive: bool = False
    earlier: str = ""


def line(handed: Handed) -> bytes:
    """Return the line that is written into the pipe."""
    return json.dumps(asdict(handed)).encode() + b"\n"


def taken(descriptor: int) -> Handed:
    """Read the line from the pipe, and from then on end this process by SIGTERM when the suite is gone.

    Raises UsageError if nothing of the kind comes.
    """
    text = b""
    try:
        while not text.endswith(b"\n") and len(text) < _MOST:
            more = os.read(descriptor, 1 << 16)
            if not more:
                break
            text += more
        found = Handed(**json.loads(text))
    except (OSError, ValueError, TypeError):
        raise UsageError("--of-suite is for `zdtest suite` alone: drop it") from None
    threading.Thread(target=_end_with, args=(descriptor,), daemon=True).start()
    return found


def _end_with(descriptor: int) -> None:
    try:
        while os.read(descriptor, 1 << 16):
            pass
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)
