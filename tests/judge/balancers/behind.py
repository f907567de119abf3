"""A simulated rollout as it looks behind a real balancer: each lost request is told as that one tells it."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.judge.verdict.judgement import Judgement, judge
from harness.model import NEVER, Outcome
from harness.recording.answers import Answer
from harness.recording.read import Recording
from harness.recording.write import CONNECTION_SCHEMA, ArrowStream
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.judge.causes.causes import Cause

# What became of a lost request: an answer (after so many seconds), or the end of the connection.
Told = tuple[Answer | None, float]
CLOSED: Told = (None, 0.002)


def told_by(synthetic: SyntheticRun, tells: Mapping[str, Sequence[Told]]) -> list[dict[str, Any]]:
    """Return the rows of a simulation with each lost request told so. `tells`: by its true cause, in turn."""
    synthetic.said = {cause: Answer(599, body=cause) for cause in tells}
    turns = {cause: cycle(ways) for cause, ways in tells.items()}
    rows = synthetic.hits()
    for row in rows:
        if isinstance(marker := row["answer"], Answer):
            answer, took = next(turns[marker.body])
            if marker.body != "cut":  # what was in flight ends when its pod does
                row["done_ns"] = row["due_ns"] + round(took * S)
            if answer is None:
                row |= {
                    "status": 0,
                    "outcome": Outcome.EOF_BEFORE_RESPONSE,
                    "first_byte_ns": NEVER,
                    "bytes_in": 0,
                    "answer": -1,
                }
                row["conn_hits"] = max(row["conn_hits"], 1)
            else:
                row |= {"status": answer.status, "answer": answer}
    return sorted(rows, key=lambda row: row["done_ns"])  # fmt: skip


def judged(
    tmp_path: Path,
    synthetic: SyntheticRun,
    rows: list[dict[str, Any]],
    connections: Iterable[dict[str, Any]] = (),
) -> Judgement:
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", rows)
    write_connections(directory / "connections" / "0.arrow", list(connections))
    return judge(Recording.open(directory))


def write_connections(path: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    path.unlink(missing_ok=True)
    stream = ArrowStream(path, CONNECTION_SCHEMA, 0)
    arrays = []
    for column in CONNECTION_SCHEMA:
        values = [row[column.name] for row in rows]
        if pa.types.is_dictionary(column.type):
            words = list(dict.fromkeys(values))
            codes = pa.array([words.index(value) for value in values], pa.int32())
            arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(words)))
        else:
            arrays.append(pa.array(values, column.type))
    stream.append(arrays)
    stream.close()


def connection(number: int, closed: float, hits: int, by: str = "us", how: str = "fin") -> dict[str, Any]:
    """A connection of the run's whole time, closed at so many seconds from the trigger."""
    return {
        "conn": number, "slot": number % 100, "peer": "127.0.0.1:8088", "opened_ns": S // 10, "connect_ns": 1000,
        "tls_ns": NEVER,
        "closed_ns": round((TRIGGER + closed) * S), "closed_by": by, "how": how, "hits": hits, "tls_version": "",
    }  # fmt: skip


def by_ids(judgement: Judgement) -> dict[tuple[str, ...], Cause]:
    return {cause.ids: cause for cause in judgement.causes}


def words(judgement: Judgement) -> set[str]:
    return {name for cause in judgement.causes for name in cause.ids}


def lost(done: float, answer: Answer | None, took: float = 0.002, **rest: Any) -> dict[str, Any]:
    """One failed hit that ended at so many seconds from the trigger."""
    ended = round((TRIGGER + done) * S)
    begun = ended - round(took * S)
    return {
        "seq": 0, "slot": 0, "conn": 0, "conn_hits": 5, "due_ns": begun, "sent_ns": begun,
        "first_byte_ns": ended if answer else NEVER, "done_ns": ended, "status": answer.status if answer else 0,
        "outcome": Outcome.RESPONSE if answer else Outcome.EOF_BEFORE_RESPONSE, "bytes_in": 10, "bytes_out": 10,
        "target": 0, "peer": "127.0.0.1:8088", "pod": "", "answer": answer or -1,
    } | rest  # fmt: skip
