"""A worker's rows on their way to disk, and the totals counted from them.

A finished hit is ten integers in a preallocated buffer, written by one call: a tenth of the cost of appending to
each column. What repeats is not written for each hit: everything about the connection is one number (`ident`), and
everything about the response (status, outcome, pod, target, index of a failed answer) is another (`kind`). numpy
splits the buffer into columns: four times a second for the totals, and about once a second for the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from harness.load.answers import AnswerBook
from harness.load.rows.totals import CycleMedian, First, Totals
from harness.model import NEVER, OUTCOME_CODE, OUTCOMES, POD_NAMES, LoadPlan, Outcome, is_failed
from harness.recording.answers import FOLDER, NONE
from harness.recording.write import CONNECTION_SCHEMA, OUTCOME_NAMES, WORKER_SCHEMA, ArrowStream

if TYPE_CHECKING:
    from pathlib import Path

    from harness.load.failures import Ending

    class Stream(Protocol):
        """Where batches go: a file, or what keeps the latest of them."""

        def append(self, arrays: list[pa.Array]) -> None:
            """Take one batch, with its columns in the schema's order."""

        def close(self) -> None:
            """Take no more."""


ROW = Struct("10q")
SEQ, IDENT, CONN_HITS, DUE, SENT, FIRST, DONE, BYTES_IN, BYTES_OUT, KIND = range(10)
NO_CONN = 0xFFFF_FFFF  # -1 in the 32 bits that hold a connection's number
_SAMPLED = 200  # cycles sampled per count: enough for a median, and cheap at any rate
_WHOLE = OUTCOME_CODE[Outcome.RESPONSE]
_PEERS = 0x7FFF  # how many peers can be distinguished


class Opening(NamedTuple):
    """How a connection was opened: the first half of its row."""

    opened_ns: int = NEVER
    connect_ns: int = NEVER
    tls_ns: int = NEVER
    peer: str = ""
    tls_version: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One connection's row, as CONNECTION_SCHEMA describes it."""

    conn: int
    slot: int
    opening: Opening
    closed_ns: int
    ending: Ending
    hits: int


