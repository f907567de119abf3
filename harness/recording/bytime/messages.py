"""The messages of an Arrow stream, from their heads alone: what each is, how long, and where its columns lie.

The format: arrow.apache.org/docs/format/Columnar.html, "Serialization and Interprocess Communication"; a head is a
flatbuffer (flatbuffers.dev, "Internals"), its tables are in Arrow's format/Message.fbs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from numpy.typing import NDArray

BATCH = 3  # kinds of messages
_DICTIONARY = 2
_CONTINUES = b"\xff\xff\xff\xff"  # before each message
_MOST_BUFFERS = 1 << 12
_LARGEST = 1 << 40  # of a file
_NOWHERE = np.zeros(0, dtype=np.int64)


class DamagedError(Exception):
    """A whole message cannot be read."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its kind, its rows, the bytes of its body, and where in the file its buffers begin."""

    kind: int
    rows: int
    body: int
    buffers: NDArray[np.int64]


def messages(whole: mmap.mmap) -> Iterator[Message]:
    """Yield each message until the end or the cut. Raises DamagedError or struct.error."""
    at = 0
    while at + 8 <= len(whole):
        head = whole[at : at + 8]
        (size,) = struct.unpack_from("<i", head, 4)
        if size == 0:  # the end, or what a file system leaves where nothing was written
            return
        if head[:4] != _CONTINUES or size < 0:
            raise DamagedError("what should be a message is none")
        if at + 8 + size > len(whole):
            return
        found, packed = _header(whole[at + 8 : at + 8 + size], at + 8 + size)
        if found.body < 0:
            raise DamagedError("a message has less than no length")
        at += 8 + size + found.body
        if at > len(whole):
            return
        if packed:
            raise DamagedError("its columns are compressed, which zdtest never does")
        if (found.buffers > at).any():
            raise DamagedError("a column begins after its batch")
        yield found


def _header(message: bytes, body_at: int) -> tuple[Message, bool]:
    """Return what a message's header declares, and whether its columns are compressed."""
    root = _number("<I", message, 0)
    kind_at = _field(message, root, 1)
    body = _field(message, root, 3)
    kind = message[kind_at] if kind_at else 0
    batch = _inner(message, root, 2)
    if kind == _DICTIONARY:
        batch = _inner(message, batch, 1)
    elif kind != BATCH:
        batch = 0
    length = _field(message, batch, 0) if batch else 0
    found = Message(
        kind,
        _number("<q", message, length) if length else 0,
        _number("<q", message, body) if body else 0,
        _buffers(message, batch, body_at) if kind == BATCH and batch else _NOWHERE,
    )
    return found, bool(batch and _field(message, batch, 3))


def _buffers(message: bytes, batch: int, body_at: int) -> NDArray[np.int64]:
    """Return where in the file each buffer of a batch begins."""
    at = _inner(message, batch, 2)
    count = _number("<I", message, at) if at else 0
    if count > _MOST_BUFFERS:
        raise DamagedError("a batch has more columns than any of ours")
    if not 0 <= at + 4 <= len(message) - 16 * count:
        raise DamagedError("a batch has less columns than it says")
    offsets = np.frombuffer(message, "<i8", 2 * count, at + 4)[::2] if count else _NOWHERE
    if (offsets < 0).any() or (offsets > _LARGEST).any():
        raise DamagedError("a column begins outside of its batch")
    return offsets + body_at


def _inner(message: bytes, table: int, number: int) -> int:
    at = _field(message, table, number)
    return at + _number("<I", message, at) if at else 0


def _field(message: bytes, table: int, number: int) -> int:
    """Return the offset of a field in a flatbuffer's table; 0 if the table does not have it."""
    known = table - _number("<i", message, table)
    if 4 + 2 * number >= _number("<H", message, known):
        return 0
    offset = _number("<H", message, known + 4 + 2 * number)
    return table + offset if offset else 0


def _number(shape: str, message: bytes, at: int) -> int:
    if at < 0:
        raise DamagedError("a message points before its own beginning")
    found: int = struct.unpack_from(shape, message, at)[0]
    return found
