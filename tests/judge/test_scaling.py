"""An autoscaler at work during a run is reported, and is no fault of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.judge.verdict.judgement import judge
from harness.model import ClusterEvent, Grade
from harness.recording.read import Recording
from harness.report.text import render
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, event

if TYPE_CHECKING:
    from pathlib import Path


def workload(t: float, replicas: int, change: str = "MODIFIED") -> ClusterEvent:
    return event(
        t,
        change,
        "Deployment",
        "web",
        "uid-web",
        {"metadata": {"name": "web"}, "spec": {"replicas": replicas}},
    )


def rescaled(t: float, size: int) -> ClusterEvent:
    thing: dict[str, Any] = {
        "reason": "SuccessfulRescale",
        "message": f"New size: {size}; reason: cpu resource utilization (percentage of request) above target",
        "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": "web-hpa", "uid": "uid-hpa"},
    }
    return event(t, "ADDED", "Event", f"web-hpa.{size}", f"uid-e-{size}", thing)


class Scaled(SyntheticRun):
    def events(self) -> list[ClusterEvent]:
        more = [
            workload(-TRIGGER, 3, "LISTED"),
            workload(2.0, 3),
            workload(4.0, 5),
            rescaled(4.2, 5),
            workload(30.0, 3),
        ]
        return sorted([*super().events(), *more], key=lambda e: e.t_ns)


def test_an_autoscaler_s_change_is_on_the_timeline_by_its_name_and_withholds_no_pass(tmp_path: Path) -> None:
    made = Scaled.rolling(prestop=4, grace=20)
    found = judge(Recording.open(made.write(tmp_path)))
    assert [(s.t_ns - found.timeline.zero_ns, s.before, s.after, s.by) for s in found.timeline.scalings] == [
        (4 * S, 3, 5, "HorizontalPodAutoscaler web-hpa"),
        (30 * S, 5, 3, ""),
    ]
    assert found.grade is Grade.PASS
    text = render(found, latencies=False)
    assert "Scaled +4.0 s: from 3 to 5 replicas, by HorizontalPodAutoscaler web-hpa" in text
    assert "Scaled +30.0 s: from 5 to 3 replicas\n" in text
