"""A recording's hits, connections, streams and events as tables with plain columns, a batch at a time.

A moment that did not come, a status without an answer and a connection that was not opened are null. Columns that end
in `_ns` are nanoseconds on the run's clock, `_utc` the same moment by the wall clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness import masking
from harness.judge.numbers.hits import classify
from harness.model import NEVER
from harness.recording.write import LATER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.timeline.timeline import PhaseSpan
    from harness.recording.read import Recording

_UTC = pa.timestamp("ns", tz="UTC")
_EVENTS_AT_ONCE = 1000

HITS = pa.schema(
    [
        ("worker", pa.uint16()),
        ("seq", pa.int64()),
        ("slot", pa.uint16()),
        ("connection", pa.int32()),
        ("requests_before", pa.int32()),  # on this connection
        ("due_ns", pa.int64()),
        ("due_utc", _UTC),
        ("sent_ns", pa.int64()),
        ("first_byte_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("latency_ms", pa.float64()),  # from when it was due to its end
        ("phase", pa.string()),  # warmup | before | during | after
        ("method", pa.string()),
        ("url", pa.string()),
        ("status", pa.uint16()),
        ("outcome", pa.string()),
        ("failed", pa.bool_()),
        ("cause", pa.string()),  # of a failed one: "B1"; "A1|C1" is one of the two
        ("pod", pa.string()),  # that the answer named
        ("peer", pa.string()),
        ("bytes_in", pa.int64()),
        ("bytes_out", pa.int64()),
        ("until_close", pa.bool_()),
        ("answer", pa.string()),  # the beginning of a failed answer's body
        ("stands_for", pa.uint32()),  # good requests that this row is, where some were thinned out; else 1
    ]
)
CONNECTIONS = pa.schema(
    [
        ("worker", pa.uint16()),
        ("connection", pa.int32()),
        ("slot", pa.uint16()),
        ("peer", pa.string()),
        ("opened_ns", pa.int64()),
        ("opened_utc", _UTC),
        ("connect_ms", pa.float64()),
        ("tls_ms", pa.float64()),
        ("closed_ns", pa.int64()),
        ("closed_by", pa.string()),
        ("how", pa.string()),
        ("requests", pa.int32()),
        ("tls_version", pa.string()),
    ]
)
STREAMS = pa.schema(
    [
        ("worker", pa.uint16()),
        ("connection", pa.int32()),
        ("slot", pa.uint16()),
        ("kind", pa.string()),  # websocket | sse | chunked
        ("pod", pa.string()),  # that the handshake named
        ("peer", pa.string()),
        ("opened_ns", pa.int64()),
        ("opened_utc", _UTC),
        ("handshake_ns", pa.int64()),
        ("first_message_ns", pa.int64()),
        ("last_message_ns", pa.int64()),
        ("ended_ns", pa.int64()),
        ("ended_utc", _UTC),
        ("ended_by", pa.string()),
        ("how", pa.string()),
        ("code", pa.uint16()),  # of the close frame; 1006: there was none
        ("messages", pa.int64()),
        ("largest_gap_ms", pa.float64()),
        ("first_id", pa.int64()),
        ("last_id", pa.int64()),
        ("jumps", pa.int64()),
        ("missing", pa.int64()),
        ("replaces", pa.int32()),  # the connection of the stream that the slot had lost
        ("lost_ns", pa.int64()),
        ("tries", pa.int32()),
        ("refused", pa.string()),
    ]
)
EVENTS = pa.schema(
    [
        ("at_ns", pa.int64()),
        ("at_utc", _UTC),
        ("change", pa.string()),  # LISTED | ADDED | MODIFIED | DELETED
        ("kind", pa.string()),
        ("namespace", pa.string()),
        ("name", pa.string()),
        ("uid", pa.string()),
        ("missed", pa.bool_()),  # known only from a list taken after a gap of the watch
        ("object", pa.string()),  # JSON
    ]
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the judge knows of the hits: the cause of each failed one by (worker, seq), and the phases."""

    causes: Mapping[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)
    phases: Sequence[PhaseSpan] = ()


def tables(
    recording: Recording, known: Known
) -> dict[str, tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]]:
    """Return each table that can be exported: its schema, and what yields its batches."""
    return {
        "hits": (HITS, lambda: hits(recording, known)),
        "connections": (CONNECTIONS, lambda: connections(recording)),
        "streams": (STREAMS, lambda: streams(recording)),
        "events": (EVENTS, lambda: events(recording)),
    }


