"""The table of an ablation: what each protection buys, and what the rollouts do not tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from harness.report.ablation import Row, json_of, markdown, text
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Row("everything on", "", "one", (0, 0, 0), (), 30_000_000, {})
BAD = Row("no preStop", "no preStop", "two", (12, 9, 14), (), 41_000_000, {"B1": 30, "B1|B2": 5})


def test_a_row_has_what_each_rollout_lost_and_the_interval_of_the_mean() -> None:
    lines = text([GOOD, BAD]).splitlines()
    assert lines[0].split("  ")[0] == "switched off"
    assert "0, 0, 0" in lines[2]
    assert "12, 9, 14" in lines[3]
    assert "11.7" in lines[3]
    assert "B1 (30), B1 or B2 (5)" in lines[3]
    low, high = BAD.interval or (0.0, 0.0)
    assert low < 35 / 3 < high


def test_nothing_lost_in_a_few_rollouts_is_said_to_prove_little() -> None:
    assert "Nothing lost in 3 rollouts is no proof: up to 63 % of such rollouts may lose something" in text(
        [GOOD]
    )
    assert "no proof" not in text([BAD])


def test_a_version_that_fails_without_any_rollout_is_a_result() -> None:
    row = Row("no keep-alive order", "", "x", (), (), None, {}, unsound=True)
    shown = text([row])
    assert "fails without a rollout" in shown.splitlines()[2]
    assert "no keep-alive order: too many requests failed before any pod was touched" in shown


def test_a_rollout_that_does_not_count_is_named_with_its_reason() -> None:
    row = Row("everything on", "", "x", (0, 0), ("saturated: p99 over 50 ms",), None, {})
    assert "everything on: 1 rollout does not count: saturated: p99 over 50 ms." in text([row])


def test_what_a_manifest_says_cannot_break_the_table() -> None:
    row = Row("no | preStop\n", "<b>", "x", (1,), (), None, {"B1": 1})
    lines = markdown([row]).splitlines()
    assert len(lines[2].replace(r"\|", "").split("|")) == 9
    assert "<b>" not in lines[2]
    assert "\n" not in text([row]).splitlines()[2]


def test_json_has_every_number() -> None:
    found = json.loads(json_of([GOOD, BAD]))["rows"]
    assert [one["lost"] for one in found] == [[0, 0, 0], [12, 9, 14]]
    assert found[0]["interval_95"] is None
    assert found[1]["mean"] == 35 / 3


def test_a_run_of_several_rollouts_becomes_a_row(tmp_path: Path) -> None:
    series(tmp_path / "bad", *(lossy() for _ in range(3)))
    [path] = (tmp_path / "bad").iterdir()
    row = Row.of("no preStop", "no preStop", judge(Recording.open(path)))
    assert len(row.lost) == 3
    assert min(row.lost) > 0
    assert "B1" in " ".join(row.causes)
    assert row.p99_during_ns
    assert not row.unsound
    series(tmp_path / "good", *(clean() for _ in range(2)))
    [path] = (tmp_path / "good").iterdir()
    assert Row.of("everything on", "", judge(Recording.open(path))).lost == (0, 0)


def test_a_run_that_ended_in_a_baseline_has_no_mean_and_no_cause(tmp_path: Path) -> None:
    path = SyntheticRun.rolling().write(tmp_path)
    record = json.loads((path / "run.json").read_text())
    record["ended_by"] = "baseline_unsound"
    (path / "run.json").write_text(json.dumps(record))
    row = Row.of("x", "", judge(Recording.open(path)))
    assert row.unsound
    assert (row.mean, row.interval) == (None, None)
    assert "B1" not in text([row])
