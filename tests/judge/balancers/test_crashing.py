"""A new version whose containers end, again and again, until nothing is left to send to: it has not flapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import by_ids, judged, lost, told_by, words
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

KILLED = ("Killing", "Container web failed liveness probe, will be restarted")
LIVENESS = ("Unhealthy", "Liveness probe failed: connection refused")
READINESS = ("Unhealthy", "Readiness probe failed: connection refused")


def crashing(*noted: tuple[str, str], code: int = 1) -> SyntheticRun:
    """All old pods go; then each new pod's container ends twice, and for 2.5 s there is no endpoint at all."""
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, drains=True, settle=12.0, lag=0.5)
    news = [pod for pod in synthetic.pods if not pod.old]
    first = max(pod.deleted or 0.0 for pod in synthetic.pods) + 1.0
    for number, pod in enumerate(news):
        ends = first + 0.2 * number
        pod.crashes = ((ends, ends + 2.9), (ends + 4.0, ends + 6.9))
        pod.crashed_with = (code, "Error" if code else "Completed")
        pod.crash_noted = noted
    return synthetic


def behind_an_alb(tmp_path: Path, synthetic: SyntheticRun) -> Judgement:
    tells = {"crashed": [(say.alb(502), 0.002)], "cut": [(say.alb(502), 0.0)], "D9": [(say.alb(503), 0.001)]}
    rows = told_by(synthetic, tells)
    assert synthetic.truth["D9"] > 50
    assert synthetic.truth["crashed"] > 50
    return judged(tmp_path, synthetic, rows)


def test_no_endpoint_left_by_a_version_that_crashes_is_its_crash_and_no_flapping_probe(
    tmp_path: Path,
) -> None:
    synthetic = crashing(READINESS)
    causes = by_ids(behind_an_alb(tmp_path, synthetic))
    assert set(causes) == {("A8",)}
    assert causes["A8",].hits == sum(synthetic.truth.values())
    assert causes["A8",].name == "the new version crashes"


@pytest.mark.parametrize(("noted", "code"), [((LIVENESS, KILLED), 143), ((LIVENESS,), 137)])
def test_no_endpoint_left_by_a_liveness_probe_that_kills_is_the_liveness_probe(
    tmp_path: Path, noted: tuple[tuple[str, str], ...], code: int
) -> None:
    assert set(by_ids(behind_an_alb(tmp_path, crashing(*noted, code=code)))) == {("A4",)}


def test_the_last_old_pod_that_goes_while_the_new_ones_are_down_is_still_their_crash(tmp_path: Path) -> None:
    synthetic = crashing()
    news = [pod for pod in synthetic.pods if not pod.old]
    last = max((pod for pod in synthetic.pods if pod.old), key=lambda pod: pod.deleted or 0.0)
    assert last.deleted is not None
    for pod in news:
        pod.crashes = ((last.deleted - 0.5, last.deleted + 3.0),)
    rows = [lost(last.deleted + 1.0 + n / 10, say.alb(503)) for n in range(10)]
    found = judged(tmp_path, synthetic, sorted(synthetic.hits()[:200] + rows, key=lambda row: row["done_ns"]))
    assert words(found) == {"A8"}


def test_pods_that_left_while_their_containers_ran_on_have_flapped_whatever_crashed_later(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, drains=True, settle=12.0, lag=0.5)
    news = [pod for pod in synthetic.pods if not pod.old]
    first = max(pod.deleted or 0.0 for pod in synthetic.pods) + 1.0
    for pod in news:  # not ready for 3 s, and only long after that the container ends
        pod.flaps = ((first, first + 3.0),)
        pod.crashes = ((first + 6.0, first + 7.0),)
    good = [row for row in synthetic.hits() if row["status"] == 200]
    rows = [lost(first + 1.0 + n / 10, say.alb(503)) for n in range(10)]
    assert words(judged(tmp_path, synthetic, sorted(good + rows, key=lambda row: row["done_ns"]))) == {"D7"}


def test_a_crash_that_the_watch_shows_only_once_the_next_process_runs_is_still_a_crash(
    tmp_path: Path,
) -> None:
    synthetic = crashing(READINESS)
    for pod in synthetic.pods:
        pod.crash_seen_late = True
    assert set(by_ids(behind_an_alb(tmp_path, synthetic))) == {("A8",)}


def test_an_old_pod_whose_container_ends_has_not_flapped_and_is_no_new_version(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, startup=6.0, prestop=4, grace=20, drains=True, lag=0.2)
    synthetic.pods[0].crashes = ((2.0, 4.0),)
    good = [row for row in synthetic.hits() if row["status"] == 200]
    rows = [lost(2.5 + n / 10, say.alb(503)) for n in range(10)]
    found = judged(tmp_path, synthetic, sorted(good + rows, key=lambda row: row["done_ns"]))
    assert words(found).isdisjoint({"D7", "A8", "A4"})
    assert found.grade == "FAIL"


def test_between_two_crashes_of_a_pod_its_flapping_is_told_as_that(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, prestop=1, grace=20, drains=True, lag=0.2, settle=14.0)
    old, new = synthetic.pods
    assert old.deleted is not None
    first = old.deleted + 1.0
    new.crashes, new.flaps = (
        ((first, first + 2.0), (first + 8.0, first + 10.0)),
        ((first + 4.0, first + 6.0),),
    )
    good = [row for row in synthetic.hits() if row["status"] == 200]
    rows = [lost(first + since + n / 10, say.alb(503)) for since in (0.5, 4.5, 8.5) for n in range(10)]
    found = by_ids(judged(tmp_path, synthetic, sorted(good + rows, key=lambda row: row["done_ns"])))
    assert {ids: cause.hits for ids, cause in found.items()} == {("A8",): 20, ("D7",): 10}


def test_a_readiness_that_flapped_before_the_trigger_too_is_no_fault_of_the_rollout_and_has_its_name(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, drains=True, lag=0.3, settle=12.0)
    synthetic.record = {"max_baseline_failures": 1.0}
    for pod in synthetic.pods:
        pod.flaps = ((-9.0, -7.0), (-4.0, -2.0), (15.0, 17.0)) if pod.old else ((15.0, 17.0),)
    found = judged(tmp_path, synthetic, told_by(synthetic, {"D9": [(say.alb(503), 0.001)]}))
    cause = by_ids(found)["not the rollout",]
    assert len(found.causes) == 1
    assert cause.diagnosis == "D7"
    assert any(line.startswith("D7: readiness flaps all the time") for line in cause.evidence)
    assert found.grade == "PASS"


def test_failures_as_before_that_no_pod_left_for_are_no_flapping_readiness(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, drains=True, lag=0.3, noise=0.05)
    synthetic.record = {"max_baseline_failures": 1.0}
    found = judged(tmp_path, synthetic, told_by(synthetic, {"noise": [(say.alb(503), 0.001)]}))
    assert by_ids(found)["not the rollout",].diagnosis == ""
