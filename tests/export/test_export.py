"""What `zdtest export` writes is the recording, in a form that other tools read."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import harness.cli  # noqa: F401  registers the commands
from harness.cli.root import root
from harness.export import rows, tables, trace
from harness.judge.verdict.causesofhits import causes_of_hits
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import NEVER
from harness.recording.answers import Answer
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun, write_hits
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PAGE = Answer(502, (("server", "nginx"),), "no live upstreams", closes=False)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rollout that lost requests."""
    return SyntheticRun.rolling(probe=False, noise=0.001, said={"502": PAGE}).write(
        tmp_path_factory.mktemp("runs")
    )


@pytest.fixture(scope="module")
def recording(path: Path) -> Recording:
    return Recording.open(path)


@pytest.fixture(scope="module")
def judgement(recording: Recording) -> Judgement:
    return judge(recording)


def export(*words: str) -> Result:
    return CliRunner().invoke(root, ["export", *words])


def as_table(recording: Recording, known: rows.Known = rows.Known()) -> pa.Table:  # noqa: B008  frozen
    return pa.Table.from_batches(rows.hits(recording, known), rows.HITS)


# --- tables -------------------------------------------------------------------------------------------------


def test_parquet_read_back_is_the_recording(path: Path, recording: Recording, tmp_path: Path) -> None:
    done = export(str(path), "--to", "parquet", "--out", str(tmp_path / "hits.parquet"))
    assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "hits.parquet")
    frame = recording.hits()
    assert table.schema.equals(rows.HITS)
    assert len(table) == len(frame)
    same = {"seq": "seq", "slot": "slot", "requests_before": "conn_hits", "due_ns": "due_ns", "done_ns": "done_ns",
            "bytes_in": "bytes_in", "bytes_out": "bytes_out", "until_close": "until_close",
            "worker": "worker"}  # fmt: skip
    for ours, theirs in same.items():
        assert table[ours].to_pylist() == frame[theirs].tolist(), ours
    for ours in ("outcome", "pod", "peer"):
        assert table[ours].to_pylist() == frame[ours].astype(object).tolist(), ours
    for ours, theirs, nothing in (
        ("sent_ns", "sent_ns", NEVER), ("first_byte_ns", "first_byte_ns", NEVER),
        ("connection", "conn", NEVER), ("status", "status", 0),
    ):  # fmt: skip
        known = [None if value == nothing else value for value in frame[theirs].tolist()]
        assert table[ours].to_pylist() == known, ours
    assert None in table["first_byte_ns"].to_pylist() or (frame["first_byte_ns"] >= 0).all()
    wall = (frame["due_ns"] + recording.run.wall_ns).tolist()
    assert table["due_utc"].cast(pa.int64()).to_pylist() == wall
    assert np.allclose(table["latency_ms"].to_numpy(), (frame["done_ns"] - frame["due_ns"]) / 1e6)


def test_each_failed_hit_has_the_cause_that_the_judge_gives_it(
    recording: Recording, judgement: Judgement
) -> None:
    causes = causes_of_hits(recording)
    assert Counter(causes.values()) == {cause.ids: cause.hits for cause in judgement.causes}
    table = as_table(recording, rows.Known(causes, judgement.timeline.phases))
    said = Counter(cause for cause in table["cause"].to_pylist() if cause)
    assert said == {"|".join(cause.ids): cause.hits for cause in judgement.causes}
    phases = {part.name: part.requests for part in judgement.numbers.parts}
    neither = {"cut_at_deadline", "dropped"}
    counted = Counter(
        phase
        for phase, outcome in zip(table["phase"].to_pylist(), table["outcome"].to_pylist(), strict=True)
        if outcome not in neither
    )
    for name in ("before", "during", "after"):
        assert counted[name] == phases[name], name


def test_failed_hits_are_marked_and_only_they_have_an_answers_words(
    recording: Recording, judgement: Judgement
) -> None:
    table = as_table(recording)
    failed = table["failed"].to_pylist()
    warmup = judgement.numbers.warmup_failed
    assert sum(failed) == judgement.numbers.failed + warmup
    answers = {words for words, bad in zip(table["answer"].to_pylist(), failed, strict=True) if bad}
    assert PAGE.body in answers
    assert {words for words, bad in zip(table["answer"].to_pylist(), failed, strict=True) if not bad} == {""}


def test_the_causes_of_several_rollouts_are_those_of_each(tmp_path: Path) -> None:
    path = series(tmp_path, clean(), lossy())
    recording = Recording.open(path)
    known = {cause.ids: cause.hits for cause in judge(recording).causes}
    assert Counter(causes_of_hits(recording).values()) == known
    assert sum(known.values())


