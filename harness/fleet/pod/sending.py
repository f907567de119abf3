"""What a pod has told the collector of its logs, and what it is to tell next. Pure but for reading the logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.fleet import frames
from harness.fleet.frames import LogName, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.fleet.pod.spool import Log

PIECE = 128 << 10  # bytes of one piece
WINDOW = 1 << 20  # bytes of one log that may be under way: what the collector has not said that it has


class Unsent:
    """The logs of one pod, and how far each has got. Starts anew with each connection."""

    def __init__(self, logs: Mapping[LogName, Log], have: Mapping[LogName, int]) -> None:
        self._logs = logs
        self._have = dict(have)
        self._sent = dict(have)

    def has(self, have: Mapping[LogName, int]) -> None:
        """Note what the collector has of some logs."""
        self._have.update(have)

    def pieces(self) -> Iterator[bytes]:
        """Yield what may be sent now, as frames: answers before the rows that point to them."""
        for name in sorted(self._logs, key=lambda name: (name.worker, name.kind)):
            log, sent = self._logs[name], self._sent.get(name, 0)
            end = min(log.size, self._have.get(name, 0) + WINDOW)
            while sent < end:
                content = log.read(sent, min(PIECE, end - sent))
                yield frames.piece(Piece(name, sent, content))
                sent += len(content)
            self._sent[name] = sent


def sizes(logs: Mapping[LogName, Log]) -> dict[str, int]:
    """Return how many bytes each log has, as a report says it."""
    return {str(name): log.size for name, log in logs.items()}


def said(have: Mapping[str, Any]) -> dict[LogName, int]:
    """Read such numbers back. Raises FrameError."""
    found = {}
    for name, size in have.items():
        if type(size) is not int or size < 0:
            raise frames.FrameError(f"{name[:40]} cannot have {size!r} bytes")
        found[LogName.of(name)] = size
    return found
