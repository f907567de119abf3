"""What failed answers said, written and read back; and files that a stranger may have written instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from harness.errors import RecordingError
from harness.recording import answers
from harness.recording.answers import LONGEST_BODY, MOST, NONE, OTHER, Answer, clean
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

ENVOY = Answer(503, (("server", "envoy"),), "upstream connect error", closes=True)
EMPTY = Answer(502, (("server", "nginx"), ("content-type", "text/html")), "<h1>502 Bad Gateway</h1>")
GOOD = Answer(200, (("server", "envoy"),), good=True)


def written(root: Path, count: int = 40) -> Path:
    """Write a run of two workers whose hits failed alternately with two answers."""
    synthetic = SyntheticRun.rolling(1, before=3.0, identity=(GOOD,))
    rows = [
        row | {"answer": (ENVOY, EMPTY, NONE, OTHER)[at % 4]}
        for at, row in enumerate(synthetic.hits()[:count])
    ]
    path = synthetic.write(root)
    write_hits(path / "hits" / "0.arrow", rows, identity=(GOOD,))
    write_hits(path / "hits" / "1.arrow", rows[1:])
    return path


def lines(run: Path, worker: int = 0) -> Path:
    return run / "answers" / f"{worker}.jsonl"


def altered(run: Path, **fields: Any) -> Path:
    """Change the line of worker 0 that holds ENVOY."""
    file = lines(run)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    found[1] |= fields
    file.write_text("".join(json.dumps(line) + "\n" for line in found))
    return run


def test_answers_are_read_back_and_the_hits_of_each_worker_point_to_them(tmp_path: Path) -> None:
    recording = Recording.open(written(tmp_path))
    hits = recording.hits(["answer"])
    assert recording.answers() == (GOOD, ENVOY, EMPTY, EMPTY, ENVOY)
    assert hits["answer"][hits["worker"] == 0].tolist()[:5] == [1, 2, NONE, OTHER, 1]
    assert hits["answer"][hits["worker"] == 1].tolist()[:5] == [3, NONE, OTHER, 4, 3]
    assert recording.lost_answers() == 0


def test_a_simulated_run_says_what_its_balancer_says_of_each_cause(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, said={"B1": ENVOY, "502": EMPTY}, noise=0.01)
    recording = Recording.open(synthetic.write(tmp_path))
    hits = recording.hits()
    assert set(recording.answers()) == {ENVOY, EMPTY}
    found = [recording.answers()[place] for place in hits["answer"] if place >= 0]
    assert found.count(ENVOY) == synthetic.truth["B1"]
    assert set(hits["answer"][hits["status"] == 200]) == {NONE}
    again = Recording.open(synthetic.write(tmp_path))
    assert again.answers() == recording.answers()


def test_a_recording_without_answers_has_none(tmp_path: Path) -> None:
    run = written(tmp_path)
    for worker in (0, 1):
        lines(run, worker).unlink()
    assert Recording.open(run).answers() == ()
    assert set(Recording.open(run).hits()["answer"]) == {NONE, OTHER}
    lines(run).parent.rmdir()
    assert Recording.open(run).answers() == ()


def test_half_a_last_line_is_ignored(tmp_path: Path) -> None:
    run = written(tmp_path)
    with lines(run).open("a") as file:
        file.write('{"index": 3, "status": 50')
    recording = Recording.open(run)
    assert len(recording.answers()) == 5
    assert recording.lost_answers() == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"index": -1},
        {"index": MOST},
        {"index": True},
        {"index": 2},  # twice: the first one counts
        {"status": "503"},
        {"status": 1000},
        {"status": -1},
        {"headers": {"server": "envoy"}},
        {"headers": [["server"]]},
        {"headers": [["server", 1]]},
        {"headers": [["server", "x" * 129]]},
        {"headers": [["", "x"]]},
        {"headers": [["server", "envoy"]] * 33},
        {"body": None},
        {"body": "x" * (LONGEST_BODY + 1)},
        {"closes": 1},
        {"good": "no"},
    ],
)
def test_only_the_damaged_line_is_lost(tmp_path: Path, fields: dict[str, Any]) -> None:
    recording = Recording.open(altered(written(tmp_path), **fields))
    hits = recording.hits()
    assert recording.lost_answers() == 1
    assert len(recording.answers()) == 4
    assert OTHER in set(hits["answer"])
    assert hits["answer"].max() < len(recording.answers())


@pytest.mark.parametrize(
    "line", [b"[]", b"7", b"\xff\xfe", b"{" * 200, b'{"index": 1e999}', b'{"a": "\\ud800"}']
)
def test_a_line_that_is_not_an_answer_is_skipped(tmp_path: Path, line: bytes) -> None:
    run = written(tmp_path)
    lines(run).write_bytes(line + b"\n" + lines(run).read_bytes())
    recording = Recording.open(run)
    assert recording.lost_answers() == 1
    assert len(recording.answers()) == 5


def test_a_strangers_answers_are_cleaned_like_our_own(tmp_path: Path) -> None:
    run = altered(written(tmp_path), body="a\x1b[31mb\u202ec\0d\n\ne", headers=[["ser\x07ver", "en\x9bvoy"]])
    assert Recording.open(run).answers()[1] == Answer(503, (("server", "envoy"),), "abcd e", closes=True)


@pytest.mark.parametrize("value", [MOST, OTHER - 1, 32767, -32768])
def test_a_row_that_points_to_an_answer_that_no_worker_keeps_is_damage(tmp_path: Path, value: int) -> None:
    run = written(tmp_path)
    file = run / "hits" / "0.arrow"
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        table = stream.read_all()
    values = table["answer"].to_pylist()
    values[3] = value
    at = table.schema.get_field_index("answer")
    table = table.set_column(at, table.schema.field(at), pa.array(values, pa.int16()))
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(RecordingError, match="damaged: column answer") as caught:
        Recording.open(run).hits()
    assert "\n" not in str(caught.value)


def test_a_file_larger_than_any_of_ours_and_a_link_are_refused(tmp_path: Path) -> None:
    run = written(tmp_path)
    lines(run).write_bytes(b"\n" * (2 * MOST + 10))
    with pytest.raises(RecordingError, match="over 256 lines"):
        Recording.open(run).answers()
    with lines(run).open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(RecordingError, match=r"but at most .* are read"):
        Recording.open(run).answers()
    lines(run).unlink()
    lines(run).symlink_to("/etc/passwd")
    with pytest.raises(RecordingError, match="links are not followed"):
        Recording.open(run).answers()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("  two\r\n\t lines  ", "two lines"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("nul\0l, bell\x07, \x9b31m", "null, bell, 31m"),
        ("left\u202eright\u2066\u200b", "leftright"),
        ("\ud800half", "half"),
        ("façade 漢字 \ufffd", "façade 漢字 \ufffd"),
        ("x" * 300, "x" * 256),
    ],
)
def test_texts_are_cleaned_of_what_acts_on_a_terminal(text: str, cleaned: str) -> None:
    assert clean(text, LONGEST_BODY) == cleaned


def test_an_answer_and_its_line_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "0.jsonl").write_text(json.dumps(answers.line(0, ENVOY)) + "\n")
    assert answers.kept(tmp_path, [0]).known == (ENVOY,)
