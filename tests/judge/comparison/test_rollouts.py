"""A run's rollouts as rows of a comparison, and which of them count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.comparison.rollouts import rollouts_of
from harness.judge.comparison.sides import judged_run, side_of
from harness.judge.verdict.judgement import judge
from harness.model import Grade, Mark
from harness.recording.read import Recording
from tests.judge.synthetic import S, SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_of_several_rollouts_brings_each_of_them_in_order(tmp_path: Path) -> None:
    recording = Recording.open(series(tmp_path, lossy(), clean(), lossy()))
    judgement = judge(recording)
    found = rollouts_of(judgement, recording.run.wall_ns)
    assert [one.number for one in found] == [1, 2, 3]
    assert [one.lost for one in found] == [one.verdict.lost for one in judgement.rollouts]
    assert [one.lost > 0 for one in found] == [True, False, True]
    assert sum(one.lost for one in found) == judgement.verdict.lost
    assert [one.began_ns for one in found] == sorted(one.began_ns for one in found)
    assert {one.run for one in found} == {recording.path.name}
    assert all(one.counts for one in found)


def test_a_rollout_says_what_failed_why_and_how_long_it_took(tmp_path: Path) -> None:
    run = SyntheticRun.rolling()
    recording = Recording.open(run.write(tmp_path))
    [one] = rollouts_of(judge(recording), recording.run.wall_ns, block=3)
    assert one.failed == one.masked + one.hard == sum(one.kinds.values())
    assert one.causes["B1"] > 0
    assert one.cause_names["B1"].startswith("no preStop")
    assert one.bad_seconds > 0
    assert one.outage_ns > 0
    assert one.settled_ns is not None
    assert one.before is not None
    assert one.during is not None
    assert 0 < one.during_requests < one.requests
    assert one.began_ns == recording.run.wall_ns + 12 * S
    assert one.block == 3


def test_a_rollout_that_was_not_seen_to_its_end_does_not_count_and_says_so(tmp_path: Path) -> None:
    run = SyntheticRun.rolling().run()
    early = tuple(mark for mark in run.marks if mark.mark is not Mark.ENDPOINTS_SETTLED)
    recording = Recording.open(SyntheticRun.rolling(record={"marks": early}).write(tmp_path))
    side = side_of("before", [judged_run(recording)])
    assert not side.rollouts
    assert [one.why for one in side.left_out] == ["the rollout was not seen to its end"]


def test_a_clean_rollout_with_a_doubt_tells_nothing_and_a_lossy_one_does(tmp_path: Path) -> None:
    recordings = [
        Recording.open(replace(run, lag_p99=0.2).write(tmp_path / name))
        for name, run in (("clean", clean()), ("lossy", lossy()))
    ]
    side = side_of("after", [judged_run(one) for one in recordings])
    assert [run.grade for run in side.runs] == [Grade.INCONCLUSIVE, Grade.FAIL]
    assert [one.lost > 0 for one in side.rollouts] == [True]
    assert len(side.left_out) == 1
    assert side.left_out[0].why.startswith("saturated: p99 over 50 ms")


def test_the_generators_doubt_is_a_doubt_about_each_clean_rollout_of_its_run(tmp_path: Path) -> None:
    recording = Recording.open(series(tmp_path, clean(), clean()))
    judgement = judge(recording)
    sick = replace(
        judgement.verdict,
        findings=tuple(
            replace(f, grade=Grade.INCONCLUSIVE, observed="the lag was 90 ms")
            if "keeps up" in f.objective
            else f
            for f in judgement.verdict.findings
        ),
    )
    found = rollouts_of(replace(judgement, verdict=sick), recording.run.wall_ns)
    assert [one.doubts for one in found] == [("the lag was 90 ms",)] * 2
    assert not any(one.counts for one in found)


def test_an_early_end_of_the_run_is_a_doubt_about_its_last_rollout_alone(tmp_path: Path) -> None:
    recording = Recording.open(series(tmp_path, clean(), clean()))
    judgement = judge(recording)
    ended = replace(
        judgement.verdict,
        findings=tuple(
            replace(f, grade=Grade.INCONCLUSIVE, observed="it was interrupted")
            if "ends by itself" in f.objective
            else f
            for f in judgement.verdict.findings
        ),
    )
    found = rollouts_of(replace(judgement, verdict=ended), recording.run.wall_ns)
    assert [one.counts for one in found] == [True, False]


def test_two_labs_have_the_same_target_and_two_clusters_have_not(tmp_path: Path) -> None:
    recording = Recording.open(SyntheticRun.rolling().write(tmp_path))
    judged = judged_run(recording)
    cluster = judged.run.cluster
    assert cluster is not None

    def targets(port: int, *, lab: bool) -> tuple[str, ...]:
        url = {"method": "GET", "url": f"https://127.0.0.1:{port}/shop"}
        run = replace(judged.run, targets=(url,), cluster=replace(cluster, lab=lab))
        return side_of("before", [replace(judged, run=run)]).runs[0].targets

    assert targets(39371, lab=True) == targets(33679, lab=True) == ("GET https://the-lab/shop",)
    assert targets(39371, lab=False) != targets(33679, lab=False)
