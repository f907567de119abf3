"""Reading the hits that ended within a stretch of time: of each column only what is asked for, without Arrow.

The index says where each column of a batch lies. Its values are read from there into an array of their final size; so
a pass over a few columns of a long run costs little more than copying them.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.errors import RecordingError
from harness.recording.bytime.columns import ANSWER
from harness.recording.write import HIT_SCHEMA, LATER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.bytime.columns import Places
    from harness.recording.bytime.index import Batch, Index

ROW = "row"  # asked for like a column: the number of each row among all of the recording
_Rows = slice | np.ndarray  # of a batch
_CODED = frozenset(field.name for field in HIT_SCHEMA if pa.types.is_dictionary(field.type))
_IN_FILE = {  # how the values of each column lie there
    field.name: np.dtype((field.type.index_type if field.name in _CODED else field.type).to_pandas_dtype())
    for field in HIT_SCHEMA
}
_PLAIN = frozenset(_IN_FILE) - _CODED - {ANSWER, "until_close"}  # lie there as they are held


def read(index: Index, names: Sequence[str], span: tuple[int, int], places: Places | None) -> pd.DataFrame:
    """Return the hits that ended within `span`, those of one worker after the other; `worker` is the last column.

    `places` translates the column `answer`. Raises RecordingError if a file went away, or was cut off meanwhile.
    """
    chosen = [
        (batch, rows) for batch in index.within(*span) if (rows := _inside(index, batch, span)) is not None
    ]
    ends = np.cumsum([0, *(_count(rows) for _, rows in chosen)]).tolist()
    places_of = [slice(first, end) for first, end in pairwise(ends)]
    workers = np.empty(ends[-1], dtype=np.uint16)
    for (batch, _), to in zip(chosen, places_of, strict=True):
        workers[to] = batch.worker
    columns: dict[str, Any] = {}
    for name in names:
        column = columns[name] = np.empty(ends[-1], dtype=_kind(name))
        plain = name in _PLAIN
        for (batch, rows), to in zip(chosen, places_of, strict=True):
            if plain and isinstance(rows, slice) and name in batch.begins:
                begin = batch.begin(name) + rows.start * column.itemsize
                _fill(column[to], index, batch, begin)
            else:
                column[to] = _values(index, batch, name, rows, places)
        if name in index.words:
            columns[name] = index.words[name].column(column)
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
    # An answer is wider than in the file: all workers together have more answers than one.
    return np.int64 if name == ROW else np.int32 if name in _CODED or name == ANSWER else _IN_FILE[name]


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
    kind = _IN_FILE[name]
    if kind == np.bool_:  # a bit for each row, the lowest first
        first = rows.start // 8
        packed = np.empty(-(-rows.stop // 8) - first, dtype=np.uint8)
        _fill(packed, index, batch, batch.begin(name) + first)
        return np.unpackbits(packed, bitorder="little")[rows.start - 8 * first :][: _count(rows)].view(bool)
    found = np.empty(_count(rows), dtype=kind)
    _fill(found, index, batch, batch.begin(name) + rows.start * kind.itemsize)
    return found


def _fill(found: np.ndarray, index: Index, batch: Batch, at: int) -> None:
    """Fill an array with what stands at a place of a batch's file."""
    file = index.file(batch.worker)
    if os.preadv(file.fileno(), [found.data], at) != found.nbytes:
        raise RecordingError(f"{file.name}: it was cut off while it was read")
