"""Whole labs as real processes: what a rollout looks like from outside, and that nothing outlives its owner."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import httpx
import kubernetes
import pytest

from harness.errors import HarnessError, UsageError
from harness.lab.lab import running
from harness.model import LabPlan
from tests.lab.control_plane import deployment, descendants, env, gone, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.objects.store import Object
    from harness.model import LabEndpoint
    from tests.lab.conftest import Kubectl

    Write = Callable[..., str]

QUICK = env(STARTUP_DELAY=0, WORK_MS=1, ON_TERM="drain")
LAG_NS = 50_000_000


def plan(*files: str, tls: bool = False) -> LabPlan:
    return LabPlan(manifests=files, tls=tls, lag_ns=LAG_NS)


class Watch(threading.Thread):
    """The official client's raw watch of one kind, from a list on; every event as it came."""

    def __init__(self, kubeconfig: str, group: str, plural: str) -> None:
        super().__init__(daemon=True)
        self.events: list[Object] = []
        self._kubeconfig, self._group, self._plural = kubeconfig, group, plural
        self.listed = threading.Event()

    def run(self) -> None:
        with kubernetes.config.new_client_from_config(self._kubeconfig) as client:
            if self._group:
                custom: Any = kubernetes.client.CustomObjectsApi(client)
                where = (self._group, "v1", "default", self._plural)
                self._follow(lambda **query: custom.list_namespaced_custom_object(*where, **query))
            else:
                core: Any = kubernetes.client.CoreV1Api(client)
                self._follow(lambda **query: core.list_namespaced_pod("default", **query))

    def _follow(self, ask: Callable[..., Any]) -> None:
        listed = json.loads(ask(_preload_content=False).data)
        self.events += [{"type": "LISTED", "object": item} for item in listed["items"]]
        self.listed.set()
        query = {
            "watch": True,
            "resource_version": listed["metadata"]["resourceVersion"],
            "timeout_seconds": 60,
        }
        with (
            closing(ask(_preload_content=False, _request_timeout=(5, 70), **query)) as response,
            suppress(Exception),
        ):
            rest = b""
            for chunk in response.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                self.events += [json.loads(line) for line in lines if line]


def rv(event: Object) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


def first(events: list[Object], holds: Callable[[Object], Any]) -> int:
    """The resourceVersion at which something held for the first time: one order over all kinds."""
    return next((rv(event) for event in events if holds(event["object"])), -1)


def entry(item: Object, uid: str) -> Object | None:
    return next((e for e in item.get("endpoints") or () if e["targetRef"]["uid"] == uid), None)


def ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def state(pod: Object, kind: str) -> Object:
    found: Object = (pod["status"].get("containerStatuses") or [{}])[0].get("state", {}).get(kind, {})
    return found


def check_old(pod: list[Object], slices: list[Object], uid: str) -> None:
    """Deletion, then out of the endpoints, then the exit code, then the phase, then gone."""
    deleted = first(pod, lambda p: "deletionTimestamp" in p["metadata"])
    out = first(
        [e for e in slices if rv(e) > deleted],
        lambda s: not (entry(s, uid) or {"conditions": {}})["conditions"].get("ready"),
    )
    exited = first(pod, lambda p: state(p, "terminated"))
    over = first(pod, lambda p: p["status"]["phase"] == "Succeeded")
    assert pod[-1]["type"] == "DELETED"
    assert -1 < deleted < out < exited < over < rv(pod[-1])
    assert state(pod[-1]["object"], "terminated")["exitCode"] == 0
    assert pod[-1]["object"]["metadata"]["deletionGracePeriodSeconds"] == 10
    marked = [entry(e["object"], uid) for e in slices if deleted < rv(e) < exited]
    assert {"ready": False, "serving": True, "terminating": True} in [e["conditions"] for e in marked if e]
    assert entry(slices[-1]["object"], uid) is None


