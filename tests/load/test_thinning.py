"""Rows that stand for others: counts stay exact, measurements close, and no failure is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness.load.rows.thinning import representative
from harness.model import OUTCOME_CODE, Outcome
from harness.recording.write import HIT_SCHEMA, OUTCOME_NAMES, WORKER_SCHEMA

S = 1_000_000_000
PODS = ("", "web-a", "web-b")


def second(rows: int = 4000, *, seed: int = 1, failed: float = 0.01) -> pa.RecordBatch:
    """Make one worker's second: two pods, two targets, new and reused connections, some failures."""
    chance = np.random.default_rng(seed)
    done = np.sort(chance.integers(5 * S, 6 * S, rows))
    took = chance.lognormal(17, 0.7, rows).astype(np.int64)
    lost = chance.random(rows) < failed
    names = pa.array(list(PODS))
    columns: dict[str, Any] = {
        "seq": np.arange(rows),
        "slot": chance.integers(0, 50, rows),
        "conn": chance.integers(0, 50, rows),
        "conn_hits": chance.integers(0, 4, rows),
        "due_ns": done - took,
        "sent_ns": done - took,
        "first_byte_ns": done,
        "done_ns": done,
        "status": np.where(lost, 502, np.where(chance.random(rows) < 0.1, 204, 200)),
        "outcome": np.full(rows, OUTCOME_CODE[Outcome.RESPONSE]),
        "bytes_in": np.full(rows, 120),
        "bytes_out": np.full(rows, 60),
        "target": chance.integers(0, 2, rows),
        "peer": np.zeros(rows),
        "pod": np.where(lost, 0, chance.integers(1, 3, rows)),
        "until_close": np.zeros(rows, dtype=bool),
        "answer": np.full(rows, -1),
    }
    arrays = []
    for field in WORKER_SCHEMA:
        values = columns[field.name]
        if pa.types.is_dictionary(field.type):
            codes = pa.array(values.astype(field.type.index_type.to_pandas_dtype()))
            arrays.append(
                pa.DictionaryArray.from_arrays(codes, OUTCOME_NAMES if field.name == "outcome" else names)
            )
        else:
            arrays.append(pa.array(values, field.type))
    return pa.record_batch(arrays, schema=WORKER_SCHEMA)


def counted(batch: pa.RecordBatch) -> dict[tuple[Any, ...], int]:
    """Count hits by all that the judge counts apart."""
    found: dict[tuple[Any, ...], int] = {}
    for row in batch.to_pylist():
        key = (row["done_ns"] // S, row["target"], row["pod"], row["status"], row["conn_hits"] > 0)
        found[key] = found.get(key, 0) + row.get("stands_for", 1)
    return found


@pytest.mark.parametrize("keep", [1, 5, 20, 1000, 10_000])
def test_weights_add_up_to_the_hits_of_each_stratum(keep: int) -> None:
    batch = second()
    assert counted(representative(batch, keep)) == counted(batch)


def test_the_rows_have_the_schema_of_hits() -> None:
    assert representative(second(), 5).schema == HIT_SCHEMA.remove_metadata()


def test_many_hits_become_few_rows() -> None:
    assert len(representative(second(), 20)) < 700


def test_few_hits_stay_as_they_are() -> None:
    batch = second(40)
    thin = representative(batch, 40)
    assert thin.select(batch.schema.names).equals(batch)
    assert set(thin["stands_for"].to_pylist()) == {1}


def test_every_failure_is_a_row_of_its_own() -> None:
    batch = second()
    lost = [row | {"stands_for": 1} for row in batch.to_pylist() if row["status"] == 502]
    assert len(lost) > 10
    assert [row for row in representative(batch, 5).to_pylist() if row["status"] == 502] == lost


def test_what_is_called_good_is_said_by_the_run() -> None:
    batch = second()
    thin = representative(batch, 5, expect=((200, 200), (502, 502)))
    left = [row for row in batch.to_pylist() if row["status"] == 204]
    assert [row["seq"] for row in thin.to_pylist() if row["status"] == 204] == [row["seq"] for row in left]
    assert sum(row["status"] == 502 for row in thin.to_pylist()) < 50


def test_the_hit_after_a_failure_in_its_slot_is_a_row() -> None:
    batch = second()
    kept = set(representative(batch, 1)["seq"].to_pylist())
    rows = batch.to_pylist()
    for at, row in enumerate(rows):
        following = next((later for later in rows[at + 1 :] if later["slot"] == row["slot"]), None)
        if row["status"] == 502 and following is not None:
            assert following["seq"] in kept


def test_moments_and_latencies_at_the_edges_are_exact() -> None:
    batch = second()
    thin = representative(batch, 5)
    for pod in PODS[1:]:
        whole, few = (
            [row for row in of.to_pylist() if row["pod"] == pod and row["status"] != 502]
            for of in (batch, thin)
        )
        for moment in ("due_ns", "done_ns"):
            assert min(row[moment] for row in few) == min(row[moment] for row in whole)
            assert max(row[moment] for row in few) == max(row[moment] for row in whole)
        took = [
            sorted((row["done_ns"] - row["due_ns"] for row in of), reverse=True)[:3] for of in (whole, few)
        ]
        assert took[0] == took[1]


def test_percentiles_are_within_a_stretch() -> None:
    batch = second(20_000, failed=0)
    thin = representative(batch, 50)
    took = np.sort(batch["done_ns"].to_numpy() - batch["due_ns"].to_numpy())
    few = np.repeat(thin["done_ns"].to_numpy() - thin["due_ns"].to_numpy(), thin["stands_for"].to_numpy())
    assert len(thin) < len(batch) / 10
    for share in (0.5, 0.9, 0.99):
        off = np.searchsorted(took, np.sort(few)[int(share * len(few))]) / len(took) - share
        assert abs(off) < 0.02


def test_rows_that_stand_for_others_can_be_thinned_again() -> None:
    batch = second()
    twice = representative(representative(batch, 100), 5)
    assert counted(twice) == counted(batch)
    assert len(twice) < len(representative(batch, 100))


def test_an_empty_batch_stays_empty_and_nothing_cannot_be_kept() -> None:
    assert len(representative(second(0), 5)) == 0
    with pytest.raises(ValueError, match="at least 1"):
        representative(second(10), 0)
