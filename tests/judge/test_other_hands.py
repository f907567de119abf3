"""Somebody else had a hand in the rollout: what withholds the PASS, what is a FAIL, and whose each loss is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.judge.verdict.judgement import Judgement, from_json, judge, to_json
from harness.model import Grade, OtherChange, Round
from harness.recording.read import Recording
from harness.recording.rounds import parts
from harness.report.text import render
from tests.judge.synthetic import TRIGGER, S, SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path


def change(
    t: float, kind: str = "template", what: str = "changed the image of web to web:3", who: str = "helm"
) -> OtherChange:
    return OtherChange(round((TRIGGER + t) * S), kind, what, who)


def judged(tmp_path: Path, synthetic: SyntheticRun, *changes: OtherChange) -> Judgement:
    synthetic.record["changes"] = changes
    return judge(Recording.open(synthetic.write(tmp_path)))


def clean() -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20)


def losing() -> SyntheticRun:
    return SyntheticRun.rolling(prestop=0)


KINDS = (
    "template",
    "undone",
    "scaled",
    "paused",
    "resumed",
    "pod_deleted",
    "pod_evicted",
    "service_deleted",
    "deleted",
)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_somebody_else_did_withholds_the_pass_and_is_said_with_who_and_when(
    tmp_path: Path, kind: str
) -> None:
    found = judged(tmp_path, clean(), change(2.0, kind))
    assert found.grade is Grade.INCONCLUSIVE
    assert found.verdict.headline.startswith(
        "helm changed the image of web to web:3 at +2.0 s, so this is not the rollout that was to be tested"
    )
    text = render(found, latencies=False)
    assert ("Changed +2.0 s: helm changed the image of web to web:3" in text) is (kind != "scaled")


def test_an_autoscaler_s_change_of_size_withholds_nothing(tmp_path: Path) -> None:
    scaled = change(2.0, "autoscaled", "scaled it from 3 to 5 replicas", "an autoscaler")
    assert judged(tmp_path, clean(), scaled).grade is Grade.PASS


def test_what_was_lost_is_a_fail_and_given_to_the_change_in_whose_time_it_fell(tmp_path: Path) -> None:
    plain = judged(tmp_path / "plain", losing())
    lost = plain.verdict.lost
    late = sum(cause.hits for cause in plain.causes if cause.first_ns - plain.timeline.zero_ns > 60 * S)
    assert lost
    assert not late
    found = judged(tmp_path / "changed", losing(), change(0.0), change(60.0, "undone", "changed it back", ""))
    assert found.grade is Grade.FAIL
    assert " in a rollout that helm changed at +0.0 s (and 1 more change)" in found.verdict.headline
    observed = found.verdict.findings[0].observed
    assert f"{lost:,} of {lost:,} failed after helm changed the image of web to web:3 at +0.0 s" in observed
    assert f"0 of {lost:,} failed after somebody changed it back at +60.0 s" in observed
    assert "because of the rollout" not in found.verdict.headline


def test_a_rollout_that_nobody_else_touched_is_the_reason_as_ever(tmp_path: Path) -> None:
    assert " because of the rollout" in judged(tmp_path, losing()).verdict.headline


@pytest.mark.parametrize("kind", ["deleted", "service_deleted"])
def test_what_fails_after_a_deletion_is_nobody_s_manifest_and_gets_no_fix_in_one(
    tmp_path: Path, kind: str
) -> None:
    found = judged(tmp_path, losing(), change(0.0, kind, "deleted the workload", ""))
    assert [cause.ids for cause in found.causes if cause.the_rollouts] == [("E4",)]
    (cause,) = found.causes
    assert cause.evidence == ("somebody deleted the workload at +0.0 s",)
    assert not cause.of_pods
    assert "lifecycle.preStop" not in " ".join(cause.mend)


def test_what_failed_before_a_deletion_keeps_its_cause(tmp_path: Path) -> None:
    found = judged(tmp_path, losing(), change(60.0, "deleted", "deleted the workload", ""))
    assert not any("E4" in cause.ids for cause in found.causes)


def test_a_judgement_with_changes_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(), change(2.0))
    assert from_json(to_json(found)).timeline.changes == found.timeline.changes == (change(2.0),)


def test_each_of_several_rollouts_has_the_changes_of_its_own_time(tmp_path: Path) -> None:
    made = clean()
    made.record["changes"] = (change(1.0), change(500.0))
    recording = Recording.open(made.write(tmp_path))
    run = recording.run
    settled = run.marks[-1].t_ns
    assert run.rollout
    marks = tuple(
        mark
        for mark in run.marks
        if mark.mark.value not in {"load_start", "warmup_end", "load_end", "drain_end"}
    )
    assert any(mark.mark.value == "settled" for mark in marks)
    twice = replace(
        run, earlier=(Round(marks, run.rollout),), marks=tuple(m for m in run.marks if m not in marks)
    )
    first, second = parts(Recording(recording.path, twice))
    assert settled
    assert first.run.changes == (change(1.0),)
    assert second.run.changes == (change(500.0),)
