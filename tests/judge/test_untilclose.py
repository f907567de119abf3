"""Good answers whose body ends with the connection: they prove nothing if their sender was going away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.findings.finding import WHOLE, Finding
from harness.judge.verdict.judgement import judge
from harness.model import Grade
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def clean(**changes: Any) -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20, **changes)


def judged(
    tmp_path: Path, synthetic: SyntheticRun, ends_with_connection: Callable[[dict[str, Any]], bool]
) -> Judgement:
    path = synthetic.write(tmp_path)
    rows = synthetic.hits()
    for row in rows:
        row["until_close"] = ends_with_connection(row)
    write_hits(path / "hits" / "0.arrow", rows)
    return judge(Recording.open(path))


def about(found: Judgement) -> Finding | None:
    return next((finding for finding in found.verdict.findings if finding.objective == WHOLE), None)


def since(row: dict[str, Any]) -> float:
    return float(row["done_ns"] / S - TRIGGER)


def test_one_such_answer_while_its_pod_goes_withholds_the_pass(tmp_path: Path) -> None:
    synthetic = clean()
    pod = synthetic.pods[0]
    assert pod.deleted is not None
    assert pod.exits is not None
    last = max(
        row["done_ns"] for row in synthetic.hits() if row["pod"] == pod.name and since(row) > pod.deleted
    )
    found = judged(tmp_path, synthetic, lambda row: row["pod"] == pod.name and row["done_ns"] == last)
    finding = about(found)
    assert found.grade is Grade.INCONCLUSIVE
    assert finding is not None
    assert finding.observed.startswith("1 good answer with neither a length nor chunks ended while a pod")
    assert "HTTP cannot tell" in finding.observed
    assert "Content-Length" in found.verdict.headline


def test_such_answers_of_a_pod_that_stays_are_good(tmp_path: Path) -> None:
    synthetic = clean()
    stays = {pod.name for pod in synthetic.pods if not pod.old}
    found = judged(tmp_path, synthetic, lambda row: row["pod"] in stays)
    finding = about(found)
    assert found.grade is Grade.PASS
    assert finding is not None
    assert "but none while a pod that may have sent it was going away" in finding.observed


def test_such_answers_without_a_name_may_come_from_any_pod_that_goes(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(names_pods=False), lambda _: True)
    assert found.grade is Grade.INCONCLUSIVE


def test_such_answers_that_name_a_proxy_may_come_from_any_pod_that_goes(tmp_path: Path) -> None:
    synthetic = clean()
    path = synthetic.write(tmp_path)
    rows = [row | {"until_close": True, "pod": "edge-7"} for row in synthetic.hits()]
    write_hits(path / "hits" / "1.arrow", rows)
    finding = about(judge(Recording.open(path)))
    assert finding is not None
    assert finding.grade is Grade.INCONCLUSIVE


@pytest.mark.parametrize("when", ["before the trigger", "when all are gone"])
def test_such_answers_while_no_pod_goes_are_good(tmp_path: Path, when: str) -> None:
    synthetic = clean(names_pods=False, settle=10.0)
    gone = max(pod.gone or 0.0 for pod in synthetic.pods)
    quiet = {"before the trigger": (-99.0, 0.0), "when all are gone": (gone + 2.5, 999.0)}[when]
    found = judged(tmp_path, synthetic, lambda row: quiet[0] < since(row) < quiet[1])
    assert found.grade is Grade.PASS


def test_a_run_without_such_answers_says_nothing_of_them(tmp_path: Path) -> None:
    assert about(judged(tmp_path, clean(), lambda _: False)) is None


def test_a_load_without_a_rollout_takes_such_answers_as_they_are(tmp_path: Path) -> None:
    plain = {"rollout_wanted": False, "cluster": None, "path": None, "rollout": None}
    synthetic = clean(record=plain)
    marks = tuple(
        mark for mark in synthetic.run().marks if mark.mark.value in {"load_start", "warmup_end", "load_end"}
    )
    synthetic.record = {**plain, "marks": marks, "ended_by": "duration"}
    found = judged(tmp_path, synthetic, lambda _: True)
    assert found.grade is Grade.PASS