def check_new(pod: list[Object], slices: list[Object], uid: str) -> None:
    """Created, then running, then ready, then in the endpoints."""
    created = rv(pod[0])
    started = first(pod, lambda p: state(p, "running"))
    became_ready = first(pod, ready)
    listed = first(slices, lambda s: (entry(s, uid) or {"conditions": {}})["conditions"].get("ready"))
    assert pod[0]["type"] == "ADDED"
    assert -1 < created < started < became_ready < listed


def test_a_rollout_seen_through_the_official_client_keeps_order_and_arithmetic(
    tmp_path: Path, write: Write, kubectl: Kubectl
) -> None:
    container = {
        "env": env(STARTUP_DELAY=0.5, WORK_MS=1, ON_TERM="drain"),
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/ready"}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 1"]}}},
    }
    file = write(
        deployment(replicas=3, container=container, pod={"terminationGracePeriodSeconds": 10}), service()
    )

    async def scenario() -> tuple[list[Object], list[Object]]:
        async with running(plan(file, tls=True), tmp_path / "lab") as lab:
            await answers(lab)
            pods, slices = (
                Watch(lab.kubeconfig, "", "pods"),
                Watch(lab.kubeconfig, "discovery.k8s.io", "endpointslices"),
            )
            for watch in (pods, slices):
                watch.start()
                await asyncio.to_thread(watch.listed.wait, 30)
            restarted = await kubectl(lab.kubeconfig, "rollout", "restart", "deployment/web")
            assert restarted == (0, "deployment.apps/web restarted\n")
            code, output = await kubectl(lab.kubeconfig, "rollout", "status", "deployment/web", within=120)
            assert (code, output.splitlines()[-1]) == (0, 'deployment "web" successfully rolled out')
            _, shown = await kubectl(lab.kubeconfig, "get", "pods", "--no-headers")
            assert len([line for line in shown.splitlines() if line.split()[1:3] == ["1/1", "Running"]]) == 3
            old = {e["object"]["metadata"]["uid"] for e in pods.events if e["type"] == "LISTED"}
            for _ in range(3000):
                if sum(e["type"] == "DELETED" for e in pods.events) == len(old):
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # the slices' last change
            return list(pods.events), list(slices.events)

    pods, slices = asyncio.run(scenario())
    by_uid: dict[str, list[Object]] = {}
    for event in pods:
        by_uid.setdefault(event["object"]["metadata"]["uid"], []).append(event)
    old = {uid for uid, events in by_uid.items() if events[0]["type"] == "LISTED"}
    assert (len(old), len(by_uid)) == (3, 6)
    for uid, events in by_uid.items():
        (check_old if uid in old else check_new)(events, slices, uid)
    living: dict[str, Object] = {}
    most, least = 0, 99
    for event in pods:
        living[event["object"]["metadata"]["uid"]] = event["object"]
        if event["type"] == "LISTED" and len(living) < 3:
            continue
        kept = [pod for pod in living.values() if "deletionTimestamp" not in pod["metadata"]]
        most, least = max(most, len(kept)), min(least, sum(ready(pod) for pod in kept))
    assert (most, least) == (4, 3)  # 25 % of 3: one more, none less


async def answers(lab: LabEndpoint) -> None:
    """Check that the balancer passes a request on to a pod, its certificate verified where it has one."""
    verify = ssl.create_default_context(cafile=lab.ca_file) if lab.ca_file else True
    async with httpx.AsyncClient(verify=verify, trust_env=False) as client:
        response = await client.get(lab.url)
    assert response.status_code == 200
    assert response.headers["X-Pod"].startswith("web-")


