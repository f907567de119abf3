"""The judge is scored by request id: a failed hit against the lab's line with the same id, not the nearest in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.recording.read import Recording
from harness.recording.trace import request_id
from tests.bench.score_bench import BEGIN, END, kept, older, write
from tests.bench.scoring import Truth, score
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path


def line(recording: Recording, seq: int | None, done_ns: int, cause: str, **rest: Any) -> dict[str, Any]:
    run = recording.run
    return {
        "t_ns": run.monotonic_ns + done_ns,
        "request_id": None if seq is None else request_id(run.wall_ns, run.monotonic_ns, 0, seq),
        "status": 502,
        "cause": cause,
        "root": cause,
        **rest,
    }


def truth(path: Path, lines: list[dict[str, Any]]) -> Truth:
    (path / "lab").mkdir(exist_ok=True)
    (path / "lab" / "truth.jsonl").write_text("".join(json.dumps(line_) + "\n" for line_ in lines))
    return Truth(path, Recording.open(path))


def test_a_hit_is_joined_by_its_id_whatever_lies_nearer_in_time(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(1).write(tmp_path)
    recording = Recording.open(path)
    far, near = line(recording, 7, 900_000_000, "A1"), line(recording, 8, 1_000_000, "B1")
    found = truth(path, [near, far]).of(0, 7, 1_000_000, 502)
    assert found is not None
    assert found["cause"] == "A1"
    assert truth(path, [near]).of(0, 7, 1_000_000, 502) is None, (
        "another request's line is no truth of this one"
    )


def test_a_saved_request_is_not_lost_and_the_last_try_counts(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(1).write(tmp_path)
    recording = Recording.open(path)
    tries = [line(recording, 7, 5, "B1", saved=True), line(recording, 7, 6, "C9", saved=False)]
    found = truth(path, tries).of(0, 7, 6, 502)
    assert found is not None
    assert found["cause"] == "C9"
    assert truth(path, tries[:1]).of(0, 7, 6, 502) is None


def test_without_an_id_the_nearest_line_with_the_same_status_is_used_once(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(1).write(tmp_path)
    recording = Recording.open(path)
    known = truth(path, [line(recording, None, 10, "C3", status=0), line(recording, None, 10, "B1")])
    first = known.of(0, 7, 1_000_000, 0)
    assert first is not None
    assert first["cause"] == "C3"
    assert known.of(0, 8, 1_000_000, 0) is None


def test_a_score_counts_right_pairs_and_wrong_ones(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path)  # "A1 or B1"
    recording = Recording.open(path)
    hits = recording.hits()
    lost = hits[(hits["status"] == 502) & (hits["done_ns"] > 12_000_000_000)]
    lines = [line(recording, seq, done, "A1") for seq, done in zip(lost["seq"], lost["done_ns"], strict=True)]
    truth(path, lines[1:])
    found = score("made-up", "A1", path)
    assert found.hits == len(lost)
    assert found.unmatched == 1
    assert found.right + found.pair + found.wrong == found.known == len(lost) - 1
    assert found.pair > 0
    assert found.wrong_exact == 0
    assert found.label_named


def test_writing_scores_leaves_what_people_wrote(tmp_path: Path) -> None:
    document = tmp_path / "judged.md"
    document.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    write(document, ["| new |"])
    write(document, ["| newer |"])
    assert document.read_text() == f"# Title\n\n{BEGIN}\n\n| newer |\n\n{END}\n\nThe end.\n"


def test_writing_scores_leaves_those_of_sets_that_were_not_asked_for(tmp_path: Path) -> None:
    document = tmp_path / "judged.md"
    old = ["## On the lab", "", "old", "", "## On a real Kubernetes", "", "31 of 31", ""]
    document.write_text("\n".join(["about", BEGIN, *old, END, "more"]))
    write(document, kept(document, ["## On the lab", "", "new", ""]))
    text = document.read_text()
    assert "old" not in text
    assert (
        text.index("new") < text.index("## On a real Kubernetes") < text.index("31 of 31") < text.index(END)
    )
    write(document, kept(document, ["## On the lab", "", "new", ""]))
    assert document.read_text() == text


def test_a_recording_that_the_rules_may_know_is_not_fresh(tmp_path: Path) -> None:
    for scenario, began in (("A1", "20261130T170000Z"), ("B1", "20261130T190000Z")):
        run = tmp_path / scenario / f"{began}-web"
        run.mkdir(parents=True)
        for name in ("run.json", "verdict.json"):
            (run / name).write_text("{}")
    wanted = [tmp_path / name for name in ("A1", "B1", "C1")]
    assert older(tmp_path, wanted, datetime(2026, 11, 30, 18, tzinfo=UTC)) == ["A1"]
