"""The latest batches of a lane, and the recordings that they go to.

A lane sends for days, a recording is of minutes: it begins with what is still kept here, on a clock whose zero is its
own beginning, and goes on with every batch that follows, until the last hit has ended that was due before its end.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from harness.model import NEVER
from harness.recording.answers import FOLDER
from harness.recording.write import CONNECTION_SCHEMA, WORKER_SCHEMA, ArrowStream, JsonLines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

_MOMENTS = frozenset({"due_ns", "sent_ns", "first_byte_ns", "done_ns", "opened_ns", "closed_ns"})
_WORKER = 0  # the only one of such a recording


class Extract:
    """A recording of a lane: its hits, connections and answers from `from_ns` on. Times on disk begin there."""

    def __init__(self, directory: Path, from_ns: int) -> None:
        self.from_ns = from_ns
        self.end_ns: int | None = None  # hits due later are not part of it
        self._hits = ArrowStream(directory / "hits" / f"{_WORKER}.arrow", WORKER_SCHEMA, _WORKER)
        self._connections = ArrowStream(
            directory / "connections" / f"{_WORKER}.arrow", CONNECTION_SCHEMA, _WORKER
        )
        self._answers = directory / FOLDER / f"{_WORKER}.jsonl"
        self._lines: JsonLines | None = None
        self.broken = False  # it cannot be written any more: the load goes on without it

    def hits(self, batch: pa.RecordBatch) -> None:
        """Take what of a batch of hits belongs to the recording."""
        wanted = _numbers(batch, "done_ns") >= self.from_ns
        if self.end_ns is not None:
            wanted &= _numbers(batch, "due_ns") <= self.end_ns
        self._append(self._hits, batch, wanted)

    def connections(self, batch: pa.RecordBatch) -> None:
        """Take what of a batch of connections was closed within the recording."""
        closed = _numbers(batch, "closed_ns")
        wanted = (closed >= self.from_ns) & (self.end_ns is None or closed <= self.end_ns)
        self._append(self._connections, batch, wanted)

    def answer(self, line: dict[str, Any]) -> None:
        """Take an answer that rows may point to."""
        try:
            if self._lines is None:
                self._lines = JsonLines(self._answers)
            self._lines.append(line)
        except OSError:
            self.broken = True

    def close(self) -> None:
        """End the files."""
        with suppress(OSError):
            self._hits.close()
        with suppress(OSError):
            self._connections.close()
        if self._lines is not None:
            self._lines.close()

    def _append(self, stream: ArrowStream, batch: pa.RecordBatch, wanted: npt.NDArray[np.bool_]) -> None:
        if not wanted.all():
            batch = batch.take(pa.array(np.flatnonzero(wanted)))
        if self.broken or not batch.num_rows:
            return
        columns = [
            pa.array(_shifted(_numbers(batch, name), self.from_ns)) if name in _MOMENTS else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        try:
            stream.append(columns)
        except OSError:  # the disk is full; the judge sees that rows are missing
            self.broken = True


class Recent:
    """The latest batches of one kind. Takes the place of a worker's file."""

    def __init__(self, schema: pa.Schema, end: str, give: Callable[[Extract, pa.RecordBatch], None]) -> None:
        self._schema = schema
        self._end = end  # the column that says when a row was complete
        self._give = give
        self._batches: deque[tuple[int, pa.RecordBatch]] = deque()  # with the last moment in each
        self.extracts: list[Extract] = []

    def append(self, arrays: list[pa.Array]) -> None:
        """Keep a batch, and give it to every recording that is open."""
        batch = pa.record_batch(arrays, schema=self._schema)
        self._batches.append((int(_numbers(batch, self._end).max()), batch))
        for extract in self.extracts:
            self._give(extract, batch)

    def begin(self, extract: Extract) -> None:
        """Give a recording what is kept, and what follows."""
        for last_ns, batch in self._batches:
            if last_ns >= extract.from_ns:
                self._give(extract, batch)
        self.extracts.append(extract)

    def forget(self, before_ns: int) -> None:
        """Drop the batches that ended before a moment."""
        while self._batches and self._batches[0][0] < before_ns:
            self._batches.popleft()

    def close(self) -> None:
        """Nothing is open here: recordings are closed by themselves."""


class RecentAnswers:
    """All answers that a lane has kept: rows point to them by number. There are at most recording.answers.MOST."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []
        self.extracts: list[Extract] = []

    def append(self, line: dict[str, Any]) -> None:
        """Keep an answer, and give it to every recording that is open."""
        self._lines.append(line)
        for extract in self.extracts:
            extract.answer(line)

    def begin(self, extract: Extract) -> None:
        """Give a recording all of them, and those that follow."""
        for line in self._lines:
            extract.answer(line)
        self.extracts.append(extract)

    def close(self) -> None:
        """Nothing is open here."""


def _numbers(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = batch.column(batch.schema.get_field_index(name)).to_numpy()
    return found


def _shifted(moments: npt.NDArray[np.int64], zero_ns: int) -> npt.NDArray[np.int64]:
    """Return moments on a recording's own clock. What began earlier begins with it."""
    return np.where(moments == NEVER, NEVER, np.maximum(moments - zero_ns, 0))
