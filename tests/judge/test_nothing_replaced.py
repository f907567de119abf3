"""A change that replaces no pod says what it did instead."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.findings.finding import COVERED
from harness.judge.verdict.judgement import Judgement, judge
from harness.judge.wording import exchanged
from harness.model import Grade
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun, event

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import ClusterEvent

BEFORE: dict[str, Any] = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m"}}
AFTER: dict[str, Any] = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1"}}


def resized(tmp_path: Path, *, until: Any = AFTER, moved: bool = False) -> Judgement:
    """Judge a run in which the pods' resources are changed 2 s after the trigger, in place."""
    run = SyntheticRun.rolling(prestop=4, grace=20)
    known = run.run()
    run.record["marks"] = known.marks
    facts = known.rollout
    assert facts is not None
    if not moved:
        run.pods = [pod for pod in run.pods if pod.old]
        for pod in run.pods:
            pod.deleted = pod.leaves = pod.exits = pod.gone = None
        facts = replace(facts, trigger="command kubectl patch pod", old_pods=(), new_template=False)
    run.record["rollout"] = facts
    original = SyntheticRun.events

    def events(self: SyntheticRun) -> list[ClusterEvent]:
        found = original(self)
        for one in found:
            if one.kind == "Pod":
                one.object["spec"]["containers"][0]["resources"] = BEFORE
        for pod in self.pods:
            if pod.old:
                seen = copy.deepcopy(next(one.object for one in found if one.uid == pod.uid))
                seen["spec"]["containers"][0]["resources"] = until
                found.append(event(2.0, "MODIFIED", "Pod", pod.name, pod.uid, seen))
        return sorted(found, key=lambda one: one.t_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", events)
        directory = run.write(tmp_path)
    return judge(Recording.open(directory))


def coverage(judgement: Judgement) -> tuple[Grade, str]:
    (found,) = [f for f in judgement.verdict.findings if f.objective == COVERED]
    return found.grade, found.observed


def test_a_resize_in_place_is_said_to_be_one_and_is_no_rollout(tmp_path: Path) -> None:
    grade, said = coverage(resized(tmp_path))
    assert grade is Grade.INCONCLUSIVE
    assert (
        said == "3 pods resized in place (web cpu 500m -> 1) and none replaced: there was no rollout to judge"
    )


def test_pods_whose_resources_stay_as_they_are_were_not_resized(tmp_path: Path) -> None:
    _, said = coverage(resized(tmp_path, until=BEFORE))
    assert "resized" not in said


def test_a_rollout_beside_a_resize_is_judged_as_a_rollout(tmp_path: Path) -> None:
    grade, said = coverage(resized(tmp_path, moved=True))
    assert (grade, said.partition(",")[0]) == (Grade.PASS, "3 old pods gone")


@pytest.mark.parametrize(
    ("gone", "came", "says"),
    [
        (3, 3, "3 pods replaced"),
        (1, 1, "1 pod replaced"),
        (2, 0, "2 pods removed"),
        (0, 2, "no pod replaced, 2 added"),
        (0, 0, "no pod replaced"),
    ],
)
def test_what_a_change_did_with_pods_is_said_in_words(gone: int, came: int, says: str) -> None:
    assert exchanged(gone, came) == says


def test_a_scaling_up_that_loses_nothing_says_how_many_pods_were_added(tmp_path: Path) -> None:
    run = SyntheticRun.rolling(prestop=4, grace=20)
    for pod in run.pods:
        if pod.old:
            pod.deleted = pod.leaves = pod.exits = pod.gone = None
    facts = run.run().rollout
    assert facts is not None
    run.record["rollout"] = replace(facts, trigger="scale 6", old_pods=(), new_template=False)
    found = judge(Recording.open(run.write(tmp_path)))
    assert found.grade is Grade.PASS
    assert "(no pod replaced, 3 added in " in found.verdict.headline
    assert coverage(found)[1].startswith("no pod was to be replaced, endpoints settled")
