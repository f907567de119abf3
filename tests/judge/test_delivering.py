"""The steps of an Argo Rollout's update in everything that shows a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cluster.watching.reduce import manifest, reduced
from harness.judge.timeline.delivering import delivery_steps
from harness.judge.verdict.judgement import judge, judge_with_picture
from harness.model import ClusterEvent, Grade
from harness.recording.read import Recording
from harness.report import patch
from harness.report.drawing.scene import Scene
from harness.report.drawing.theme import LIGHT
from harness.report.page.drawing import drawn
from harness.report.text import render
from tests.argorollouts import NEW, healthy, midway, rollout
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, event

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import RunRecord

AT_PAUSE = midway(currentStepIndex=1, pauseConditions=[{"reason": "CanaryPauseStep"}])


class Argo(SyntheticRun):
    """A rollout by Argo: its pods carry Argo's label, and its object tells of the steps."""

    def run(self) -> RunRecord:
        known = super().run()
        assert known.cluster is not None
        return replace(known, cluster=replace(known.cluster, kind="Rollout"))

    def deployment(self) -> dict[str, Any]:
        made = super().deployment()
        return manifest({**rollout(), "spec": {**rollout()["spec"], "template": made["spec"]["template"]}})

    def events(self) -> list[ClusterEvent]:
        def told(t: float, change: str, **status: Any) -> ClusterEvent:
            return event(t, change, "Rollout", "web", "uid-web", reduced("Rollout", rollout(**status)))

        more = [
            told(-TRIGGER, "LISTED", **healthy()),
            told(0.2, "MODIFIED", **midway()),
            told(1.0, "MODIFIED", **AT_PAUSE),
            told(3.0, "MODIFIED", **midway(currentStepIndex=2)),
            told(6.0, "MODIFIED", **healthy(NEW)),
        ]
        found = sorted([*super().events(), *more], key=lambda e: e.t_ns)
        for one in found:
            labels = one.object.get("metadata", {}).get("labels", {})
            if "pod-template-hash" in labels:
                labels["rollouts-pod-template-hash"] = labels.pop("pod-template-hash")
        return found


def test_the_steps_of_a_canary_are_on_the_timeline_in_the_summary_and_in_the_picture(tmp_path: Path) -> None:
    recording = Recording.open(Argo.rolling(prestop=4, grace=20).write(tmp_path))
    found, picture = judge_with_picture(recording)
    told = [((one.t_ns - found.timeline.zero_ns) / S, one.kind) for one in found.timeline.steps]
    assert told == [(0.2, "step"), (1.0, "step"), (1.0, "paused"), (3.0, "step"), (3.0, "resumed"),
                    (6.0, "step"), (6.0, "stable")]  # fmt: skip
    assert found.grade is Grade.PASS
    assert "Rollout shop/web" in found.about.workload
    text = render(found, latencies=False)
    assert "Rollout +0.2 s: step 1 of 4 (setWeight 20)" in text
    assert (
        "Rollout +1.0 s: paused at step 2 of 4 (pause without a duration), until somebody promotes it" in text
    )
    lines = [moment.words for moment in Scene(found, picture, LIGHT).moments]
    assert "step 1 of 4 (setWeight 20)" in lines
    marked = {one["words"]: one["at"] for one in drawn(found, picture)["moments"]}
    assert marked["step 1 of 4 (setWeight 20)"] == 0.2
    assert sum(pod.old for pod in found.timeline.pods) == 3


def test_another_workload_has_no_such_steps(tmp_path: Path) -> None:
    recording = Recording.open(Argo.rolling(prestop=4, grace=20).write(tmp_path))
    other = replace(recording.run, cluster=replace(recording.run.cluster, kind="Deployment"))  # type: ignore[type-var]
    assert delivery_steps(other, recording.events()) == ()


def test_the_advice_for_a_rollout_names_no_command_that_would_be_refused(tmp_path: Path) -> None:
    found = judge(Recording.open(Argo.rolling().write(tmp_path)))
    text = patch.render(found)
    assert found.advice is not None
    assert found.advice.patch
    assert "put these fields into the manifest of rollout/web" in text
    assert "--patch-file" not in text