def test_csv_is_parsed_to_the_same_values(path: Path, recording: Recording) -> None:
    done = export(str(path), "--to", "csv", "--out", "-", "--no-causes")
    assert done.exit_code == 0
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    table = as_table(recording).to_pylist()
    assert len(found) == len(table)
    for read, known in zip(found[::97], table[::97], strict=True):
        assert read.keys() == known.keys()
        for name in ("worker", "seq", "due_ns", "sent_ns", "done_ns", "status", "connection"):
            assert read[name] == ("" if known[name] is None else str(known[name])), name
        assert float(read["latency_ms"]) == known["latency_ms"]
        assert read["failed"] == str(known["failed"]).lower()
        assert (read["outcome"], read["pod"], read["url"]) == (known["outcome"], known["pod"], known["url"])


def test_events_and_connections_are_tables_too(path: Path, recording: Recording, tmp_path: Path) -> None:
    for table, count in (("events", len(recording.events())), ("connections", len(recording.connections()))):
        out = tmp_path / f"{table}.parquet"
        done = export(str(path), "--to", "parquet", "--table", table, "--out", str(out))
        assert done.exit_code == 0, done.output
        assert len(pq.read_table(out)) == count
    first = pq.read_table(tmp_path / "events.parquet").to_pylist()[0]
    event = recording.events()[0]
    assert (first["at_ns"], first["kind"], json.loads(first["object"])) == (
        event.t_ns,
        event.kind,
        event.object,
    )


def test_a_recording_that_is_older_than_a_column_has_what_that_means(path: Path, tmp_path: Path) -> None:
    import shutil

    old = shutil.copytree(path, tmp_path / "old")
    with pa.ipc.open_stream((path / "hits" / "0.arrow").read_bytes()) as reader:
        batches = [batch.drop_columns(["until_close", "answer"]) for batch in reader]
    with (
        pa.OSFile(str(old / "hits" / "0.arrow"), "wb") as file,
        pa.ipc.new_stream(
            file, batches[0].schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        ) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
    table = as_table(Recording.open(old))
    assert set(table["until_close"].to_pylist()) == {False}
    assert set(table["answer"].to_pylist()) == {""}
    recording = Recording.open(old)
    assert list(trace.trace(recording, judge(recording), {}))


def test_hostile_text_is_no_formula_and_no_escape_sequence_in_csv() -> None:
    schema = pa.schema([("pod", pa.string()), ("n", pa.int64())])
    words = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "a\x1b[2J\nb", "plain", None]
    batch = pa.record_batch([pa.array(words), pa.array(range(7))], schema=schema)
    file = io.BytesIO()
    assert tables.write_csv(file, schema, [batch]) == 7
    found = [row["pod"] for row in csv.DictReader(io.StringIO(file.getvalue().decode()))]
    assert found == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@x", "a\\x1b[2J b", "plain", ""]


def test_rows_are_written_in_groups_of_useful_size_however_small_the_batches_are(tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])
    batches = (pa.record_batch([pa.array(range(100))], schema=schema) for _ in range(2000))
    with (tmp_path / "n.parquet").open("wb") as file:
        assert tables.write_parquet(file, schema, batches) == 200_000
    assert pq.ParquetFile(tmp_path / "n.parquet").num_row_groups == 4


def test_batches_are_taken_one_by_one_and_not_all_before_the_first_is_written() -> None:
    schema = pa.schema([("n", pa.int64())])
    taken = 0

    def batches() -> Iterable[pa.RecordBatch]:
        nonlocal taken
        for _ in range(50):
            taken += 1
            yield pa.record_batch([pa.array(range(40_000))], schema=schema)

    class File(io.BytesIO):
        first: int | None = None

        def write(self, data: Any) -> int:
            if self.first is None and self.tell() > 10_000:
                self.first = taken
            return super().write(data)

    file = File()
    tables.write_csv(file, schema, batches())
    assert file.first is not None
    assert file.first <= 3


# --- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [["csv", "--no-causes"], ["parquet", "--no-causes"], ["perfetto"]], ids=lambda how: how[0]
)
def test_a_failed_export_leaves_the_old_file_and_no_half_one(
    path: Path, tmp_path: Path, how: list[str]
) -> None:
    import shutil

    bad = shutil.copytree(path, tmp_path / "bad")
    raw = bytearray((bad / "hits" / "0.arrow").read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = b"\xff" * 2000
    (bad / "hits" / "0.arrow").write_bytes(raw)
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").write_text("old")
    done = export(str(bad), "--out", str(out / "file"), "--to", *how)
    assert done.exception is not None
    assert "damaged" in str(done.exception)
    assert [(file.name, file.read_text()) for file in out.iterdir()] == [("file", "old")]


def test_what_makes_no_sense_is_one_line(path: Path, tmp_path: Path) -> None:
    for words, said in (
        (["--to", "perfetto", "--table", "hits"], "--table goes with"),
        (["--to", "perfetto", "--no-causes"], "--no-causes goes with"),
        (["--to", "csv", "--out", str(tmp_path)], "it is a folder"),
        (["--to", "csv", "--out", "/dev/null"], "no regular file"),
        (["--to", "csv", "--out", str(tmp_path / "no" / "where")], "No such file"),
    ):
        done = export(str(path), *words)
        assert said in str(done.exception), words
        assert "\n" not in str(done.exception)


def test_without_a_name_the_file_is_called_after_the_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = export(str(path), "--to", "perfetto")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"wrote {path.name}-trace.json: ")
    assert [file.name for file in tmp_path.iterdir()] == [f"{path.name}-trace.json"]


