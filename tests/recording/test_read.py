"""Reading back what was written, whole or cut off."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from harness.errors import RecordingError
from harness.model import ClusterEvent, Mark, WatchGap
from harness.recording.read import Recording
from harness.recording.write import HIT_SCHEMA, LATER
from tests.judge.synthetic import SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return SyntheticRun.rolling(1, before=3.0).write(tmp_path)


def test_everything_written_is_read_back(tmp_path: Path) -> None:
    gap = WatchGap("Pod", 5, 9, "the server closed it", relisted=True)
    synthetic = SyntheticRun.rolling(2, gaps=[gap])
    recording = Recording.open(synthetic.write(tmp_path))
    rows = synthetic.hits()
    hits = recording.hits()

    assert recording.run == synthetic.run()
    assert recording.events() == synthetic.events()
    assert recording.gaps() == [gap]
    assert recording.manifests("before") == [synthetic.deployment()]
    assert recording.health()[0].worker == 0
    assert recording.workers() == (0,)
    assert list(hits.columns) == [*HIT_SCHEMA.names, "worker"]
    assert hits["done_ns"].tolist() == [row["done_ns"] for row in rows]
    assert hits["outcome"].tolist() == [row["outcome"].value for row in rows]
    assert hits["pod"].tolist() == [row["pod"] for row in rows]


def test_only_the_columns_asked_for_are_read(run: Path) -> None:
    assert list(Recording.open(run).hits(["status", "pod"]).columns) == ["status", "pod", "worker"]


def test_the_hits_of_all_workers_are_one_frame(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(1)
    path = synthetic.write(tmp_path)
    write_hits(path / "hits" / "1.arrow", synthetic.hits()[:10])
    hits = Recording.open(path).hits(["status", "pod"])
    assert (hits["worker"] == 1).sum() == 10
    assert (hits["worker"] == 0).sum() == len(hits) - 10


def test_a_file_cut_at_any_byte_gives_all_whole_batches(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(1)
    path = synthetic.write(tmp_path)
    file = path / "hits" / "0.arrow"
    write_hits(file, synthetic.hits()[:40], batch=10)
    whole = file.read_bytes()
    sizes = []
    for length in [*range(0, len(whole), 53), len(whole)]:
        file.write_bytes(whole[:length])
        sizes.append(len(Recording.open(path).hits(["done_ns", "pod"])))
    assert sizes == sorted(sizes)
    assert set(sizes) == {0, 10, 20, 30, 40}


def test_half_a_last_line_is_dropped(run: Path) -> None:
    whole = Recording.open(run).events()
    with (run / "events.jsonl").open("ab") as file:
        file.write(b'{"t_ns":99,"change":"MODI')
    assert Recording.open(run).events() == whole


def test_a_broken_line_in_the_middle_is_named(run: Path) -> None:
    file = run / "events.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "{oops", *lines[1:]]) + "\n")
    with pytest.raises(RecordingError, match=r"events\.jsonl, line 2: not JSON"):
        Recording.open(run).events()


def test_a_line_that_lacks_a_field_is_named(run: Path) -> None:
    (run / "generator.jsonl").write_text('{"t_ns": 1}\n')
    with pytest.raises(RecordingError, match=r"generator\.jsonl, line 1: worker"):
        Recording.open(run).health()


def test_files_that_were_never_begun_are_empty(run: Path) -> None:
    for name in ("events.jsonl", "generator.jsonl", "hits/0.arrow", "manifests/before.json"):
        (run / name).unlink()
    recording = Recording.open(run)
    assert (recording.events(), recording.gaps(), recording.health()) == ([], [], [])
    assert (recording.manifests("before"), len(recording.hits()), len(recording.connections())) == ([], 0, 0)
    assert recording.workers() == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no run.json in it"),
        ("{", "is not JSON"),
        ("[]", "was not written by zdtest"),
        ('{"format": 2}', "format 2, this zdtest reads up to 1: use the newer zdtest"),
        ('{"format": 1, "state": "complete"}', "ended_by: Field required"),
    ],
)
def test_a_run_that_cannot_be_read_gets_one_clear_line(run: Path, content: str | None, message: str) -> None:
    (run / "run.json").unlink()
    if content is not None:
        (run / "run.json").write_text(content)
    with pytest.raises(RecordingError, match=message) as caught:
        Recording.open(run)
    assert "\n" not in str(caught.value)


def test_a_field_of_the_wrong_type_is_named(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["marks"][0]["t_ns"] = "soon"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(RecordingError, match=r"run\.json: marks\.0\.t_ns"):
        Recording.open(run)


def test_a_missing_folder_is_reported_as_missing(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such folder"):
        Recording.open(tmp_path / "none")


def test_a_file_in_place_of_a_folder_is_not_called_missing(run: Path) -> None:
    with pytest.raises(RecordingError, match=r"run.json: it is a file; give the folder of one run"):
        Recording.open(run / "run.json")


def test_a_file_with_other_columns_is_refused(run: Path) -> None:
    hits = run / "hits" / "0.arrow"
    connections = Recording.open(run)
    (run / "connections" / "0.arrow").write_bytes(hits.read_bytes())
    with pytest.raises(RecordingError, match="column opened_ns is missing"):
        connections.connections()


def test_columns_missing_from_an_older_recording_get_their_defaults(run: Path) -> None:
    file = run / "hits" / "0.arrow"
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        table = stream.read_all()
    assert set(LATER) <= set(table.column_names)
    older = table.drop_columns(list(LATER))
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, older.schema) as writer:
        writer.write_table(older)
    hits = Recording.open(run).hits()
    assert list(hits.columns) == [*HIT_SCHEMA.names, "worker"]
    assert len(hits) == older.num_rows > 0
    for name, value in LATER.items():
        assert set(hits[name]) == {value}
    assert hits["done_ns"].tolist() == older["done_ns"].to_pylist()


def test_a_column_that_was_always_there_may_not_be_missing(run: Path) -> None:
    file = run / "hits" / "0.arrow"
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        table = stream.read_all().drop_columns(["status"])
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(RecordingError, match="column status is missing"):
        Recording.open(run).hits()


def test_damaged_rows_are_reported(run: Path) -> None:
    file = run / "hits" / "0.arrow"
    outcome = HIT_SCHEMA.field("outcome").type
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, HIT_SCHEMA) as stream:
        whole = {
            field.name: pa.array([0], pa.int64()).cast(field.type)
            for field in HIT_SCHEMA
            if field.name not in {"outcome", "peer", "pod"}
        }
        names = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), [""])
        beyond = pa.DictionaryArray.from_arrays(pa.array([99], pa.uint8()), ["ok"], safe=False)
        assert beyond.type == outcome
        columns = {**whole, "outcome": beyond, "peer": names, "pod": names}
        stream.write_batch(pa.record_batch([columns[name] for name in HIT_SCHEMA.names], schema=HIT_SCHEMA))
    with pytest.raises(RecordingError, match="is damaged"):
        Recording.open(run).hits()


def test_events_and_marks_keep_their_types(run: Path) -> None:
    recording = Recording.open(run)
    assert isinstance(recording.events()[0], ClusterEvent)
    assert recording.run.mark(Mark.TRIGGER) == 12_000_000_000
    assert replace(recording.run, state="running") != recording.run
