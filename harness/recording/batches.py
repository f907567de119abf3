"""Record batches of an Arrow stream, checked to be what our own writer writes.

A stream may be cut off at any byte: every whole message counts. A whole message that cannot be read is damage. So is
anything that our writer never writes: compressed columns (which may unpack to any size), nulls, rows without bytes,
indices outside of their dictionary.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

import pyarrow as pa

from harness.errors import RecordingError
from harness.recording import folder
from harness.recording.write import LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

_LARGEST = 1 << 40  # bytes of one file
_CONTINUES = b"\xff\xff\xff\xff"  # before each message
_DICTIONARY, _BATCH = 2, 3  # kinds of messages
_ROW = 8  # bytes of one row at least: its first column is an int64


class _DamagedError(Exception):
    """A whole message cannot be read."""


class Stream:
    """One .arrow file of a recording. Opening it counts its whole batches and reads none.

    Raises RecordingError, one line, when the file holds columns and they are not ours, or it is damaged.
    """

    def __init__(self, root: Path, name: str, schema: pa.Schema, columns: Sequence[str]) -> None:
        self._root, self._name, self._path = root, name, root / name
        self._schema, self._columns = schema, columns
        try:
            with self._opened() as file:
                self._batches, self.rows = _whole(file)
        except (_DamagedError, struct.error) as error:
            raise self._damaged(str(error)) from None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield every whole batch: the columns that were asked for, each checked."""
        if not self._batches:
            return
        try:
            with self._opened() as file:
                options = pa.ipc.IpcReadOptions(included_fields=self._included(file))
                reader = pa.ipc.open_stream(pa.PythonFile(file, mode="r"), options=options)
                for _ in range(self._batches):
                    batch = reader.read_next_batch()
                    batch.validate(full=True)
                    if any(_empty_places(column) for column in batch.columns):
                        raise self._damaged("a row lacks a value")
                    yield batch
        except (pa.ArrowException, OSError, StopIteration) as error:
            raise self._damaged(str(error)) from None

    def _opened(self) -> BinaryIO:
        try:
            return folder.opened(self._root, self._name, _LARGEST)
        except FileNotFoundError:
            raise RecordingError(f"{self._path} went away while it was read") from None

    def _included(self, file: BinaryIO) -> list[int]:
        found = pa.ipc.open_stream(pa.PythonFile(file, mode="r")).schema
        file.seek(0)
        for name in self._columns:
            if name in LATER and name not in found.names:  # the recording is older than the column
                continue
            if found.names.count(name) != 1 or found.field(name).type != self._schema.field(name).type:
                raise RecordingError(
                    f"{self._path}: column {name} is missing or of another type than this zdtest reads"
                )
        return [found.get_field_index(name) for name in self._columns if name in found.names]

    def _damaged(self, why: str) -> RecordingError:
        return RecordingError(f"{self._path} is damaged: {' '.join(why.split())[:200]}")


def _empty_places(column: pa.Array) -> bool:
    return bool(column.null_count or (pa.types.is_dictionary(column.type) and column.dictionary.null_count))


def _whole(file: BinaryIO) -> tuple[int, int]:
    """Count the whole batches of a stream and their rows. The file is mapped, so only the batches' heads are read."""
    if file.seek(0, 2) == 0:  # cannot be mapped
        return 0, 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        batches = rows = 0
        for kind, length, body in _messages(whole):
            if kind == _BATCH:
                if not 0 <= length <= body // _ROW:
                    raise _DamagedError(f"a batch says that it has {length} rows, and has no room for them")
                batches, rows = batches + 1, rows + length
        return batches, rows


def _messages(whole: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Yield kind, rows and bytes of each message, until the end or the cut."""
    at = 0
    while at + 8 <= len(whole):
        head = whole[at : at + 8]
        (size,) = struct.unpack_from("<i", head, 4)
        if size == 0:  # the end, or what a file system leaves where nothing was written
            return
        if head[:4] != _CONTINUES or size < 0:
            raise _DamagedError("what should be a message is none")
        if at + 8 + size > len(whole):
            return
        kind, length, body, packed = _header(whole[at + 8 : at + 8 + size])
        if body < 0:
            raise _DamagedError("a message has less than no length")
        at += 8 + size + body
        if at > len(whole):
            return
        if packed:
            raise _DamagedError("its columns are compressed, which zdtest never does")
        yield kind, length, body


def _header(message: bytes) -> tuple[int, int, int, bool]:
    """Return what a message's header declares: kind, rows, bytes of its body, whether they are compressed."""
    root = _number("<I", message, 0)
    kind_at = _field(message, root, 1)
    body = _field(message, root, 3)
    kind = message[kind_at] if kind_at else 0
    batch = _inner(message, root, 2)
    if kind == _DICTIONARY:
        batch = _inner(message, batch, 1)
    elif kind != _BATCH:
        batch = 0
    length = _field(message, batch, 0) if batch else 0
    return (
        kind,
        _number("<q", message, length) if length else 0,
        _number("<q", message, body) if body else 0,
        bool(batch and _field(message, batch, 3)),
    )


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
        raise _DamagedError("a message points before its own beginning")
    found: int = struct.unpack_from(shape, message, at)[0]
    return found