class HitRows:
    """The hits. The hot path writes to `buffer` at `offset`, row by row, as long as that is below `limit`."""

    # A batch of events is at most BATCH hits; room for them is made before each batch.
    BATCH = 256
    CAPACITY = 32 * BATCH
    OPEN_CAPACITY = 8 * BATCH  # in an open loop: what becomes due while rows are written is sent late

    def __init__(
        self,
        path: Path,
        worker: int,
        plan: LoadPlan,
        stream: Stream | None = None,
        answers: AnswerBook | None = None,
    ) -> None:
        """Write to the file `path` and to answers beside it, unless `stream` and `answers` are given."""
        self._stream: Stream = stream or ArrowStream(path, WORKER_SCHEMA, worker)
        self.answers = answers or AnswerBook(
            path.parent.parent / FOLDER / f"{worker}.jsonl", plan.pod_headers
        )
        self._plan = plan
        self.buffer = bytearray(ROW.size * (self.CAPACITY + self.BATCH))
        self.limit = ROW.size * (self.CAPACITY if plan.rate is None else self.OPEN_CAPACITY)
        self.offset = 0
        self._counted = 0  # offset up to which rows are in the totals
        self.totals = Totals()
        self.cycles = CycleMedian()
        self.cycles_open = plan.rate is None  # the baseline of a closed loop is still being measured
        self._codes: dict[tuple[int, Outcome, str, int, bool, int], int] = {}
        self._kinds: list[tuple[int, int, int, int, bool, bool, int]] = []
        self._table = np.zeros((0, 7), np.int64)  # status, outcome, pod, target, failed, until_close, answer
        self._pods = _Names()
        self._peers = _Names()

    def kind(
        self,
        status: int,
        outcome: Outcome,
        pod: str,
        target: int,
        *,
        until_close: bool = False,
        answer: int = NONE,
    ) -> int:
        """Return the number that stands for this result. `answer`: the index of what a failed answer said."""
        key = (status, outcome, pod, target, until_close, answer)
        code = self._codes.get(key)
        if code is None:
            if pod and not self._pods.takes(
                pod, POD_NAMES
            ):  # a new name in every response would make every hit a kind of its own
                return self.kind(status, outcome, "", target, until_close=until_close, answer=answer)
            code = self._codes[key] = len(self._kinds)
            failed = is_failed(outcome, expected=self._plan.expected(status))
            self._kinds.append(
                (status, OUTCOME_CODE[outcome], self._pods.code(pod), target, failed, until_close, answer)
            )
        return code

    def failed(self, kind: int) -> bool:
        """Return whether a hit of this kind failed."""
        return self._kinds[kind][4]

    @property
    def names(self) -> int:
        """How many pods and peers have been told apart so far."""
        return len(self._pods) + len(self._peers)

    def ident(self, slot: int, conn: int, peer: str) -> int:
        """Return the number that stands for a connection; `conn` is -1 if none was opened."""
        code = self._peers.code(peer)
        return conn & NO_CONN | slot << 32 | (code if code <= _PEERS else 0) << 48

    def add(self, *row: int) -> None:
        """Write one row outside the hot path."""
        if self.offset >= self.limit:
            self.flush()
        ROW.pack_into(self.buffer, self.offset, *row)
        self.offset += ROW.size

    def count(self) -> Totals:
        """Update the totals and return them."""
        rows = self._rows()[self._counted // ROW.size :]
        self._counted = self.offset
        if len(rows) == 0:
            return self.totals
        table = self._kind_table()
        totals = self.totals
        firsts = frozenset(totals.firsts)
        totals.completed += len(rows)
        kinds = np.bincount(rows[:, KIND], minlength=len(table))
        for kind in np.flatnonzero(kinds).tolist():
            status, code, pod, _, failed, _, answer = self._kinds[kind]
            outcome, count = OUTCOMES[code], int(kinds[kind])
            name = str(status) if outcome is Outcome.RESPONSE else outcome.value
            if outcome is Outcome.RESPONSE:
                totals.statuses[status] = totals.statuses.get(status, 0) + count
            else:
                totals.outcomes[name] = totals.outcomes.get(name, 0) + count
            if failed and name not in firsts:
                done_ns = int(rows[rows[:, KIND] == kind, DONE].min())
                totals.failed_first(name, First(done_ns, answer, self._pods.name(pod)))
        bad = table[:, 4] == 1
        good = ~bad & (table[:, 1] == _WHOLE)
        done = rows[:, DONE]
        took = done - rows[:, DUE]
        if not good[kinds > 0].all():  # seldom, and it takes longer than all the rest
            if lost := int(kinds[bad].sum()):
                totals.failed += lost
                totals.last_failed_ns = max(totals.last_failed_ns, int(done[bad.take(rows[:, KIND])].max()))
            took = took[good.take(rows[:, KIND])]
        totals.time(took)
        if self.cycles_open:
            self.cycles.add(took[:: max(1, len(took) // _SAMPLED)])
        return totals

    def flush(self) -> None:
        """Write all rows to the file."""
        self.count()
        rows = self._rows()
        if len(rows) == 0:
            return
        ident = rows[:, IDENT]
        kinds = self._kind_table().take(rows[:, KIND], 0)  # ten times as fast as an index
        outcome = pa.DictionaryArray.from_arrays(_column(kinds[:, 1], np.uint8), OUTCOME_NAMES)
        self._stream.append(
            [
                _column(rows[:, SEQ], np.int64),
                _column(ident >> 32 & 0xFFFF, np.uint16),
                _column(ident & NO_CONN, np.int32),
                _column(rows[:, CONN_HITS], np.int32),
                *(_column(rows[:, at], np.int64) for at in (DUE, SENT, FIRST, DONE)),
                _column(kinds[:, 0], np.uint16),
                outcome,
                _column(rows[:, BYTES_IN], np.int64),
                _column(rows[:, BYTES_OUT], np.int64),
                _column(kinds[:, 3], np.uint16),
                self._peers.column(ident >> 48),
                self._pods.column(kinds[:, 2]),
                _column(kinds[:, 5], np.bool_),
                _column(kinds[:, 6], np.int16),
            ]
        )
        self.offset = self._counted = 0

    def close(self) -> None:
        """Write the remaining rows and end the file."""
        self.flush()
        self._stream.close()
        self.answers.close()

    def _rows(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        count = self.offset // ROW.size * 10
        return np.frombuffer(self.buffer, np.int64, count).reshape(-1, 10)

    def _kind_table(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        if new := self._kinds[len(self._table) :]:
            self._table = np.concatenate([self._table, np.array(new, np.int64)])
        return self._table


class ConnectionRows:
    """The connections. There are few of them, so plain records will do."""

    def __init__(self, path: Path, worker: int, stream: Stream | None = None) -> None:
        self._stream: Stream = stream or ArrowStream(path, CONNECTION_SCHEMA, worker)
        self._rows: list[ConnectionRow] = []
        self._peers, self._bys, self._hows, self._versions = _Names(), _Names(), _Names(), _Names()

    def add(self, row: ConnectionRow) -> None:
        """Keep one row until the next flush."""
        self._rows.append(row)

    def flush(self) -> None:
        """Write all rows to the file."""
        rows = self._rows
        if not rows:
            return
        self._stream.append(
            [
                _column(np.array([row.conn for row in rows]), np.int32),
                _column(np.array([row.slot for row in rows]), np.uint16),
                self._peers.column([self._peers.code(row.opening.peer) for row in rows]),
                _column(np.array([row.opening.opened_ns for row in rows]), np.int64),
                _column(np.array([row.opening.connect_ns for row in rows]), np.int64),
                _column(np.array([row.opening.tls_ns for row in rows]), np.int64),
                _column(np.array([row.closed_ns for row in rows]), np.int64),
                self._bys.column([self._bys.code(row.ending.by) for row in rows]),
                self._hows.column([self._hows.code(row.ending.how) for row in rows]),
                _column(np.array([row.hits for row in rows]), np.int32),
                self._versions.column([self._versions.code(row.opening.tls_version) for row in rows]),
            ]
        )
        self._rows = []

    def close(self) -> None:
        """Write the remaining rows and end the file."""
        self.flush()
        self._stream.close()


class _Names:
    """A growing dictionary of names. Number 0 is the empty name. New names go to the end: the file stores deltas."""

    def __init__(self) -> None:
        self._codes = {"": 0}
        self._array = pa.array([""])

    def __len__(self) -> int:
        return len(self._codes)

    def takes(self, name: str, most: int) -> bool:
        return name in self._codes or len(self._codes) <= most

    def code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def name(self, code: int) -> str:
        return next(islice(self._codes, code, None))

    def column(self, codes: object) -> pa.Array:
        if len(self._array) < len(self._codes):
            self._array = pa.array(list(self._codes))
        return pa.DictionaryArray.from_arrays(_column(np.asarray(codes), np.int32), self._array)


def _column(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]], dtype: type[np.generic]) -> pa.Array:
    return pa.array(np.array(values, dtype))  # a copy: the hot path writes to the rows again
