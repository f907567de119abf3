"""Reading the hits that ended within a stretch of time: of each column only what is asked for, without Arrow.

The index says where each column of a batch lies. Its values are read from there into an array of their final size; so
a pass over a few columns of a long run costs little more than copying them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.errors import RecordingError
from harness.recording.columns import ANSWER
from harness.recording.write import HIT_SCHEMA, LATER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.bytime.index import Batch, Index
    from harness.recording.columns import Places

ROW = "row"  # asked for like a column: the number of each row among all of the recording
_Rows = slice | np.ndarray  # of a batch


def read(index: Index, names: Sequence[str], span: tuple[int, int], places: Places | None) -> pd.DataFrame:
    """Return the hits that ended within `span`, those of one worker after the other; `worker` is the last column.

    `places` translates the column `answer`. Raises RecordingError if a file went away, or was cut off meanwhile.
    """
    chosen = [(batch, rows) for batch in index.batches if (rows := _inside(index, batch, span)) is not None]
    sizes = [_count(rows) for _, rows in chosen]
    total = sum(sizes)
    columns: dict[str, Any] = {name: np.empty(total, dtype=_kind(name)) for name in names}
    workers = np.empty(total, dtype=np.uint16)
    at = 0
    for (batch, rows), size in zip(chosen, sizes, strict=True):
        to = slice(at, at + size)
        at += size
        workers[to] = batch.worker
        for name, column in columns.items():
            column[to] = _values(index, batch, name, rows, places)
    for name, words in index.words.items():
        if name in columns:
            columns[name] = words.column(columns[name])
    columns["worker"] = workers
    return pd.DataFrame(columns, copy=False)


def _inside(index: Index, batch: Batch, span: tuple[int, int]) -> _Rows | None:
    """Return which rows of a batch ended within the span; None if none did."""
    from_ns, to_ns = span
    if batch.last_done_ns < from_ns or batch.first_done_ns >= to_ns:
        return None
    if batch.first_done_ns >= from_ns and batch.last_done_ns < to_ns:
        return slice(0, batch.rows)
    done = _raw(index, batch, "done_ns", slice(0, batch.rows))
    inside = np.flatnonzero((done >= from_ns) & (done < to_ns))
    if not len(inside):
        return None
    first, last = int(inside[0]), int(inside[-1])
    return slice(first, last + 1) if last - first + 1 == len(inside) else inside


def _count(rows: _Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _kind(name: str) -> Any:
    if name == ROW:
        return np.int64
    kind = HIT_SCHEMA.field(name).type
    # An answer is wider than in the file: all workers together have more answers than one.
    return np.int32 if pa.types.is_dictionary(kind) or name == ANSWER else kind.to_pandas_dtype()


def _values(index: Index, batch: Batch, name: str, rows: _Rows, places: Places | None) -> Any:
    if name == ROW:
        return batch.row + (np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)
    if name not in batch.begins:
        return LATER[name]
    found = _raw(index, batch, name, rows)
    if name in batch.codes:  # a file that was changed meanwhile does not lead out of the words
        return batch.codes[name].take(found, mode="clip")
    return places(batch.worker, found) if name == ANSWER and places is not None else found


def _raw(index: Index, batch: Batch, name: str, rows: _Rows) -> Any:
    """Read values as they are in the file."""
    if not isinstance(rows, slice):
        return _raw(index, batch, name, slice(0, batch.rows))[rows]
    kind = HIT_SCHEMA.field(name).type
    if pa.types.is_boolean(kind):  # a bit for each row, the lowest first
        first = rows.start // 8
        packed = _bytes(index, batch, batch.begin(name) + first, -(-rows.stop // 8) - first)
        return np.unpackbits(packed, bitorder="little")[rows.start - 8 * first :][: _count(rows)].view(bool)
    kind = np.dtype(kind.index_type.to_pandas_dtype() if pa.types.is_dictionary(kind) else _file_kind(name))
    begin = batch.begin(name) + rows.start * kind.itemsize
    return _bytes(index, batch, begin, _count(rows) * kind.itemsize).view(kind)


def _file_kind(name: str) -> Any:
    return HIT_SCHEMA.field(name).type.to_pandas_dtype()


def _bytes(index: Index, batch: Batch, at: int, count: int) -> np.ndarray:
    found = np.empty(count, dtype=np.uint8)
    file = index.file(batch.worker)
    if os.preadv(file.fileno(), [found.data], at) != count:
        raise RecordingError(f"{file.name}: it was cut off while it was read")
    return found
