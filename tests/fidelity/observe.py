"""Watches one case on one cluster, and takes from it what can be compared."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.contract.api_client import STRATEGIC, Server
from tests.fidelity.cases import LONGER_S

if TYPE_CHECKING:
    from tests.fidelity.cases import Case

Object = dict[str, Any]
TIE_S = 0.4  # moments nearer to one another than this have no order
_OF_THE_TEST_CLUSTER = {"MissingClusterDNS", "FailedMount"}  # events that only the real test cluster makes


@dataclass
class Pod:
    """One pod's moments, in seconds since the case began."""

    at: dict[str, float] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)
    restarts: int = 0
    ready: bool = False
    turns: int = 0  # changes of Ready

    def mark(self, moment: str, t: float) -> None:
        self.at.setdefault(moment, t)


@dataclass
class Seen:
    """Everything that was seen of one case on one cluster."""

    pods: dict[str, Pod] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    scalings: list[tuple[int, str]] = field(default_factory=list)
    most_pods: int = 0
    least_ready: int = 99
    reasons: list[str] = field(default_factory=list)
    first_step: float = float("inf")
    done: float | None = None


class Observer:
    """Follows four kinds in threads of their own; every change is taken under one lock."""

    def __init__(self, server: Server, case: Case) -> None:
        self._server, self._case = server, case
        self.seen = Seen()
        self._lock = threading.Lock()
        self._stepped, self._begun = False, 0.0
        self._zero = time.monotonic()
        self._slices: dict[str, set[str]] = {}
        self._counts: dict[str, int] = {}
        self._messages: dict[str, tuple[int, str]] = {}

    def run(self) -> Seen:
        """Watch until the case is over."""
        seconds = int(self._case.seconds + (LONGER_S if self._case.steps else 0)) + 1
        kinds = ("pods", "endpointslices", "events", "deployments")
        threads = [threading.Thread(target=self._follow, args=(kind, seconds)) for kind in kinds]
        for thread in threads:
            thread.start()
        if self._case.up:
            self._until_seen()
        self._stepped = True
        self._begun = time.monotonic() - self._zero
        for at, step in self._case.steps:
            time.sleep(max(0.0, self._zero + self._begun + at - time.monotonic()))
            if step is self._case.steps[0][1]:
                self.seen.first_step = time.monotonic() - self._zero
            self._server(
                "PATCH", self._server.path("deployments", "web"), step, content_type=STRATEGIC
            ).good()
        for thread in threads:
            thread.join()
        self.seen.scalings = [self._messages[key] for key in sorted(self._messages, key=int)]
        return self.seen

    def _until_seen(self) -> None:
        """Wait until every pod of the beginning is known as ready."""
        wanted = self._case.spec.get("replicas", 2)
        end = time.monotonic() + 5
        while time.monotonic() < end and sum(p.ready for p in self.seen.pods.values()) < wanted:
            time.sleep(0.02)

    def _follow(self, plural: str, seconds: int) -> None:
        take = getattr(self, f"_{plural}")
        for event in self._server.watch(self._server.path(plural), seconds=seconds):
            with self._lock:
                take(time.monotonic() - self._zero, event["type"], event["object"])

    def _pods(self, t: float, change: str, item: Object) -> None:
        pod = self.seen.pods.setdefault(item["metadata"]["uid"], Pod())
        status = item.get("status") or {}
        pod.mark("created", t)
        if "deletionTimestamp" in item["metadata"]:
            pod.mark("deleted", t)
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
        if ready != pod.ready:
            pod.ready, pod.turns = ready, pod.turns + 1
            pod.mark("ready" if ready else "unready", t)
        for container in status.get("containerStatuses") or ():
            if "running" in container["state"]:
                pod.mark("started", t)
            if container["restartCount"] > pod.restarts:
                pod.restarts = container["restartCount"]
                pod.mark(f"restart {pod.restarts}", t)
                pod.codes.append((container["lastState"].get("terminated") or {}).get("exitCode", -1))
            if "terminated" in container["state"] and "deleted" in pod.at and "exited" not in pod.at:
                pod.mark("exited", t)
                pod.codes.append(container["state"]["terminated"]["exitCode"])
        if change == "DELETED":
            pod.mark("gone", t)
        living = [p for p in self.seen.pods.values() if "created" in p.at and "deleted" not in p.at]
        self.seen.most_pods = max(self.seen.most_pods, len(living))
        if self._stepped and self._case.up:
            ready_now = sum(p.ready and "deleted" not in p.at for p in self.seen.pods.values())
            self.seen.least_ready = min(self.seen.least_ready, ready_now)

    def _endpointslices(self, t: float, change: str, item: Object) -> None:
        name = item["metadata"]["name"]
        now = set()
        for endpoint in item.get("endpoints") or ():
            if endpoint["conditions"].get("ready") is not False and change != "DELETED":
                now.add(endpoint["targetRef"]["uid"])
        before = set().union(*self._slices.values()) if self._slices else set()
        self._slices[name] = now
        after = set().union(*self._slices.values())
        for uid in after - before:
            self.seen.pods.setdefault(uid, Pod()).mark("in", t)
        for uid in before - after:
            self.seen.pods.setdefault(uid, Pod()).mark("out", t)

    def _events(self, t: float, _: str, item: Object) -> None:
        about, reason, uid = item["involvedObject"], item["reason"], item["metadata"]["uid"]
        if reason in _OF_THE_TEST_CLUSTER or about["kind"] not in {"Pod", "ReplicaSet", "Deployment"}:
            return
        count = item.get("count") or 1
        self.seen.events[reason] += count - self._counts.get(uid, 0)
        self._counts[uid] = count
        if reason == "Killing":
            self.seen.pods.setdefault(about["uid"], Pod()).mark("killing", t)
        if reason == "ScalingReplicaSet":
            words = item["message"].split()
            self._messages[item["metadata"]["resourceVersion"]] = (1, f"{words[1]} {words[-1]}")

    def _deployments(self, t: float, _: str, item: Object) -> None:
        status = item.get("status") or {}
        for condition in status.get("conditions") or ():
            word = f"{condition['type']}={condition['reason']}"
            if word not in self.seen.reasons:
                self.seen.reasons.append(word)
        replicas = item["spec"]["replicas"]
        full = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
        current = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
        if t > self.seen.first_step + 0.2 and current and full == [replicas] * 3:
            self.seen.done = self.seen.done or t
        elif self.seen.done is not None and full != [replicas] * 3:
            self.seen.done = None


def order(pod: Pod, moments: tuple[str, ...]) -> str:
    """Write the order of moments; those within TIE_S of the one before are joined, sorted by name."""
    known = sorted((pod.at[m], m) for m in moments if m in pod.at)
    groups: list[list[str]] = []
    last = -9.0
    for t, moment in known:
        if t - last > TIE_S:
            groups.append([])
        groups[-1].append(moment)
        last = t
    return " < ".join("+".join(sorted(group)) for group in groups)
