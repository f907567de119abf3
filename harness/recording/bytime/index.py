"""Where each batch of hits lies in its file, when its hits ended, and what its words are; made in one checked pass."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from harness.errors import RecordingError
from harness.recording.batches import Stream
from harness.recording.bounds import check_outcomes, check_span, check_values
from harness.recording.bytime.columns import ANSWER, NoAnswerError, Places, TooManyWordsError, Words
from harness.recording.write import HIT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from harness.model import RunRecord

_TEXT = tuple(field.name for field in HIT_SCHEMA if pa.types.is_dictionary(field.type))
_NUMBERS = tuple(field.name for field in HIT_SCHEMA if pa.types.is_integer(field.type))
_OPEN = 64  # files


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of one worker: its rows, and what is the same for many: where each column of its file's batches begins,
    by the batch's number, and the codes of its words. Columns that the file lacks are left out.
    """

    worker: int
    row: int  # the number of its first row among all rows of the recording
    rows: int
    first_done_ns: int
    last_done_ns: int
    first_due_ns: int
    last_due_ns: int
    number: int
    begins: Mapping[str, NDArray[np.int64]]
    codes: Mapping[str, Any]

    def begin(self, column: str) -> int:
        """Return where in the file a column of this batch begins."""
        return int(self.begins[column][self.number])


class Index:
    """All batches of hits, those of one worker after the other.

    Making it reads every file once and checks all of it. Raises RecordingError, one line, if anything is damaged.
    """

    def __init__(self, root: Path, numbers: Sequence[int], run: RunRecord) -> None:
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()
        self._folder = root / "hits"
        self.words = {name: Words(name) for name in _TEXT}
        self.rows = 0
        self.weighted = False
        self.batches: list[Batch] = []
        self._moments: NDArray[np.int64] | None = None  # the first and the last end of each
        self._run = run
        self._streams = {n: Stream(root, f"hits/{n}.arrow", HIT_SCHEMA, HIT_SCHEMA.names) for n in numbers}
        try:
            for number, stream in self._streams.items():
                self._read(number, stream)
        except (TooManyWordsError, NoAnswerError) as error:
            raise RecordingError(f"{self._folder} is damaged: {error}") from None
        check_outcomes(self.words["outcome"].known, self._folder)
        moments = [
            [one.first_done_ns, one.last_done_ns, one.first_due_ns, one.last_due_ns] for one in self.batches
        ]
        check_span({"done_ns": moments}, self.rows, self._folder)

    def within(self, from_ns: int, to_ns: int) -> list[Batch]:
        """Return the batches of which hits may have ended within this time."""
        if self._moments is None:
            moments = [(batch.first_done_ns, batch.last_done_ns) for batch in self.batches]
            self._moments = np.array(moments, dtype=np.int64).reshape(-1, 2)
        first, last = self._moments.T
        return [self.batches[n] for n in np.flatnonzero((last >= from_ns) & (first < to_ns)).tolist()]

    def file(self, worker: int) -> BinaryIO:
        """Return a worker's file, open for reading. Only some are kept open."""
        file = self._open.pop(worker, None)
        if file is None:
            file = self._streams[worker].opened()
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)[1].close()
        self._open[worker] = file
        return file

    def close(self) -> None:
        """Close the files."""
        while self._open:
            self._open.popitem()[1].close()

    def __del__(self) -> None:
        self.close()

    def _read(self, number: int, stream: Stream) -> None:
        columns = stream.columns_at()
        codes: dict[str, Any] = {}
        for place, batch in enumerate(stream.batches()):
            if not batch.num_rows:
                continue
            extremes = {name: _extremes(batch[name]) for name in _NUMBERS if name in batch.schema.names}
            check_values(extremes, self._run, self._folder)
            if ANSWER in extremes:
                Places.check(*extremes[ANSWER])
            self.weighted |= extremes.get("stands_for", (1, 1))[1] > 1
            words = {name: self.words[name].codes(batch[name].dictionary) for name in _TEXT}
            if any(words[name] is not codes.get(name) for name in words):  # the same of most batches
                codes = words
            done, due = extremes["done_ns"], extremes["due_ns"]
            self.batches.append(
                Batch(
                    number,
                    self.rows,
                    batch.num_rows,
                    *done,
                    *due,
                    place,
                    columns,
                    codes,
                )
            )
            self.rows += batch.num_rows


def _extremes(column: pa.Array) -> tuple[int, int]:
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    return int(values.min()), int(values.max())
