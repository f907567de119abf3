"""A change, tracked event by event, with a real record on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from harness.clock import Clock
from harness.model import NEVER, ClusterEvent, ClusterFacts, Mark, PathProof
from harness.recording.write import RunDirectory
from harness.run.change.change import Change
from harness.run.change.tools import Tools
from harness.run.log import Log
from harness.run.preflight.workload import Subject
from harness.scenario.trigger import parse
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.cluster.client.api import Api

FACTS = ClusterFacts(
    "https://10.0.0.1", "staging", "shop", "Deployment", "web", "uid-web", "v1.30.2", "admin"
)
DONE = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}


@dataclass
class Followed:
    """One change with its record."""

    change: Change
    log: Log
    generation: int = 1

    def template(self, version: str, *, replicas: int = 1, change: str = "MODIFIED") -> None:
        """The watch tells of the workload with this template, rolled out."""
        self.generation += 1
        web = {
            "metadata": {"name": "web", "uid": "uid-web", "generation": self.generation},
            "spec": {"replicas": replicas, "template": {"spec": {"v": version}, "digest": version}},
            "status": {"observedGeneration": self.generation, **dict.fromkeys(DONE, replicas)},
        }
        self.see("Deployment", web, change)

    def pod(self, name: str, change: str = "MODIFIED") -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.see("Pod", {"metadata": {"name": name, "uid": f"uid-{name}"}, "status": ready}, change)

    def see(self, kind: str, obj: dict[str, Any], change: str) -> None:
        meta = obj["metadata"]
        now_ns = self.change._tools.clock.now_ns()
        self.change.see(ClusterEvent(now_ns, change, kind, "shop", meta["name"], meta["uid"], obj))

    def make(self) -> str | None:
        return anyio.run(self.change.make)


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Any]:
    with RunDirectory.create(tmp_path, "web", datetime.now(UTC)) as directory:

        def begin(trigger: str) -> Followed:
            log = Log(directory, replace(SyntheticRun().run(), marks=(), rollout=None))
            subject = Subject(FACTS, {}, parse(trigger), (), (), (), PathProof(proven=True, how=""), ())
            tools = Tools(
                api=cast("Api", None),  # nothing is asked of it: the change is somebody else's
                subject=subject, clock=Clock.start(), directory=directory, log=log, say=lambda _: None, base=tmp_path,
                field_manager=None, dry_run=False, interrupted=lambda: False,
            )  # fmt: skip
            found = Followed(Change(tools), log)
            found.template("a", change="LISTED")
            found.pod("web-a", "LISTED")
            found.change.baseline_begins()
            return found

        yield begin


def test_a_template_that_came_and_went_while_the_baseline_was_measured_is_no_baseline(follow: Any) -> None:
    web = follow("observe")
    web.template("b")
    web.template("a")
    assert web.make() == "changed"
    assert web.log.record.rollout.state == "changed"


def test_a_quiet_baseline_is_one(follow: Any) -> None:
    web = follow("observe")
    web.template("a")
    assert web.make() is None
    assert web.change.ended_by == ""


def test_a_second_change_is_remembered_even_if_it_is_undone_before_anybody_looks(follow: Any) -> None:
    web = follow("observe")
    web.make()
    for version in "bcb":
        web.template(version)
    assert web.change.ended_by == "", "it is seen to its end"
    assert web.change.disturbance.there
    assert web.change.progress.changed == "the pod template was changed again"
    assert [(one.kind, one.what) for one in web.log.record.changes] == [
        ("template", "changed the pod template"),
        ("template", "changed the pod template"),
    ]


def test_one_change_seen_several_times_is_one(follow: Any) -> None:
    web = follow("observe")
    web.make()
    for _ in range(3):
        web.template("b")
    web.template("b", replicas=3)
    assert web.change.ended_by == ""
    assert web.log.record.rollout.new_template


def test_a_command_is_not_ended_for_a_second_change_or_a_deletion_of_its_own(follow: Any) -> None:
    web = follow("command helm upgrade")
    web.make()
    web.template("b")
    web.template("a")
    assert not web.change.disturbance.there
    web.change.tracker.command_running = False
    assert web.change.disturbance.there
    web.template("a", change="DELETED")
    assert web.change.disturbance.deleted_ns != NEVER
    assert [one.kind for one in web.log.record.changes] == ["undone", "deleted"]


def test_a_second_release_once_the_first_is_over_begins_to_settle_anew(follow: Any) -> None:
    web = follow("observe")
    web.make()
    web.template("b")
    web.pod("web-b", "ADDED")
    web.pod("web-a", "DELETED")
    first_ns = web.log.record.mark(Mark.ENDPOINTS_SETTLED)
    assert first_ns != NEVER
    web.template("c")
    assert web.log.record.mark(Mark.ENDPOINTS_SETTLED) > first_ns


def test_a_change_of_size_by_somebody_disturbs_and_an_autoscaler_s_does_not(follow: Any) -> None:
    web = follow("observe")
    web.make()
    web.template("b")
    web.template("b", replicas=3)
    assert web.change.disturbance.there
    told = {"reason": "SuccessfulRescale", "message": "New size: 3; reason: cpu"}
    web.see("Event", {"metadata": {"name": "e", "uid": "uid-e"}, **told}, "ADDED")
    assert not web.change.disturbance.there
    (change,) = web.log.record.changes
    assert change.told == "an autoscaler scaled it from 1 to 3 replicas"


def test_a_workload_that_is_gone_with_its_pods_has_nothing_left_to_wait_for(follow: Any) -> None:
    web = follow("observe")
    web.make()
    web.template("b")
    web.template("b", change="DELETED")
    assert web.change.disturbance.at_rest_ns == NEVER, "its pod is still there"
    web.pod("web-a", "DELETED")
    assert web.change.disturbance.at_rest_ns != NEVER


def test_a_scaling_that_a_command_began_with_is_not_the_end_of_its_release(follow: Any) -> None:
    web = follow("command ./release.sh")
    web.make()
    web.template("a", replicas=2)
    web.change.tracker.has_begun(web.log.record.mark(Mark.TRIGGER))
    web.pod("web-a2", "ADDED")
    assert web.log.record.mark(Mark.ENDPOINTS_SETTLED) != NEVER
    web.template("b", replicas=2)
    assert web.log.record.mark(Mark.ENDPOINTS_SETTLED) == NEVER
    for name in ("web-b", "web-b2"):
        web.pod(name, "ADDED")
    for name in ("web-a", "web-a2"):
        web.pod(name, "DELETED")
    assert web.log.record.mark(Mark.ENDPOINTS_SETTLED) != NEVER


def test_a_workload_that_is_deleted_before_the_change_ends_the_run(follow: Any) -> None:
    web = follow("observe")
    web.template("a", change="DELETED")
    assert web.change.ended_by == "deleted"
