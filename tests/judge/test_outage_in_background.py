"""Where most requests fail all the time, failures are no sign of a loss; that nothing at all is answered still is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.judge.verdict.judgement import judge
from harness.model import Grade
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def judged(tmp_path: Path, good_of: int, outages: tuple[tuple[float, float], ...] = ()) -> Judgement:
    """Judge a run in which one of so many requests is good, and none within these stretches."""
    run = SyntheticRun.rolling(prestop=4, grace=20, record={"max_baseline_failures": 1.0})
    rows = run.hits()
    for number, row in enumerate(rows):
        since = row["done_ns"] / S - TRIGGER
        if number % good_of or any(a < since < b for a, b in outages):
            row.update(status=503, pod="")
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", rows)
    return judge(Recording.open(path))


@pytest.mark.parametrize("good_of", [2, 10])
def test_an_outage_during_the_rollout_withholds_the_pass_of_a_service_that_mostly_fails(
    tmp_path: Path, good_of: int
) -> None:
    found = judged(tmp_path, good_of, ((0.0, 3.0),))
    assert found.grade is not Grade.PASS
    assert "no good answer for 3.0" in found.verdict.findings[0].observed


@pytest.mark.parametrize("good_of", [2, 10, 50])
def test_a_service_that_mostly_fails_as_before_is_no_fault_of_the_rollout(
    tmp_path: Path, good_of: int
) -> None:
    assert judged(tmp_path, good_of).grade is Grade.PASS


def test_outages_that_came_before_too_are_background(tmp_path: Path) -> None:
    found = judged(tmp_path, 2, ((-8.5, -7.0), (-5.5, -4.0), (2.0, 5.0)))
    assert "no good answer for" not in found.verdict.findings[0].observed
    assert found.grade is Grade.PASS


def test_one_outage_before_does_not_make_the_next_one_usual(tmp_path: Path) -> None:
    """A readiness that flaps, or a rollout that leaves no endpoint: one outage of the baseline hides neither."""
    found = judged(tmp_path, 1, ((-8.0, -5.0), (2.0, 5.0)))
    assert found.grade is Grade.INCONCLUSIVE
    assert "one alone before the trigger" in found.verdict.findings[0].observed
    assert judged(tmp_path / "none since", 1, ((-8.0, -5.0),)).grade is Grade.PASS


@pytest.mark.parametrize("good_of", [2, 10])
def test_a_time_without_requests_before_the_trigger_makes_no_outage_usual(
    tmp_path: Path, good_of: int
) -> None:
    """Nobody asked for 4 s before the trigger; then nothing but failures comes for 3 s."""
    run = SyntheticRun.rolling(prestop=4, grace=20, record={"max_baseline_failures": 1.0})
    rows = []
    for number, row in enumerate(run.hits()):
        since = row["done_ns"] / S - TRIGGER
        if -7.0 < since < -3.0:
            continue
        beside_the_pause = -7.5 < since < -2.5
        if (number % good_of and not beside_the_pause) or 2.0 < since < 5.0:
            row.update(status=503, pod="")
        rows.append(row)
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", rows)
    found = judge(Recording.open(path))
    assert found.grade is not Grade.PASS
    assert "no request failed in a stretch nearly as long before" in found.verdict.findings[0].observed


def test_one_failure_within_a_wait_as_long_as_those_before_is_no_outage(tmp_path: Path) -> None:
    """Answers come every 2 s; a few failures came between two quick ones before, and one in a pause since."""
    run = SyntheticRun.rolling(prestop=4, grace=20, record={"max_baseline_failures": 1.0})
    rows = [row for row in run.hits() if row["done_ns"] / S % 2.0 < 0.1]
    quick = [row for row in rows if row["done_ns"] / S < TRIGGER]
    for row in quick[20:24]:
        row.update(status=503, pod="")
    late = next(row for row in run.hits() if 9.0 < row["done_ns"] / S - TRIGGER < 9.5)
    late.update(status=503, pod="")
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", sorted([*rows, late], key=lambda row: row["done_ns"]))
    assert "no good answer for" not in judge(Recording.open(path)).verdict.findings[0].observed


def test_failures_that_only_the_end_of_the_load_left_alone_are_no_outage(tmp_path: Path) -> None:
    """One request in 50 waits for 3 s and fails, before the trigger as since: at the end these are the last ones."""
    run = SyntheticRun.rolling(prestop=4, grace=20, record={"max_baseline_failures": 1.0})
    rows = run.hits()
    for number, row in enumerate(rows):
        if number % 50 == 0:
            row.update(status=504, pod="", done_ns=row["done_ns"] + 3 * S)
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    found = judge(Recording.open(path))
    assert max(row["done_ns"] for row in rows) / S - TRIGGER > run.ended + 2.0
    assert "no good answer for" not in found.verdict.findings[0].observed
    assert found.grade is Grade.PASS
