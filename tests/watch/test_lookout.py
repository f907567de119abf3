"""What becomes of a service when its cluster or its disk lets the watch down: real requests, events made by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast

import anyio

from harness.clock import NS, Clock
from harness.load.lanes.sender import sending
from harness.model import ClusterEvent, ClusterFacts, Mark, PathProof, WatchGap
from harness.recording.read import Recording
from harness.run.planning import load_plan
from harness.run.preflight.workload import Subject
from harness.scenario.trigger import parse
from harness.watch.deploy import Deploy, Ready, Shared
from harness.watch.lookout import Lookout
from harness.watch.service import Rates, Wanted, Where, resolved
from tests.webserver import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from harness.cluster.client.api import Api

LABELS = {"app": "web"}


class Good(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def deployment(version: str = "1", generation: int = 1, uid: str = "d", replicas: int = 1) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web",
            "uid": uid,
            "generation": generation,
            "annotations": {"deployment.kubernetes.io/revision": version},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"containers": [{"name": "web", "image": f"web:{version}"}]},
            },
        },
        "status": {
            "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "availableReplicas": 1,
        },
    }  # fmt: skip


def pod(name: str, *, going: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "uid": name,
        "labels": LABELS,
        "ownerReferences": [{"uid": "rs", "kind": "ReplicaSet"}],
    }
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


class Service:
    """One service of a watch, with a real load; the cluster's events are given by hand."""

    def __init__(self, shared: Shared, url: str, out: Path) -> None:
        self.clock, self.said = shared.clock, cast("list[str]", [])
        self.shared = replace(shared, say=self.said.append)
        where = Where("shop", out)
        wanted = Wanted({"workload": ("Deployment", "web"), "target": {"url": url}, "rollout": {"settle": "0s"}},
                        Rates(20), "by hand", out)  # fmt: skip
        self.lookout = Lookout(self.shared, wanted, where, 60 * NS)
        run = resolved(wanted, where)
        plan = load_plan(run, run.targets(url), None)
        facts = ClusterFacts("https://test", "test", "shop", "Deployment", "web", "d", "v1.30", "me")
        subject = Subject(
            facts, deployment(), parse("observe"), (), (), (), PathProof(proven=True, how=""), ()
        )
        self.lookout.ready = Ready(run, subject, plan, shared.sender.add(plan, out), ())

    def begin(self) -> None:
        """What `prepare` does once the API server has answered."""
        replicaset = {
            "metadata": {"name": "web-1", "uid": "rs", "labels": LABELS, "ownerReferences": [{"uid": "d"}]}
        }
        for kind, name, obj in (("Deployment", "web", deployment()), ("ReplicaSet", "web-1", replicaset),
                                ("Pod", "web-a", pod("web-a"))):  # fmt: skip
            self.happens("LISTED", kind, name, obj)
        self.lookout._from_ns = self.clock.now_ns()
        self.lookout._expect()

    def happens(self, change: str, kind: str, name: str, obj: dict[str, Any]) -> None:
        event = ClusterEvent(self.clock.now_ns(), change, kind, "shop", name, obj["metadata"]["uid"], obj)
        if self.lookout.concerns(event):
            self.lookout.see(event)

    def records(self) -> bool:
        """Whether a recording is open."""
        return self.lookout.deploy is not None

    @property
    def recording(self) -> Deploy:
        """The recording that is open."""
        assert self.lookout.deploy
        return self.lookout.deploy

    def deploys(self, version: str, generation: int) -> None:
        self.happens("MODIFIED", "Deployment", "web", deployment(version, generation))


def with_service(out: Path, act: Callable[[Service], Awaitable[None]]) -> None:
    async def whole(url: str) -> None:
        clock = Clock.start()
        async with sending(clock, 60 * NS) as sender:
            service = Service(Shared(cast("Api", None), clock, sender, print, ()), url, out)
            await anyio.sleep(1)
            service.begin()
            await anyio.sleep(1)
            await act(service)
            service.lookout.end("interrupted")
            for deploy in service.lookout.ended:
                deploy.directory.close()

    with serving(Good) as url:
        anyio.run(partial(whole, url))


def test_a_change_that_is_seen_after_a_gap_may_have_begun_in_it(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        now = service.clock.now_ns()
        service.lookout.see(WatchGap("Deployment", now - 500_000_000, now, "cut", relisted=True))
        service.deploys("2", 2)
        assert service.lookout.gaps == 1
        service.lookout.end("interrupted")
        deploy = service.lookout.ended.pop()
        run = Recording.open(await deploy.conclude()).run
        assert run.mark(Mark.TRIGGER) <= run.mark(Mark.LOAD_END) - 500_000_000
        assert any(gap.blind for gap in Recording.open(deploy.directory.path).gaps())

    with_service(tmp_path, act)


def test_what_was_lost_in_one_deploy_is_no_part_of_the_next_baseline(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        service.deploys("2", 2)
        await anyio.sleep(0.5)
        service.lookout.end("interrupted")
        first_end = service.clock.now_ns()
        await anyio.sleep(0.7)
        service.deploys("3", 3)
        deploy = service.recording
        assert deploy._zero >= first_end - 100_000_000
        assert 0.5 * NS < deploy.log.record.mark(Mark.TRIGGER) < 2 * NS

    with_service(tmp_path, act)


def test_a_deploy_that_cannot_be_recorded_is_called_missed_and_the_watch_goes_on(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        shutil.rmtree(service.lookout._where.output)
        service.lookout._where.output.write_text("a file where the folder was")
        service.deploys("2", 2)
        assert not service.records()
        assert len(service.lookout.unrecorded) == 1
        assert "could not be recorded" in service.lookout.unrecorded[0]
        service.lookout._where.output.unlink()
        service.deploys("3", 3)  # the next one is
        assert service.recording.is_deploy

    (tmp_path / "out").mkdir()
    with_service(tmp_path / "out", act)


def test_a_deleted_workload_is_recorded_once_and_no_longer_watched(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        service.happens("DELETED", "Deployment", "web", deployment())
        assert service.recording.what == "the workload was deleted"
        service.happens("DELETED", "Pod", "web-a", pod("web-a"))
        service.lookout.end("deleted")
        assert (service.lookout.ready, service.lookout.why) == (None, "the workload was deleted")
        service.happens("ADDED", "Deployment", "web", deployment(uid="another"))
        assert not service.records()

    with_service(tmp_path, act)


def test_a_pod_that_goes_by_itself_is_recorded_after_a_moment(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        service.happens("MODIFIED", "Pod", "web-a", pod("web-a", going=True))
        assert not service.records()  # a rollout's first sign may come before its workload's
        with anyio.fail_after(10):
            while not service.records():
                service.lookout.tick()
                await anyio.sleep(0.1)
        assert service.recording.what == "a pod went while the workload stayed as it was"
        assert not service.recording.is_deploy

    with_service(tmp_path, act)
