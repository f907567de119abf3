"""A Rollout's update, followed event by event, with a real record on disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from harness.clock import Clock
from harness.cluster.watching.reduce import reduced
from harness.model import NEVER, ClusterEvent, ClusterFacts, Mark, PathProof
from harness.recording.write import RunDirectory
from harness.run.change.change import Change
from harness.run.change.tools import Tools
from harness.run.log import Log
from harness.run.preflight.workload import Subject
from harness.scenario.trigger import parse
from tests.argorollouts import NEW, OLD, healthy, midway, rollout
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.cluster.client.api import Api

FACTS = ClusterFacts("https://10.0.0.1", "staging", "shop", "Rollout", "web", "uid-web", "v1.30.2", "admin")


class Followed:
    """Somebody else's update of a Rollout of five pods, from image 1 to image 2."""

    def __init__(self, directory: RunDirectory, folder: Path) -> None:
        self.said: list[str] = []
        log = Log(directory, replace(SyntheticRun().run(), marks=(), rollout=None))
        subject = Subject(FACTS, {}, parse("observe"), (), (), (), PathProof(proven=True, how=""), ())
        tools = Tools(
            api=cast("Api", None),  # nothing is asked of it: the change is somebody else's
            subject=subject, clock=Clock.start(), directory=directory, log=log, say=self.said.append, base=folder,
            field_manager=None, dry_run=False, interrupted=lambda: False,
        )  # fmt: skip
        self.log, self.change = log, Change(tools)
        self.rollout("img:1", 1, **healthy())
        for number in range(5):
            self.pod(OLD, number)
        self.change.baseline_begins()
        assert anyio.run(self.change.make) is None

    def rollout(self, image: str, generation: int, *, observed: int | None = None, **status: Any) -> None:
        whole = rollout(image=image, generation=generation, observed=observed, **status)
        self.see("Rollout", reduced("Rollout", whole))

    def given_up(self) -> bool:
        return self.change.disturbance.given_up

    def pod(self, hash_: str, number: int) -> None:
        name = f"web-{hash_}-{number}"
        metadata = {"name": name, "uid": f"uid-{name}", "labels": {"rollouts-pod-template-hash": hash_}}
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.see("Pod", {"metadata": metadata, "status": ready})

    def see(self, kind: str, obj: dict[str, Any]) -> None:
        meta, now_ns = obj["metadata"], self.change._tools.clock.now_ns()
        self.change.see(ClusterEvent(now_ns, "MODIFIED", kind, "shop", meta["name"], meta["uid"], obj))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Followed]:
    with RunDirectory.create(tmp_path, "web", datetime.now(UTC)) as directory:
        yield Followed(directory, tmp_path)


def test_steps_are_said_as_they_come(web: Followed) -> None:
    web.rollout("img:2", 2, **midway())
    web.rollout("img:2", 2, **midway(currentStepIndex=1, pauseConditions=[{"reason": "CanaryPauseStep"}]))
    assert "web: step 2 of 4 (pause without a duration)" in web.said
    assert any("until somebody promotes it" in line for line in web.said)
    assert web.log.record.mark(Mark.TRIGGER) != NEVER
    assert web.log.record.mark(Mark.ROLLOUT_DONE) == NEVER


def test_a_pause_that_ends_by_itself_is_progress_all_the_while_and_another_is_not(web: Followed) -> None:
    web.rollout("img:2", 2, **midway())
    held = [{"reason": "CanaryPauseStep"}]
    web.rollout("img:2", 2, **midway(currentStepIndex=3, pauseConditions=held))  # 30 s
    first = web.change.last_progress_ns
    assert web.change.last_progress_ns > first
    web.rollout("img:2", 2, **midway(currentStepIndex=1, pauseConditions=held))  # until somebody promotes it
    first = web.change.last_progress_ns
    assert web.change.last_progress_ns == first


def test_an_abort_counts_once_the_controller_has_seen_the_change(web: Followed) -> None:
    web.rollout("img:2", 2, observed=1, **healthy(abort=True))  # left from an update before
    assert not web.given_up()
    web.rollout("img:2", 2, **midway())
    web.rollout("img:2", 2, **midway(abort=True, phase="Degraded", message="metric failed"))
    assert web.given_up()
    assert "web: the update was aborted (metric failed)" in web.said
    assert not web.change.disturbance.there  # nobody else's hand: it is the rollout's own end


def test_it_is_over_with_the_last_old_pod(web: Followed) -> None:
    web.rollout("img:2", 2, **midway())
    for number in range(5):
        web.pod(NEW, number)
    web.rollout("img:2", 2, **healthy(NEW))
    assert web.log.record.mark(Mark.ROLLOUT_DONE) != NEVER
    assert web.log.record.mark(Mark.OLD_PODS_GONE) == NEVER
