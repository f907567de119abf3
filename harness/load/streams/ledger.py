"""What a worker's streams leave on record: hits, connections and streams, each with its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from harness.load.rows.writing import ConnectionRow, Opening
from harness.model import NEVER, Outcome
from harness.recording.answers import NONE
from harness.recording.streams import STREAM_SCHEMA
from harness.recording.write import ArrowStream

if TYPE_CHECKING:
    from pathlib import Path

    from harness.load.dial import Dialled
    from harness.load.failures import Ending
    from harness.load.rows.writing import ConnectionRows, HitRows
    from harness.load.streams.held import Back, Held
    from harness.load.streams.life import Life
    from harness.model import LoadPlan


_MOST_REFUSALS = 200  # characters


class Ledger:
    """The rows of one worker. `samples` holds the first error text of each outcome."""

    def __init__(
        self,
        plan: LoadPlan,
        rows: HitRows,
        connections: ConnectionRows,
        anchor_ns: int,
        path: Path,
        worker: int,
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._connections = connections
        self._streams = StreamRows(path, worker)
        self._anchor = anchor_ns
        self._seq = self._conns = 0
        self.samples: dict[str, str] = {}

    def second(self) -> None:
        """Begin a new second: write the streams that have ended."""
        self._rows.answers.second()
        self._streams.flush()

    def finish(self) -> None:
        """Write all streams, and end their file."""
        self._streams.close()

    def dialled(self, slot: Held, dialled: Dialled, now: int) -> None:
        """Give the slot's handshake and connection their numbers. One that did not open gets its row."""
        slot.opening = Opening(
            dialled.opened_ns - self._anchor, dialled.connect_ns, dialled.tls_ns, dialled.peer, dialled.tls_version
        )  # fmt: skip
        conn = NEVER
        if dialled.outcome is None or dialled.ending is not None:
            conn, self._conns = self._conns, self._conns + 1
        if dialled.ending is not None:
            self._connections.add(ConnectionRow(conn, slot.index, slot.opening, now, dialled.ending, 0))
        # A connection whose TLS handshake failed belongs to the hit; one that never opened does not.
        self.number(slot, NEVER if dialled.connect_ns == NEVER else conn, dialled.peer)
        if dialled.outcome is not None:
            self.sample(dialled.outcome, dialled.text)

    def number(self, slot: Held, conn: int, peer: str) -> None:
        """Give the slot's handshake its number."""
        slot.seq, self._seq = self._seq, self._seq + 1
        slot.conn = conn
        slot.ident = self._rows.ident(slot.index, conn, peer)

    def row(self, slot: Held, outcome: Outcome, now: int, due: int, *, until_close: bool = False) -> None:
        """Write a hit: the handshake or the failed end, with the handshake's own number, or what came in between."""
        talk, answer = slot.talk, NONE
        status, pod = (talk.status, talk.pod) if talk is not None else (0, "")
        failed = outcome is not Outcome.RESPONSE or not self._plan.expected(status)
        if failed and status and talk is not None and outcome is not Outcome.CUT_AT_DEADLINE:
            answer = self._rows.answers.failed(slot.prepared, slot.seq, status, "", talk.begin, talk.said)
        kind = self._rows.kind(
            status, outcome, pod, slot.prepared.index, until_close=until_close, answer=answer
        )
        seq, sent, first = slot.seq, slot.sent, slot.first
        if slot.hits and not failed:
            seq, self._seq = self._seq, self._seq + 1
            sent, first = due, now
        self._rows.add(seq, slot.ident, slot.hits, due, sent, first, now, slot.bytes_in, slot.bytes_out, kind)
        slot.hits += 1
        slot.bytes_in = slot.bytes_out = 0
        slot.noted = now

    def opened(self, slot: Held, now: int) -> None:
        """Write the row of a handshake that opened a stream, and keep which server it was."""
        self.row(slot, Outcome.RESPONSE, now, slot.due)
        if self._rows.answers.looks and slot.talk is not None:
            self._rows.answers.good(slot.prepared, slot.seq, slot.talk.begin, slot.talk.said)

    def stream(self, slot: Held, now: int, ending: Ending, how: str, code: int) -> None:
        """Write the row of a stream that has ended."""
        talk, life = slot.talk, slot.life
        if talk is not None and life is not None:
            self._streams.add(
                StreamRow(
                    slot.index, slot.conn, talk.kind, life, now, ending.by, how, code, slot.back(),
                    talk.pod, slot.opening.peer,
                )
            )  # fmt: skip

    def closed(self, slot: Held, now: int, ending: Ending) -> None:
        """Write the row of a connection."""
        self._connections.add(ConnectionRow(slot.conn, slot.index, slot.opening, now, ending, slot.hits))

    def sample(self, outcome: Outcome, text: str) -> None:
        """Keep the text of the first error of each outcome."""
        if text:
            self.samples.setdefault(outcome.value, text)


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream, as STREAM_SCHEMA describes it."""

    slot: int
    conn: int
    kind: str
    life: Life
    ended_ns: int
    by: str
    how: str
    code: int
    back: Back
    pod: str
    peer: str


class StreamRows:
    """One worker's streams. Its file is made with the first of them."""

    def __init__(self, path: Path, worker: int) -> None:
        self._path = path
        self._worker = worker
        self._stream: ArrowStream | None = None
        self._rows: list[StreamRow] = []
        self._words: dict[str, dict[str, int]] = {}

    def add(self, row: StreamRow) -> None:
        """Keep one row until the next flush."""
        self._rows.append(row)

    def flush(self) -> None:
        """Write all rows to the file."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        if self._stream is None:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._stream = ArrowStream(self._path, STREAM_SCHEMA, self._worker)
        columns = [_values(row) for row in rows]
        self._stream.append(
            [
                self._column(field, [values[at] for values in columns])
                for at, field in enumerate(STREAM_SCHEMA)
            ]
        )

    def close(self) -> None:
        """Write the remaining rows and end the file."""
        self.flush()
        if self._stream is not None:
            self._stream.close()

    def _column(self, field: pa.Field, values: list[object]) -> pa.Array:
        if not pa.types.is_dictionary(field.type):
            return pa.array(values, field.type)
        known = self._words.setdefault(field.name, {"": 0})  # new words go to the end: the file stores deltas
        codes = [known.setdefault(str(value), len(known)) for value in values]
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(known)))


def _values(row: StreamRow) -> tuple[object, ...]:
    life, back = row.life, row.back
    return (
        life.opened_ns, row.slot, row.conn, row.kind, life.handshake_ns, life.first_ns, life.last_ns, life.messages,
        life.gap_ns, row.ended_ns, row.by, row.how, row.code, life.first_id, life.last_id, life.jumps, life.missing,
        back.conn, back.lost_ns, back.tries, back.refused[:_MOST_REFUSALS], row.pod, row.peer,
    )  # fmt: skip
