"""Rows that stand for several good hits: counts, moments and causes are those of all hits, percentiles are close."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from harness.judge.verdict.judgement import judge, to_json
from harness.load.rows.thinning import representative
from harness.recording.read import Recording
from harness.recording.write import WORKER_SCHEMA, ArrowStream
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def thinned(path: Path, keep: int) -> int:
    """Thin a run's rows out; return how many are left."""
    file = path / "hits" / "0.arrow"
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        batches = [representative(batch, keep) for batch in stream]
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sum(map(len, batches))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Judgement, Judgement]:
    """Return what is judged of a run, and of a third of its rows."""
    synthetic = SyntheticRun.rolling(
        2, concurrency=40, work=0.02, noise=0.001, settle=3.0, methods=("GET", "POST")
    )
    path = synthetic.write(tmp_path_factory.mktemp("whole"))
    whole = judge(Recording.open(path))
    assert thinned(path, 20) < len(synthetic.hits()) / 3
    recording = Recording.open(path)
    recording.at_once = 1000
    assert recording.weighted()
    assert len(recording.stretches()) > 1
    return whole, judge(recording)


def test_every_count_is_exact(both: tuple[Judgement, Judgement]) -> None:
    whole, few = (one.numbers for one in both)
    names = (
        "requests", "good", "failed", "masked", "hard", "stalled", "cut", "warmup_requests", "warmup_failed",
        "statuses", "outcomes", "kinds", "bad_seconds", "named", "pods", "workers", "reach", "connections",
    )  # fmt: skip
    for name in names:
        assert getattr(few, name) == getattr(whole, name), name
    for one, other in zip(whole.parts, few.parts, strict=True):
        assert replace(one, latency=None, requests=0) == replace(other, latency=None, requests=0)
        # A part begins within a second, of which only the sum is known.
        assert other.requests == pytest.approx(one.requests, rel=0.02)
    assert [(row.second, row.completed, row.failed) for row in whole.seconds if row.completed] == [
        (row.second, row.completed, row.failed) for row in few.seconds if row.completed
    ]


def test_causes_and_the_verdict_are_those_of_all_hits(both: tuple[Judgement, Judgement]) -> None:
    whole, few = both
    assert few.verdict.lost == whole.verdict.lost > 0
    assert few.grade == whole.grade
    assert [(one.ids, one.hits, one.kinds, one.pods) for one in few.causes] == [
        (one.ids, one.hits, one.kinds, one.pods) for one in whole.causes
    ]
    assert [(one.objective, one.grade) for one in few.verdict.findings] == [
        (one.objective, one.grade) for one in whole.verdict.findings
    ]


def test_latencies_are_close(both: tuple[Judgement, Judgement]) -> None:
    whole, few = (one.numbers.latency for one in both)
    assert whole is not None
    assert few is not None
    assert few.count == whole.count
    assert few.max_ns == whole.max_ns
    assert few.mean_ns == pytest.approx(whole.mean_ns, rel=0.01)
    for share, value in whole.percentiles.items():
        assert few.percentiles[share] == pytest.approx(value, rel=0.02)


def test_weights_of_one_change_nothing(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(1, concurrency=4).write(tmp_path)
    file = path / "hits" / "0.arrow"
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        batches = [batch.select(WORKER_SCHEMA.names) for batch in stream]
    assert "stands_for" in stream.schema.names
    verdict = to_json(judge(Recording.open(path)))
    file.unlink()
    without = ArrowStream(file, WORKER_SCHEMA, 0)
    for batch in batches:
        without.append(batch.columns)
    without.close()
    assert to_json(judge(Recording.open(path))) == verdict
