"""Record batches of an Arrow stream, checked to be what our own writer writes.

A stream may be cut off at any byte: every whole message counts. A whole message that cannot be read is damage. So is
anything that our writer never writes: compressed columns (which may unpack to any size), nulls, rows without bytes,
indices outside of their dictionary.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from harness.errors import RecordingError
from harness.recording import folder
from harness.recording.bytime.messages import BATCH, DamagedError, Message, messages
from harness.recording.write import LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

_LARGEST = 1 << 40  # bytes of one file
_BUFFERS = {"plain": 2, "text": 3}  # of a column, by what `_sort` calls it
_ROW = 8  # bytes of one row at least: its first column is an int64


class Stream:
    """One .arrow file of a recording. Opening it counts its whole batches and reads none.

    Raises RecordingError, one line, when the file holds columns and they are not ours, or it is damaged.
    """

    def __init__(self, root: Path, name: str, schema: pa.Schema, columns: Sequence[str]) -> None:
        self._root, self._name, self._path = root, name, root / name
        self._schema, self._columns = schema, columns
        try:
            with self.opened() as file:
                whole = _whole(file)
            self._batches, self.rows = len(whole), sum(batch.rows for batch in whole)
            self._buffers = [batch.buffers for batch in whole]
        except (DamagedError, struct.error) as error:
            raise self._damaged(str(error)) from None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield every whole batch: the columns that were asked for, each checked."""
        if not self._batches:
            return
        try:
            with self.opened() as file:
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

    def columns_at(self) -> dict[str, NDArray[np.int64]]:
        """Return for each column asked for where in the file each whole batch has it; without those that it lacks."""
        if not self._batches:
            return {}
        try:
            with self.opened() as file:
                found = pa.ipc.open_stream(pa.PythonFile(file, mode="r")).schema
            sizes = [_BUFFERS.get(_sort(field.type)) for field in found]
            if None in sizes:
                raise self._damaged("it has a column of a type that zdtest never writes")
            firsts = np.cumsum([0, *sizes])
            if any(len(buffers) != firsts[-1] for buffers in self._buffers):
                raise self._damaged("a batch has other columns than its file")
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(str(error)) from None
        # The first buffer of a column says which of its values are null: none is.
        return {
            name: np.fromiter((buffers[firsts[at] + 1] for buffers in self._buffers), np.int64)
            for name in self._columns
            if (at := found.get_field_index(name)) >= 0
        }

    def opened(self) -> BinaryIO:
        """Open the file. Raises RecordingError if it went away."""
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


def _sort(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return "text"
    return "plain" if pa.types.is_primitive(kind) or pa.types.is_dictionary(kind) else ""


def _whole(file: BinaryIO) -> list[Message]:
    """Find the whole batches of a stream. The file is mapped, so only the batches' heads are read."""
    if file.seek(0, 2) == 0:  # cannot be mapped
        return []
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        found = [message for message in messages(whole) if message.kind == BATCH]
    for batch in found:
        if not 0 <= batch.rows <= batch.body // _ROW:
            raise DamagedError(f"a batch says that it has {batch.rows} rows, and has no room for them")
    return found
