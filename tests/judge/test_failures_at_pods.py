"""Background fails at pods that come and go too: it is held against them only where it is more than elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.verdict.judgement import judge
from harness.model import Grade, Outcome
from harness.recording.read import Recording
from harness.recording.upstreams import keep
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

RESET: dict[str, Any] = {
    "status": 0,
    "outcome": Outcome.RESET_BEFORE_RESPONSE,
    "first_byte_ns": -1,
    "pod": "",
}


def run_of(tmp_path: Path, simulated: SyntheticRun, every: int, change: dict[str, Any]) -> Judgement:
    """Judge a run in which every so many-th good request fails, from its first second to its last."""
    rows = simulated.hits()
    good = [row for row in rows if row["status"] == 200]
    for row in good[every // 2 :: every]:
        row.update(change)
    path = simulated.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", rows)
    return judge(Recording.open(path))


@pytest.mark.parametrize("change", [RESET, {"status": 503}], ids=["by the peer", "by the answer's name"])
def test_one_failure_at_each_of_many_new_pods_is_background_as_before(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """The pods at which nothing failed count too: else 40 pods with 1 failure each look worse than the baseline."""
    many = SyntheticRun.rolling(
        40,
        startup=0.5,
        prestop=4,
        grace=20,
        concurrency=20,
        direct=True,
        record={"max_baseline_failures": 0.01},
    )
    found = run_of(tmp_path, many, 2400, change)
    assert found.grade is Grade.PASS, found.verdict.findings[0].observed


def test_failures_at_new_pods_alone_fail_the_run_in_spite_of_background(tmp_path: Path) -> None:
    run = SyntheticRun.rolling(
        6,
        startup=0.5,
        prestop=4,
        grace=20,
        concurrency=20,
        direct=True,
        record={"max_baseline_failures": 0.01},
    )
    rows = run.hits()
    new = {pod.name for pod in run.pods if not pod.old}
    before = [row for row in rows if row["done_ns"] < TRIGGER * S]
    for row in before[::1000] + [row for row in rows if row["pod"] in new][::100]:
        row.update(RESET)
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", rows)
    found = judge(Recording.open(path))
    assert found.grade is Grade.FAIL
    assert "at pods that came or went" in found.verdict.findings[0].observed


def test_a_balancers_log_that_alone_knows_the_pods_accuses_no_clean_rollout(tmp_path: Path) -> None:
    run = SyntheticRun.rolling(
        6,
        startup=0.5,
        prestop=4,
        grace=20,
        concurrency=20,
        names_pods=False,
        record={"max_baseline_failures": 0.01},
    )
    rows = run.hits()
    for row in rows[::1000]:
        row["status"] = 502
    path = run.write(tmp_path)
    write_hits(path / "hits" / "0.arrow", rows)
    new = [pod for pod in run.pods if not pod.old]

    def address(row: dict[str, Any]) -> str:
        inside = [pod for pod in new if pod.enters + TRIGGER < row["due_ns"] / S]
        return inside[row["seq"] % len(inside)].address if inside else run.pods[0].address

    keep(path, {(0, row["seq"]): address(row) for row in rows if row["status"] == 502})
    found = judge(Recording.open(path))
    assert found.verdict.findings[0].grade is Grade.PASS, found.verdict.findings[0].observed
