"""A request that nobody answered before the trigger, and whose timer ends after it, was not lost to the rollout."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import pytest

from harness.judge.verdict.judgement import judge
from harness.model import Grade, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def judged(tmp_path: Path, moments: list[float], took: float, status: int = 0) -> Judgement:
    """Judge a run in which requests that begin at these moments are out for so long, until a timer ends them."""
    run = SyntheticRun.rolling(
        prestop=4, grace=20, concurrency=20, settle=30.0, record={"max_baseline_failures": 0.01}
    )
    rows = sorted(run.hits(), key=lambda row: row["due_ns"])
    begun = [row["due_ns"] for row in rows]
    for moment in moments:
        row = rows[bisect.bisect_left(begun, round((TRIGGER + moment) * S))]
        done_ns = row["due_ns"] + round(took * S)
        row.update(done_ns=done_ns, pod="", status=status, first_byte_ns=done_ns if status else -1)
        row["outcome"] = Outcome.RESPONSE if status else Outcome.READ_TIMEOUT_HEADERS
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    return judge(Recording.open(path))


@pytest.mark.parametrize("status", [0, 504], ids=["this client's timer", "the balancer's timer"])
def test_requests_that_hung_before_the_trigger_are_not_lost_to_the_rollout(
    tmp_path: Path, status: int
) -> None:
    found = judged(tmp_path, [-8.0, -5.0, -3.0], 15.0, status)
    assert found.grade is Grade.PASS, found.verdict.headline
    assert "3 had hung since before the trigger" in found.verdict.findings[0].observed
    assert [cause.ids for cause in found.causes] == [("not the rollout",)]


def test_what_hung_before_is_the_background_of_what_hangs_after(tmp_path: Path) -> None:
    assert judged(tmp_path, [-8.0, -5.0, -3.0, 4.0], 15.0).grade is Grade.PASS
    many = judged(tmp_path, [-8.0, *(2.0 + n / 50 for n in range(20))], 15.0)
    assert many.grade is Grade.FAIL


@pytest.mark.parametrize("moment", [-1.5, -0.01, 0.0, 3.0])
def test_a_request_that_may_still_have_been_answered_at_the_trigger_is_lost(
    tmp_path: Path, moment: float
) -> None:
    """A change that is only observed begins before it is seen: what began within 2 s of the trigger counts."""
    found = judged(tmp_path, [moment], 15.0)
    assert found.grade is Grade.FAIL
    assert found.verdict.lost == 1


def test_nothing_is_late_where_good_answers_take_as_long(tmp_path: Path) -> None:
    """A long poll that takes 8 s before the trigger tells nothing of one that began 9 s before it."""
    run = SyntheticRun.rolling(prestop=4, grace=20, concurrency=20, settle=30.0)
    rows = sorted(run.hits(), key=lambda row: row["due_ns"])
    early = [row for row in rows if -9.4 < row["due_ns"] / S - TRIGGER < -9.0]
    early[0]["done_ns"] = early[0]["due_ns"] + 8 * S
    early[1].update(
        done_ns=early[1]["due_ns"] + 15 * S, pod="", status=0, outcome=Outcome.READ_TIMEOUT_HEADERS
    )
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    assert judge(Recording.open(path)).grade is Grade.FAIL
