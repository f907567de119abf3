"""What proves that the load reached the workload: most answers name a pod that can have given them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.findings import pathproof
from harness.judge.findings.case import Case
from harness.judge.findings.finding import PROVEN, Finding
from harness.judge.verdict.judgement import judge
from harness.model import BY_ANSWERS, Grade, PathProof
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

UNPROVEN = {"path": PathProof(proven=False, how="")}
ROUTED = {
    "path": PathProof(proven=True, how="the URL's host is Service web, which selects the workload's pods")
}
ONE_NAME = {"path": PathProof(proven=True, how=f"{BY_ANSWERS} (web-1)")}
ASSERTED = {"path": PathProof(proven=True, how="asserted by --path-proven")}


def clean(record: dict[str, Any] = UNPROVEN, **changes: Any) -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20, record=record, **changes)


def judged(tmp_path: Path, synthetic: SyntheticRun, name: Callable[[dict[str, Any]], str]) -> Judgement:
    path = synthetic.write(tmp_path)
    rows = synthetic.hits()
    for row in rows:
        row["pod"] = name(row)
    write_hits(path / "hits" / "0.arrow", rows)
    return judge(Recording.open(path))


def about(found: Judgement) -> Finding:
    return next(finding for finding in found.verdict.findings if finding.objective == PROVEN)


def sent(row: dict[str, Any]) -> float:
    return float(row["due_ns"] / S - TRIGGER)


def test_answers_that_name_their_pods_prove_the_path_and_say_how_many(tmp_path: Path) -> None:
    synthetic = clean()
    some = {row["seq"] for row in synthetic.hits()[::4]}
    found = judged(tmp_path, synthetic, lambda row: "" if row["seq"] in some else row["pod"])
    total = len(synthetic.hits())
    assert found.grade is Grade.PASS
    assert (
        about(found).observed
        == f"{total - len(some):,} of {total:,} good answers named 6 pods of the workload"
    )


@pytest.mark.parametrize("record", [UNPROVEN, ROUTED, ONE_NAME, ASSERTED])
def test_answers_that_name_a_pod_which_is_gone_come_from_a_cache(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    synthetic = clean(record, settle=12.0)
    old = synthetic.pods[0].name
    found = judged(tmp_path, synthetic, lambda _: old)
    assert found.grade is Grade.INCONCLUSIVE
    assert "a cache answers" in found.verdict.headline
    assert f"after pod {old} had gone name it" in about(found).observed


def test_a_cache_that_keeps_answers_for_a_second_is_seen(tmp_path: Path) -> None:
    synthetic = clean()
    old = next(pod for pod in synthetic.pods if pod.old)
    assert old.gone is not None
    late = {row["seq"] for row in synthetic.hits() if 0.1 < sent(row) - old.gone < 0.2}
    assert late
    found = judged(tmp_path, synthetic, lambda row: old.name if row["seq"] in late else row["pod"])
    assert found.grade is Grade.INCONCLUSIVE
    assert "a cache answers" in about(found).observed


def test_a_request_in_flight_when_its_pod_went_may_still_name_it(tmp_path: Path) -> None:
    synthetic = clean()
    old = next(pod for pod in synthetic.pods if pod.old)
    assert old.gone is not None
    out = {row["seq"] for row in synthetic.hits() if sent(row) < old.gone < sent(row) + 0.04}
    assert out
    found = judged(tmp_path, synthetic, lambda row: old.name if row["seq"] in out else row["pod"])
    assert found.grade is Grade.PASS


def test_a_process_outlives_a_pod_that_was_removed_by_force(tmp_path: Path) -> None:
    synthetic = clean()
    found = judged(tmp_path, synthetic, lambda row: row["pod"])
    old = next(pod for pod in found.timeline.pods if pod.old)
    assert old.deleted_ns is not None
    begun = old.deleted_ns + S
    forced = replace(old, exited_ns=None, gone_ns=old.deleted_ns + S // 10)
    traffic = tuple(
        replace(pod, last_good_begun_ns=begun) if pod.pod == old.name else pod for pod in found.numbers.pods
    )
    for life, grade in (
        (forced, Grade.PASS),
        (replace(forced, exited_ns=forced.gone_ns), Grade.INCONCLUSIVE),
    ):
        pods = tuple(life if pod.uid == old.uid else pod for pod in found.timeline.pods)
        numbers = replace(found.numbers, pods=traffic)
        case = Case(run=synthetic.run(), timeline=replace(found.timeline, pods=pods), numbers=numbers)
        path = pathproof.finding(case)
        assert path is not None
        assert path.grade is grade, path


def test_without_answers_from_new_pods_the_path_is_not_proven(tmp_path: Path) -> None:
    synthetic = clean()
    olds = [pod for pod in synthetic.pods if pod.old]

    def alive(row: dict[str, Any]) -> str:
        return next((pod.name for pod in olds if pod.gone is None or sent(row) < pod.gone), "")

    found = judged(tmp_path, synthetic, alive)
    assert found.grade is Grade.INCONCLUSIVE
    assert "a cache answers, or new pods got no request" in about(found).observed
    assert "none named any of the 3 new pods" in about(found).observed


def test_new_pods_with_the_old_names_count_as_reached(tmp_path: Path) -> None:
    synthetic = clean()
    found = judged(tmp_path, synthetic, lambda row: row["pod"])
    olds, news = ([pod for pod in found.timeline.pods if pod.old is old] for old in (True, False))
    again = {new.name: old.name for new, old in zip(news, olds, strict=True)}
    pods = tuple(replace(pod, name=again.get(pod.name, pod.name)) for pod in found.timeline.pods)
    traffic = tuple(replace(pod, pod=again[pod.pod]) for pod in found.numbers.pods if pod.pod in again)
    numbers = replace(found.numbers, pods=traffic)
    case = Case(run=synthetic.run(), timeline=replace(found.timeline, pods=pods), numbers=numbers)
    path = pathproof.finding(case)
    assert path is not None
    assert path.grade is Grade.PASS, path


@pytest.mark.parametrize("record", [UNPROVEN, ONE_NAME])
def test_one_name_among_thousands_of_answers_proves_nothing(tmp_path: Path, record: dict[str, Any]) -> None:
    synthetic = clean(record)
    found = judged(tmp_path, synthetic, lambda row: row["pod"] if row["seq"] == 1500 else "")
    total = len(synthetic.hits())
    assert found.grade is Grade.INCONCLUSIVE
    assert f"only 1 of {total:,} good answers (" in about(found).observed


@pytest.mark.parametrize(("part", "grade"), [(3, Grade.INCONCLUSIVE), (6, Grade.PASS)])
def test_most_answers_have_to_name_their_pod(tmp_path: Path, part: int, grade: Grade) -> None:
    found = judged(tmp_path, clean(), lambda row: row["pod"] if row["seq"] % 10 < part else "")
    assert found.grade is grade


def test_a_pod_name_before_the_load_proves_nothing_if_the_load_saw_none(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(ONE_NAME), lambda _: "")
    assert found.grade is Grade.INCONCLUSIVE
    assert "path not proven: no answer named a pod of the workload" in about(found).observed


@pytest.mark.parametrize("record", [ROUTED, ASSERTED])
@pytest.mark.parametrize("seq", [-1, 1500])
def test_where_the_route_itself_is_known_answers_need_no_names(
    tmp_path: Path, record: dict[str, Any], seq: int
) -> None:
    found = judged(tmp_path, clean(record), lambda row: row["pod"] if row["seq"] == seq else "")
    assert found.grade is Grade.PASS
    assert about(found).observed == record["path"].how


def test_a_target_whose_answers_name_no_pod_is_not_proven_by_another_target(tmp_path: Path) -> None:
    synthetic = clean(methods=("GET", "GET", "GET", "POST"))
    found = judged(tmp_path, synthetic, lambda row: row["pod"] if row["target"] != 3 else "")
    assert found.grade is Grade.INCONCLUSIVE
    assert "to POST http://127.0.0.1:8088/ named a pod of the workload" in about(found).observed
