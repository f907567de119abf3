"""What a pod and the collector say to each other: frames over one TLS connection.

A frame is its length (4 bytes), its kind (1 byte) and its content. TALK is a JSON object. PIECE is a part of a log
that the collector copies: which log, at which of its bytes the piece begins, and the bytes.

Nothing is lost or doubled when a connection is cut. A log only grows, so what is missing is known by a number: the
collector says how much of each it has, and the pod goes on from there. Commands are numbered, and a pod says which
one it carried out last. All else is state: the newest replaces what was said before.

To the pod: {"have"} (first), {"n", "do", ...} (commands), {"pong", "received_ns", "answered_ns"}, {"leave"}.
From the pod: {"done"} (first), {"ping"}, {"report"}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

import anyio

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 8711  # where a pod listens
HITS, CONNECTIONS, ANSWERS, HEALTH = "hits", "connections", "answers", "health"
LOGS = (HITS, CONNECTIONS, ANSWERS, HEALTH)  # in a piece, by index; the order says nothing
LARGEST = 16 << 20  # bytes of a frame: an assignment with many targets may be long

_HEAD = Struct(">IB")
_PIECE = Struct(">BHQ")
_TALK, _LOG = 1, 2


class FrameError(HarnessError):
    """What came is none of our frames."""


# What becomes of a connection that is over, however it ended.
GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, FrameError)


def gone(error: BaseException) -> bool:
    """Tell whether an error, or each one of a group, says no more than that a connection is over."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(gone, error.exceptions))
    return isinstance(error, GONE)


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """One log of one worker, as both ends name it."""

    kind: str
    worker: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.worker}"

    @classmethod
    def of(cls, text: str) -> LogName:
        """Read a name back. Raises FrameError."""
        kind, _, worker = text.partition("/")
        if kind not in LOGS or not worker.isascii() or not worker.isdigit() or int(worker) > 0xFFFF:
            raise FrameError(f"there is no log {text[:40]!r}")
        return cls(kind, int(worker))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a log, from its byte `offset` on."""

    log: LogName
    offset: int
    content: bytes


def talk(message: dict[str, Any]) -> bytes:
    """Encode a message."""
    content = json.dumps(message, separators=(",", ":")).encode()
    return _HEAD.pack(len(content), _TALK) + content


def piece(part: Piece) -> bytes:
    """Encode a part of a log."""
    head = _PIECE.pack(LOGS.index(part.log.kind), part.log.worker, part.offset)
    return b"".join((_HEAD.pack(len(head) + len(part.content), _LOG), head, part.content))


class Frames:
    """Bytes as they arrive, and the frames in them."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, received: bytes) -> Iterator[dict[str, Any] | Piece]:
        """Add bytes, and yield every frame that is now complete. Raises FrameError."""
        self._rest += received
        at = 0
        try:
            while len(self._rest) - at >= _HEAD.size:
                length, kind = _HEAD.unpack_from(self._rest, at)
                if length > LARGEST or kind not in {_TALK, _LOG}:
                    raise FrameError("the other end does not speak as zdtest does: is it another version?")
                end = at + _HEAD.size + length
                if len(self._rest) < end:
                    return
                content = bytes(memoryview(self._rest)[at + _HEAD.size : end])
                at = end
                yield _message(content) if kind == _TALK else _part(content)
        finally:
            del self._rest[:at]


def _message(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        raise FrameError("a message is not JSON") from None
    if not isinstance(found, dict):
        raise FrameError("a message is not a JSON object")
    return found


def _part(content: bytes) -> Piece:
    if len(content) < _PIECE.size:
        raise FrameError("a piece of a log has no head")
    kind, worker, offset = _PIECE.unpack_from(content)
    if kind >= len(LOGS):
        raise FrameError("a piece belongs to no known log")
    return Piece(LogName(LOGS[kind], worker), offset, content[_PIECE.size :])
