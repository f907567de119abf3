"""The lives of the lab's pods in nanoseconds, which no API object holds: the basis of truth.jsonl.

All times are CLOCK_MONOTONIC. The journal only observes: the store, and processes as they start and end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.k8s.hooks import first_sleep_s
from harness.k8s.selectors import service_selects
from harness.k8s.serving import serving
from harness.lab.objects.podstatus import pod_ready

if TYPE_CHECKING:
    from harness.lab.objects.store import Object, Store

LOSSES = "losses.jsonl"  # written by the balancer (losses.py)
TRUTH = "truth.jsonl"
LATER = 1 << 62  # a time that has not come


@dataclass(slots=True)
class ProcessRun:
    """One process of a pod, from its start to its end."""

    started_ns: int
    term_ns: int = LATER
    kill_ns: int = LATER
    ended_ns: int = LATER
    code: int | None = None


@dataclass(slots=True)
class PodLife:
    """What the cause of a lost request may depend on, for one pod."""

    name: str
    revision: str = ""
    ready: list[tuple[int, bool]] = field(default_factory=list)  # (since when, ready or not), each change
    deleted_ns: int = LATER
    grace_ns: int = 0
    hook: str = ""  # "" | sleep | httpGet | exec | tcpSocket
    hook_ns: int = 0  # how long the hook sleeps
    hook_failed_ns: int = LATER
    unhealthy_ns: int = LATER  # when a liveness or startup probe first killed it
    env: dict[str, str] = field(default_factory=dict)  # of the sample app, as the manifest has it
    runs: list[ProcessRun] = field(default_factory=list)

    def ready_at(self, t_ns: int) -> bool:
        """Tell whether it was Ready at a time."""
        before = [ready for since, ready in self.ready if since <= t_ns]
        return bool(before and before[-1])

    def seconds(self, name: str) -> float:
        """Return a number from the sample app's environment; 0 if not set."""
        try:
            return float(self.env.get(name) or 0)
        except ValueError:
            return 0.0


class Journal:
    """The lives of all pods, by name."""

    def __init__(self) -> None:
        self.lives: dict[str, PodLife] = {}
        self.strategy = ""
        self.replicas = 1
        self.published = False  # publishNotReadyAddresses is set
        self.services: dict[str, Object] = {}  # by name: they decide which container serves
        self.up_ns = LATER  # losses before the lab was up are not counted

    def life(self, pod: str) -> PodLife:
        """Return a pod's life."""
        return self.lives.setdefault(pod, PodLife(pod))

    # -- from processes

    def started(self, pod: str) -> ProcessRun:
        """Record the start of a process."""
        run = ProcessRun(time.monotonic_ns())
        self.life(pod).runs.append(run)
        return run

    # -- from the store

    async def follow(self, store: Store) -> None:
        """Follow the store until cancelled."""
        with store.subscribe(frozenset({"Pod", "Event", "Deployment", "Service"})) as changes:
            while True:
                change = await changes.next()
                if change is not None and change.type != "DELETED":
                    self.see(change.item, time.monotonic_ns())

    def see(self, item: Object, t_ns: int) -> None:
        """Record one object's current state."""
        if item["kind"] == "Pod":
            self._pod(item, t_ns)
        elif item["kind"] == "Event":
            self._event(item, t_ns)
        elif item["kind"] == "Service":
            self.services[item["metadata"]["name"]] = item
            self.published = self.published or bool(item["spec"].get("publishNotReadyAddresses"))
        else:
            self.strategy = (item["spec"].get("strategy") or {}).get("type", "")
            self.replicas = item["spec"].get("replicas", 1)

    def _pod(self, pod: Object, t_ns: int) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        life = self.life(metadata["name"])
        labels = metadata.get("labels") or {}
        container = serving(spec, [s for s in self.services.values() if service_selects(s, labels)])
        life.revision = labels.get("pod-template-hash", "")
        life.env = {
            str(entry["name"]): str(entry.get("value", ""))
            for entry in container.get("env") or ()
            if "name" in entry
        }
        life.hook, life.hook_ns = _hook(container)
        ready = pod_ready(pod)
        if not life.ready or life.ready[-1][1] != ready:
            life.ready.append((t_ns, ready))
        if "deletionTimestamp" in metadata:
            life.deleted_ns = min(life.deleted_ns, t_ns)
            life.grace_ns = int(metadata["deletionGracePeriodSeconds"]) * NS

    def _event(self, event: dict[str, Any], t_ns: int) -> None:
        if event["involvedObject"]["kind"] != "Pod":
            return
        life = self.life(event["involvedObject"]["name"])
        if event["reason"] == "FailedPreStopHook":
            life.hook_failed_ns = min(life.hook_failed_ns, t_ns)
        elif event["reason"] == "Killing" and "failed" in event["message"]:
            life.unhealthy_ns = min(life.unhealthy_ns, t_ns)


def _hook(container: Object) -> tuple[str, int]:
    action = (container.get("lifecycle") or {}).get("preStop")
    if not isinstance(action, dict) or not action:
        return "", 0
    seconds = first_sleep_s(action)
    return ("sleep", round(seconds * NS)) if seconds is not None else (next(iter(action)), 0)