# --- the trace ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def events(recording: Recording, judgement: Judgement) -> list[dict[str, Any]]:
    file = io.BytesIO()
    count = trace.write(file, trace.trace(recording, judgement, causes_of_hits(recording)))
    read = json.loads(file.getvalue())
    assert len(read["traceEvents"]) == count
    found: list[dict[str, Any]] = read["traceEvents"]
    return found


def test_every_event_has_what_the_format_requires(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert event["ph"] in {"M", "X", "i", "C"}
        assert isinstance(event["ts"], (int, float))
        assert event["ts"] >= 0
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["name"]
        assert event["ph"] != "X" or event["dur"] > 0
        assert event["ph"] != "i" or event["s"] == "t"
        if event["ph"] == "C":
            assert event["args"]
            assert all(isinstance(value, (int, float)) for value in event["args"].values())


def test_the_slices_of_a_track_nest(events: list[dict[str, Any]]) -> None:
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], -event["dur"]))
    assert tracks
    for slices in tracks.values():
        open_until: list[float] = []
        for start, negative in sorted(slices):
            while open_until and open_until[-1] <= start + 1e-6:
                open_until.pop()
            end = start - negative
            assert not open_until or end <= open_until[-1] + 1e-6
            open_until.append(end)


def test_every_track_that_is_used_has_a_name(events: list[dict[str, Any]]) -> None:
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    processes = {event["pid"] for event in events if event["name"] == "process_name"}
    used = {(event["pid"], event["tid"]) for event in events if event["ph"] in {"X", "i"}}
    assert used <= named
    assert {event["pid"] for event in events} == processes


def test_each_pod_is_a_track_with_its_states_in_order(
    events: list[dict[str, Any]], judgement: Judgement
) -> None:
    tracks = {event["args"]["name"]: event["tid"] for event in events
              if event["name"] == "thread_name" and event["pid"] == 3}  # fmt: skip
    assert set(tracks) == {f"{'old' if pod.old else 'new'} {pod.name}" for pod in judgement.timeline.pods}
    for name, track in tracks.items():
        states = [
            event["name"]
            for event in events
            if event["ph"] == "X" and (event["pid"], event["tid"]) == (3, track)
        ]
        known = (
            ["starting", "in the endpoints"]
            if name.startswith("new")
            else ["in the endpoints", "terminating"]
        )
        assert [state for state in states if state in known] == known, states


def test_every_failed_request_is_an_instant_with_its_cause(
    events: list[dict[str, Any]], recording: Recording, judgement: Judgement
) -> None:
    instants = [event for event in events if event["ph"] == "i" and event["pid"] == 2]
    numbers = judgement.numbers
    assert len(instants) == numbers.failed + numbers.warmup_failed
    said = Counter(event["args"]["cause"] for event in instants if event["args"]["cause"])
    assert said == {"|".join(cause.ids): cause.hits for cause in judgement.causes}
    assert {event["args"]["answer"] for event in instants} >= {PAGE.body}
    ends = set((recording.hits(("done_ns",))["done_ns"] / 1000).tolist())
    assert {event["ts"] for event in instants} <= ends


def test_the_counters_add_up_to_the_requests(events: list[dict[str, Any]], judgement: Judgement) -> None:
    def total(name: str) -> int:
        return sum(
            sum(event["args"].values()) for event in events if event["ph"] == "C" and event["name"] == name
        )

    numbers = judgement.numbers
    assert total("failures/s") == numbers.failed + numbers.warmup_failed
    assert total("requests/s") == numbers.requests + numbers.warmup_requests
    assert any(event["name"].startswith("generator lag") for event in events)


def test_hostile_names_in_a_trace_are_escaped(recording: Recording, judgement: Judgement) -> None:
    from dataclasses import replace

    pods = tuple(replace(pod, name="\x1b[2J\u202e") for pod in judgement.timeline.pods)
    hostile = replace(judgement, timeline=replace(judgement.timeline, pods=pods))
    file = io.BytesIO()
    trace.write(file, trace.trace(recording, hostile, {}))
    names = {
        event["args"]["name"]
        for event in json.loads(file.getvalue())["traceEvents"]
        if "name" in event["args"]
    }
    assert any("\\x1b[2J\\u202e" in name for name in names)
    assert not any("\x1b" in name for name in names)


def test_a_run_without_a_rollout_or_any_hit_is_a_trace_too(tmp_path: Path) -> None:
    path = clean().write(tmp_path)
    write_hits(path / "hits" / "0.arrow", [])
    recording = Recording.open(path)
    assert causes_of_hits(recording) == {}
    assert list(trace.trace(recording, judge(recording), {}))
    assert len(as_table(recording)) == 0