def hits(recording: Recording, known: Known) -> Iterator[pa.RecordBatch]:
    """Yield all hits; those of one worker stand in the order in which they ended."""
    run = recording.run
    targets = [
        (str(target.get("method", "GET")), masking.url(str(target.get("url", "")))) for target in run.targets
    ]
    for worker, batch in recording.batches("hits"):
        rows = len(batch)
        frame = batch.to_pandas()
        failed = classify(frame, run).failed
        due, done = frame["due_ns"].to_numpy(), frame["done_ns"].to_numpy()
        numbers = frame["target"].to_numpy()
        seqs, answers = frame["seq"].to_numpy(), _column(batch, "answer").to_numpy(zero_copy_only=False)
        causes, bodies = [""] * rows, [""] * rows
        for at in np.flatnonzero(failed).tolist():
            causes[at] = "|".join(known.causes.get((worker, int(seqs[at])), ()))
            answer = recording.answer_of(worker, int(answers[at]))
            bodies[at] = answer.body if answer else ""
        said = {
            "worker": pa.array(np.full(rows, worker, dtype=np.uint16)),
            "connection": _or_null(batch, "conn", NEVER),
            "requests_before": batch["conn_hits"],
            "due_utc": _utc(batch["due_ns"], run.wall_ns),
            "sent_ns": _or_null(batch, "sent_ns", NEVER),
            "first_byte_ns": _or_null(batch, "first_byte_ns", NEVER),
            "latency_ms": pa.array((done - due) / 1e6),
            "phase": pa.array(_phases(done, known.phases).tolist(), pa.string()),
            "method": _worded(numbers, [method for method, _ in targets]),
            "url": _worded(numbers, [url for _, url in targets]),
            "status": _or_null(batch, "status", 0),
            "failed": pa.array(failed),
            "cause": pa.array(causes, pa.string()),
            "until_close": _column(batch, "until_close"),
            "stands_for": _column(batch, "stands_for"),
            "answer": pa.array(bodies, pa.string()),
        }
        yield _batch(HITS, said, batch)


def connections(recording: Recording) -> Iterator[pa.RecordBatch]:
    """Yield all connections, in the order in which they were closed."""
    for worker, batch in recording.batches("connections"):
        said = {
            "worker": pa.array(np.full(len(batch), worker, dtype=np.uint16)),
            "connection": batch["conn"],
            "opened_utc": _utc(batch["opened_ns"], recording.run.wall_ns),
            "connect_ms": _ms(_or_null(batch, "connect_ns", NEVER)),
            "tls_ms": _ms(_or_null(batch, "tls_ns", NEVER)),
            "requests": batch["hits"],
        }
        yield _batch(CONNECTIONS, said, batch)


def streams(recording: Recording) -> Iterator[pa.RecordBatch]:
    """Yield all streams, in the order in which they ended; none where requests were sent."""
    times = ("first_message_ns", "last_message_ns", "lost_ns")
    numbers = ("first_id", "last_id", "replaces")
    for worker, batch in recording.batches("streams"):
        said = {
            "worker": pa.array(np.full(len(batch), worker, dtype=np.uint16)),
            "connection": batch["conn"],
            "opened_utc": _utc(batch["opened_ns"], recording.run.wall_ns),
            "ended_utc": _utc(batch["ended_ns"], recording.run.wall_ns),
            "code": _or_null(batch, "code", 0),
            "largest_gap_ms": _ms(batch["largest_gap_ns"]),
            **{name: _or_null(batch, name, NEVER) for name in (*times, *numbers)},
        }
        yield _batch(STREAMS, said, batch)


def events(recording: Recording) -> Iterator[pa.RecordBatch]:
    """Yield the cluster's events in the order in which they were received."""
    found = recording.events()
    for start in range(0, len(found), _EVENTS_AT_ONCE):
        rows = found[start : start + _EVENTS_AT_ONCE]
        moments = pa.array([event.t_ns for event in rows], pa.int64())
        said = {
            "at_ns": moments,
            "at_utc": _utc(moments, recording.run.wall_ns),
            "object": pa.array([json.dumps(event.object, sort_keys=True) for event in rows], pa.string()),
        }
        said |= {
            name: pa.array([getattr(event, name) for event in rows], EVENTS.field(name).type)
            for name in ("change", "kind", "namespace", "name", "uid", "missed")
        }
        yield pa.record_batch([said[name] for name in EVENTS.names], schema=EVENTS)


def _batch(schema: pa.Schema, said: Mapping[str, pa.Array], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Put columns in order; those that are not in `said` are taken as they are, text without its dictionary."""
    arrays = [said[name] if name in said else _plain(batch[name]) for name in schema.names]
    return pa.record_batch(
        [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column that an older recording may lack."""
    if name in batch.schema.names:
        return batch[name]
    return pa.array([LATER[name]] * len(batch))


def _or_null(batch: pa.RecordBatch, name: str, nothing: int) -> pa.Array:
    column = batch[name]
    return pc.if_else(pc.equal(column, pa.scalar(nothing, column.type)), pa.scalar(None, column.type), column)


def _utc(moments: pa.Array, wall_ns: int) -> pa.Array:
    return pc.add(moments, pa.scalar(wall_ns, pa.int64())).cast(_UTC)


def _ms(times_ns: pa.Array) -> pa.Array:
    return pc.divide(times_ns.cast(pa.float64()), pa.scalar(1e6))


def _worded(numbers: NDArray[Any], words: Sequence[str]) -> pa.Array:
    known = np.array([*words, ""], dtype=object)
    return pa.array(known[np.minimum(numbers, len(words))].tolist(), pa.string())


def _phases(done_ns: NDArray[Any], phases: Sequence[PhaseSpan]) -> NDArray[np.object_]:
    found = np.full(len(done_ns), "", dtype=object)
    for one in phases:
        found[(done_ns >= one.span.from_ns) & (done_ns < one.span.to_ns)] = one.phase.value
    return found
