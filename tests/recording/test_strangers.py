"""A recording from a stranger: nothing in it leads outside of it, or costs more memory than its own size."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from harness import cli
from harness.errors import RecordingError
from harness.history.clearing import prune
from harness.judge.verdict.judgement import from_json
from harness.recording import folder
from harness.recording.folder import write_text
from harness.recording.read import Recording
from harness.recording.upstreams import keep, kept
from harness.recording.write import HIT_SCHEMA, ArrowStream, JsonLines
from tests.judge.synthetic import SyntheticRun, write_hits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return SyntheticRun.rolling(1, before=3.0).write(tmp_path)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    file = tmp_path / "precious"
    file.write_text("mine")
    return file


def ended(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["zdtest", *map(str, words)])
    return cli.main()


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(RecordingError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def altered(run: Path, **fields: Any) -> Path:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | fields))
    return run


# --- writing --------------------------------------------------------------------------------------------------


def test_links_in_place_of_reports_are_replaced_and_not_followed(
    run: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("summary.txt", "summary.md", "verdict.json", "timeline.png", "report.html"):
        (run / name).symlink_to(precious)
    assert ended(monkeypatch, "report", run) in {0, 1, 3}
    assert precious.read_text() == "mine"
    assert not any((run / name).is_symlink() for name in ("summary.txt", "timeline.png"))


def test_temporary_names_cannot_be_guessed(
    run: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = os.getpid()
    for name in ("run.json", "summary.txt", "summary.md", "verdict.json"):
        (run / f".{name}.{pid}").symlink_to(precious)
    (run / f".timeline.{pid}.png").symlink_to(precious)
    assert ended(monkeypatch, "report", run) in {0, 1, 3}
    write_text(run / "run.json", (run / "run.json").read_text())
    assert precious.read_text() == "mine"
    assert (run / f".summary.txt.{pid}").is_symlink()  # and nobody else's file is taken away either


def test_a_taken_temporary_name_is_an_error_and_not_written_through(
    run: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (run / ".guessed").symlink_to(precious)
    with pytest.raises(FileExistsError):
        write_text(run / "summary.txt", "hostile")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("make", [lambda path: ArrowStream(path, HIT_SCHEMA, 0), JsonLines, folder.create])
def test_what_a_run_writes_is_new_and_belongs_to_its_owner_only(
    tmp_path: Path, precious: Path, make: Callable[[Path], Any]
) -> None:
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "nowhere").symlink_to(tmp_path / "made")
    for name in ("link", "nowhere", "precious"):
        with pytest.raises(FileExistsError):
            make(tmp_path / name)
    make(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert precious.read_text() == "mine"
    assert not (tmp_path / "made").exists()


def test_files_opened_for_appending_are_not_links_and_belong_to_their_owner(
    tmp_path: Path, precious: Path
) -> None:
    for word in (b"one ", b"two"):
        with folder.append(tmp_path / "command.log") as file:
            file.write(word)
    assert (tmp_path / "command.log").read_bytes() == b"one two"
    assert (tmp_path / "command.log").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        folder.append(tmp_path / "link")


def test_reports_belong_to_their_owner_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(monkeypatch, "report", run)
    for name in ("summary.txt", "summary.md", "verdict.json", "timeline.png", "report.html"):
        assert (run / name).stat().st_mode & 0o777 == 0o600, name


def test_a_folder_of_a_rollout_that_is_a_link_is_not_written_into(tmp_path: Path) -> None:
    inside, outside = tmp_path / "run", tmp_path / "outside"
    (inside / "rollouts").mkdir(parents=True)
    outside.mkdir()
    (inside / "rollouts" / "1").symlink_to(outside)
    with pytest.raises(OSError, match="links are not followed"):
        folder.write_below(inside, "rollouts/1/summary.txt", "hostile")
    (inside / "rollouts" / "1").unlink()
    folder.write_below(inside, "rollouts/1/summary.txt", "ours")
    assert (inside / "rollouts" / "1" / "summary.txt").read_text() == "ours"
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", ""])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        folder.write_below(tmp_path, name, "hostile")


def test_access_log_entries_are_not_read_through_a_link(run: Path, precious: Path) -> None:
    (run / "upstreams.jsonl").symlink_to(precious)
    assert "links are not followed" in refusal(lambda: kept(run))
    keep(run, {(0, 1): "10.0.0.1"})
    assert precious.read_text() == "mine"
    assert kept(run) == {(0, 1): "10.0.0.1"}


def test_a_crash_does_not_write_through_a_link(tmp_path: Path, precious: Path) -> None:
    from harness.cli.root import crashed

    here = tmp_path / "here"
    here.mkdir()
    (here / "crash.txt").symlink_to(precious)
    assert crashed(ZeroDivisionError("oh"), here) == 4
    assert precious.read_text() == "mine"
    assert "ZeroDivisionError: oh" in (here / "crash.txt").read_text()


def test_keep_neither_follows_a_link_nor_waits_for_a_pipe_nor_fails(tmp_path: Path, run: Path) -> None:
    root = tmp_path / "results"
    root.mkdir()
    (root / "20260101T000000Z-web").symlink_to(run)
    (root / "20260102T000000Z-web").mkdir()
    os.mkfifo(root / "20260102T000000Z-web" / "run.json")
    (root / "20260103T000000Z-web").mkdir()
    (root / "20260103T000000Z-web" / "run.json").write_text("[" * 100_000)
    (root / "20260104T000000Z-web").mkdir()
    most = {"rollout": {"max_time": 10**18}}
    (root / "20260104T000000Z-web" / "run.json").write_text(
        json.dumps({"name": "web", "state": "running", "scenario": most})
    )
    assert prune(root, "web", keep=1) == []
    assert (run / "run.json").exists()


# --- reading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "events.jsonl",
        "generator.jsonl",
        "manifests/before.json",
        "hits/0.arrow",
        "connections/0.arrow",
    ],
)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_only_regular_files_are_read_and_nothing_blocks(
    run: Path,
    tmp_path: Path,
    name: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = run / name
    (tmp_path / "outside").write_bytes(file.read_bytes() if file.exists() else b"")
    file.unlink(missing_ok=True)
    if kind == "link":
        file.symlink_to(tmp_path / "outside")
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    assert ended(monkeypatch, "report", run) == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert f"{file} cannot be read" in printed


@pytest.mark.parametrize("name", ["hits", "connections", "manifests"])
def test_a_folder_that_is_a_link_is_not_read(run: Path, tmp_path: Path, name: str) -> None:
    (run / name).rename(tmp_path / name)
    (run / name).symlink_to(tmp_path / name)
    recording = Recording.open(run)
    read: dict[str, Callable[[], object]] = {
        "hits": recording.hits,
        "connections": recording.connections,
        "manifests": lambda: recording.manifests("before"),
    }
    assert "links are not followed" in refusal(read[name])


def test_the_folder_itself_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run)
    assert Recording.open(tmp_path / "latest").run.name == "web"


@pytest.mark.parametrize(
    "name", ["", "../web", "a/b", "web\nid; rm -rf x", "$(id)", "-web", "Web", "web\x1b[31m", "a" * 300, 7]
)
def test_a_name_that_no_run_has_is_refused(run: Path, name: object) -> None:
    assert "run.json: name" in refusal(lambda: Recording.open(altered(run, name=name)))


def clock_of(**changes: object) -> dict[str, object]:
    fine = {"worker": 0, "offset_ns": 0, "uncertainty_ns": 1, "pod": "load-0", "node": "", "late_ns": 0}
    return fine | changes


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"workers": -1}, "workers"),
        ({"concurrency": 0}, "concurrency"),
        ({"worker_clocks": [clock_of(worker=-1)]}, "worker_clocks"),
        ({"worker_clocks": [clock_of(uncertainty_ns=-1)]}, "worker_clocks"),
        ({"worker_clocks": [clock_of(offset_ns=10**19)]}, "too large"),
        ({"worker_clocks": [clock_of(pod="\x1b[31m")]}, "worker_clocks"),
        ({"worker_clocks": [clock_of(node="n" * 300)]}, "worker_clocks"),
        ({"worker_clocks": [clock_of()] * 1025}, "worker_clocks"),
        ({"wall_ns": 10**18 * 5}, "wall_ns"),
        ({"wall_ns": 10**30}, "too large"),
        ({"timeout_ns": -5}, "timeout_ns"),
        ({"rate": -1.0}, "rate"),
        ({"max_baseline_failures": 2.0}, "max_baseline_failures"),
        ({"marks": [{"mark": "trigger", "t_ns": 10**17}]}, "marks"),
        ({"marks": [{"mark": "trigger", "t_ns": 1}, {"mark": "trigger", "t_ns": 2}]}, "marks"),
        ({"targets": [{}]}, "targets"),
        ({"max_baseline_failures": float("nan")}, "NaN is not a number"),
        ({"format": True}, "format"),
    ],
)
def test_numbers_that_no_run_has_are_named(run: Path, fields: dict[str, Any], named: str) -> None:
    assert named in refusal(lambda: Recording.open(altered(run, **fields)))


@pytest.mark.parametrize("name", ["run.json", "events.jsonl", "generator.jsonl", "manifests/before.json"])
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "\n{}\n",
        '{"a":' * 101 + "1" + "}" * 101 + "\n{}\n",
        '{"a": 1' + "0" * 5000 + "}\n{}\n",
        '{"a": 1e999}\n{}\n',
        '{"a": NaN}\n{}\n',
        '{"a": "\\ud800"}\n{}\n',
    ],
)
def test_json_that_no_run_writes_is_one_line(
    run: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).write_text(text)
    assert ended(monkeypatch, "compare", run, shutil.copytree(run, run.parent / "another")) == 2
    printed = capsys.readouterr().err
    assert name in printed
    assert len(printed.splitlines()) == 1
    assert len(printed) < 1000


def test_a_surrogate_pair_is_read(run: Path) -> None:
    altered(run, notes=["\U0001f6d2"])
    assert "\\ud83d" in (run / "run.json").read_text()
    assert Recording.open(run).run.notes == ("\U0001f6d2",)


def test_a_file_beyond_every_size_is_refused_unread(run: Path) -> None:
    with (run / "run.json").open("ab") as file:
        file.truncate(1 << 40)
    assert " are read" in refusal(lambda: Recording.open(run))


@pytest.mark.parametrize("name", ["\u00b21.arrow", "-1.arrow", "99999.arrow", "00.arrow", "0.arrow.txt"])
def test_files_with_other_names_are_ignored(run: Path, name: str) -> None:
    whole = len(Recording.open(run).hits())
    shutil.copy(run / "hits" / "0.arrow", run / "hits" / name)
    assert len(Recording.open(run).hits()) == whole
    assert Recording.open(run).workers() == (0,)


def batch(rows: int, **columns: Any) -> pa.RecordBatch:
    """Make hits that are all zeros, except for the given columns."""
    made: dict[str, Any] = {}
    for field in HIT_SCHEMA:
        if pa.types.is_dictionary(field.type):
            word = "response" if field.name == "outcome" else ""
            indices = pa.array(np.zeros(rows, dtype=field.type.index_type.to_pandas_dtype()))
            made[field.name] = pa.DictionaryArray.from_arrays(indices, [word])
        else:
            made[field.name] = pa.array(np.zeros(rows, dtype=field.type.to_pandas_dtype()))
    made["stands_for"] = pa.array(np.ones(rows, dtype=np.uint32))
    made |= columns
    return pa.record_batch([made[name] for name in HIT_SCHEMA.names], names=HIT_SCHEMA.names)


def written(run: Path, rows: pa.RecordBatch, compression: str | None = None) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (
        pa.OSFile(str(run / "hits" / "0.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, rows.schema, options=options) as stream,
    ):
        stream.write_batch(rows)
    return run


def test_what_is_compressed_is_refused_before_it_is_unpacked(run: Path) -> None:
    written(run, batch(3_000_000), "zstd")
    assert (run / "hits" / "0.arrow").stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    assert "compressed" in refusal(Recording.open(run).hits)
    assert pa.default_memory_pool().max_memory() >= before
    assert pa.total_allocated_bytes() - before < 1 << 20


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("done_ns", 1 << 60),
        ("done_ns", -5),
        ("due_ns", -(1 << 63)),
        ("seq", -1),
        ("bytes_in", -1),
        ("bytes_in", 1 << 62),
        ("conn_hits", -3),
        ("target", 9),
        ("status", 1000),
        ("stands_for", 0),
        ("stands_for", (1 << 24) + 1),
    ],
)
def test_a_value_that_no_hit_has_is_damage(run: Path, column: str, value: int) -> None:
    kind = HIT_SCHEMA.field(column).type
    written(run, batch(3, **{column: pa.array([0, value, 0], kind)}))
    assert f"column {column}" in refusal(Recording.open(run).hits)


def test_nulls_unknown_outcomes_and_wrong_types_are_damage(run: Path) -> None:
    written(run, batch(2, seq=pa.array([1, None], pa.int64())))
    assert "lacks a value" in refusal(Recording.open(run).hits)
    words = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.uint8()), ["blown away"])
    written(run, batch(2, outcome=words))
    assert "outcome" in refusal(Recording.open(run).hits)
    written(run, batch(2, status=pa.array([1.5, 2.5])))
    assert "another type" in refusal(Recording.open(run).hits)


def test_more_words_than_a_run_can_have_are_refused(run: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), [str(n) for n in range(70_000)])
    written(run, batch(2, pod=words))
    assert "over 65,536 words" in refusal(Recording.open(run).hits)


def test_a_duplicate_column_is_refused(run: Path) -> None:
    rows = batch(2)
    twice = pa.record_batch([*rows.columns, rows.column(0)], names=[*rows.schema.names, "seq"])
    written(run, twice)
    assert "column seq is missing" in refusal(Recording.open(run).hits)


def test_damage_in_the_middle_does_not_pass_for_a_cut(run: Path) -> None:
    file = run / "hits" / "0.arrow"
    write_hits(file, SyntheticRun.rolling(1).hits()[:400], batch=100)
    whole = file.read_bytes()
    at = whole.index(b"\xff\xff\xff\xff", len(whole) // 2)
    file.write_bytes(whole[:at] + b"\x07" * 8 + whole[at + 8 :])
    assert "damaged" in refusal(Recording.open(run).hits)


def test_zeros_at_the_end_are_what_a_crash_of_the_machine_leaves(run: Path) -> None:
    file = run / "hits" / "0.arrow"
    rows = len(Recording.open(run).hits())
    raw = file.read_bytes()
    file.write_bytes(raw[:-8] + bytes(4096))
    assert len(Recording.open(run).hits()) == rows


def test_one_row_at_the_end_of_a_month_does_not_make_a_month_of_seconds(run: Path) -> None:
    month = 30 * 86_400 * 1_000_000_000
    written(run, batch(2, done_ns=pa.array([0, month], pa.int64())))
    assert "2 rows span 2,592,000 s" in refusal(Recording.open(run).hits)
    line = (run / "generator.jsonl").read_text().splitlines()[0]
    (run / "generator.jsonl").write_text(f"{line}\n{json.dumps(json.loads(line) | {'t_ns': month})}\n")
    assert "too long a time" in refusal(Recording.open(run).health)


@pytest.mark.parametrize("text", ["[" * 100_000, "\xff", "{}", '{"grade": NaN}'])
def test_a_foreign_verdict_file_is_refused_in_one_line(text: str) -> None:
    refusal(lambda: from_json(text.encode("latin-1")))