def test_two_labs_stand_side_by_side_and_leave_nothing_behind(tmp_path: Path, write: Write) -> None:
    file = write(deployment(replicas=1, container={"env": QUICK}), service())

    async def scenario() -> list[int]:
        async with running(plan(file), tmp_path / "a") as a, running(plan(file), tmp_path / "b") as b:
            await answers(a)
            await answers(b)
            assert a.url != b.url
            servers = {json.loads((tmp_path / name / "lab.json").read_text())["kubeconfig"] for name in "ab"}
            assert servers == {a.kubeconfig, b.kubeconfig}
            assert all(list((tmp_path / name / "pods").glob("web-*.log")) for name in "ab")
            return [a.pid, b.pid, *descendants(a.pid), *descendants(b.pid)]

    pids = asyncio.run(scenario())
    assert len(pids) == 6  # two labs, each with a balancer and a pod
    assert all(gone(pid) for pid in pids)


PARENT = textwrap.dedent("""
    import signal, sys, anyio
    from pathlib import Path
    from harness.lab.lab import running
    from harness.model import LabPlan

    # A job started in the background of a script has SIGINT ignored, and hands that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def main():
        async with running(LabPlan(manifests=(sys.argv[1],), tls=False, lag_ns=50_000_000), Path(sys.argv[2])) as lab:
            print(lab.pid, flush=True)
            await anyio.sleep_forever()

    anyio.run(main)
""")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGKILL the lab itself"])
def test_no_process_is_left_behind_when_it_ends_by(name: str, tmp_path: Path, write: Write) -> None:
    stubborn = {"env": env(STARTUP_DELAY=0, ON_TERM="ignore")}
    file = write(deployment(container=stubborn), service())
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, file, str(tmp_path / "lab")],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        lab = int(parent.stdout.readline())
        pids = [lab, *descendants(lab)]
        assert len(pids) == 4  # the lab, its balancer, two pods
        assert not any(gone(pid) for pid in pids)
        [private] = (tmp_path / "tmp").iterdir()
        assert (private / "kubeconfig").is_file()
        if name == "SIGINT":
            os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
        elif name.endswith("itself"):
            os.kill(lab, signal.SIGKILL)
        else:
            parent.send_signal(signal.Signals[name])
        deadline = time.monotonic() + 30
        while not all(gone(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)
        left = [pid for pid in pids if not gone(pid)]
        parent.kill()  # before the assertion: leaving `with` waits for it
        assert left == []
    # Its token and key are of no use any more, and gone all the same, unless both who could remove them were killed.
    assert name.endswith("itself") or not private.exists()


def test_a_lab_whose_pods_never_become_available_says_why(tmp_path: Path, write: Write) -> None:
    probe = {"httpGet": {"port": 8080, "path": "/?ms=0"}, "periodSeconds": 1}
    slow = {"env": env(STARTUP_DELAY=600), "readinessProbe": probe}
    file = write(deployment(container=slow, progressDeadlineSeconds=2), service())

    async def scenario() -> None:
        async with running(plan(file), tmp_path / "lab"):
            pytest.fail("it came up")

    with pytest.raises(
        UsageError, match=r"did not become available within its progressDeadlineSeconds: Unhealthy: .*refused"
    ):
        asyncio.run(scenario())


def test_a_lab_that_ends_by_itself_is_noticed_and_its_notes_are_kept(tmp_path: Path, write: Write) -> None:
    container = {"env": QUICK, "resources": {"limits": {"cpu": "1"}}}
    file = write(deployment(replicas=1, container=container), service())

    async def scenario() -> None:
        async with running(plan(file), tmp_path / "lab") as lab:
            os.kill(lab.pid, signal.SIGKILL)
            for _ in range(500):
                if gone(lab.pid):
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)

    with pytest.raises(HarnessError, match="the lab exited unexpectedly"):
        asyncio.run(scenario())
    notes = json.loads((tmp_path / "lab" / "lab.json").read_text())["notes"]
    assert notes == [
        "not modelled: Deployment web: spec.template.spec.containers[0].resources.limits (no limit is enforced)"
    ]
    assert notes[0] in (tmp_path / "lab" / "lab.log").read_text()
