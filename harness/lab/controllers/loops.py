"""The control loops of kube-controller-manager and the scheduler: work queues that call a controller when objects
change.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.k8s.timestamps import timestamp
from harness.lab.controllers.argo import ArgoRollouts
from harness.lab.controllers.budgets import Budgets
from harness.lab.controllers.daemonsets import DaemonSets
from harness.lab.controllers.deployments import Deployments
from harness.lab.controllers.endpoints import EndpointsController, Mapped
from harness.lab.controllers.namespaces import Namespaces
from harness.lab.controllers.replicasets import ReplicaSets
from harness.lab.controllers.statefulsets import StatefulSets
from harness.lab.objects.evictions import covered
from harness.lab.objects.recorder import NODE, Recorder
from harness.lab.objects.resources import MINOR
from harness.lab.objects.watchevents import WatchEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.objects.store import Object, Store

Key = tuple[str, str]  # namespace, name

# How long after a change each controller acts: about as long as a real one takes.
CONTROLLER_LAG_S = 0.005
SCHEDULER_LAG_S = 0.01
# Longer than its ReplicaSets take: else a pod could be created before the one that it replaces is deleted,
# for a moment one more than maxSurge allows.
DEPLOYMENT_LAG_S = 0.02
ENDPOINTS_LAG_S = 0.03


class WorkQueue:
    """Keys to sync, each at most once and not before its due time."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._wake = asyncio.Event()

    def add(self, key: Key, after_s: float) -> None:
        """Sync `key` in `after_s` seconds, or earlier if it is due earlier."""
        due = asyncio.get_running_loop().time() + after_s
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._wake.set()

    async def take(self) -> Key:
        """Wait for the next key that is due, and return it."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            key = min(self._due, key=self._due.__getitem__, default=None)
            wait = None if key is None else self._due[key] - loop.time()
            if key is not None and wait is not None and wait <= 0:
                del self._due[key]
                return key
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue


class Controller:
    """One control loop: which keys a change concerns, and how to sync a key."""

    def __init__(
        self,
        store: Store,
        kinds: set[str],
        concerns: Callable[[WatchEvent], list[Key]],
        sync: Callable[[Key], float | None],
        lag_s: float,
    ) -> None:
        self._store, self._kinds, self._concerns, self._sync, self._lag_s = (
            store,
            kinds,
            concerns,
            sync,
            lag_s,
        )

    async def run(self) -> None:
        """Run until cancelled."""
        queue = WorkQueue()
        with self._store.subscribe(frozenset(self._kinds)) as changes:
            for kind in sorted(self._kinds):
                for item in self._store.list(kind):
                    for key in self._concerns(WatchEvent(0, "ADDED", kind, item, None)):
                        queue.add(key, self._lag_s)

            async def feed() -> None:
                while True:
                    change = await changes.next()
                    if change is not None:
                        for key in self._concerns(change):
                            queue.add(key, self._lag_s)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed())
                while True:
                    key = await queue.take()
                    again_s = self._sync(key)
                    if again_s is not None:
                        queue.add(key, again_s)


def controllers(store: Store, recorder: Recorder, mapped: Mapped, minor: int = MINOR) -> list[Controller]:
    """Return all control loops, not yet running. `minor` is the Kubernetes version to imitate."""

    def endpoints(change: WatchEvent) -> list[Key]:
        if change.kind == "Service":
            return [_key(change.item)]
        labels = [
            (item["metadata"].get("labels") or {}).items() for item in (change.item, change.previous) if item
        ]
        namespace = change.item["metadata"]["namespace"]
        services = [s for s in store.list("Service", namespace) if s["spec"].get("selector")]
        return [_key(s) for s in services if any(s["spec"]["selector"].items() <= have for have in labels)]

    def deployments(change: WatchEvent) -> list[Key]:
        if change.kind == "Deployment":
            return [_key(change.item)]
        if change.kind == "Pod":  # only Recreate waits for pods
            return (
                []
                if change.type != "DELETED"
                else [_key(item) for item in store.list("Deployment", _key(change.item)[0])]
            )
        return _owners(change.item, "Deployment")

    def budgets(change: WatchEvent) -> list[Key]:
        if change.kind == "PodDisruptionBudget":
            return [_key(change.item)]
        if change.kind != "Pod":
            return [_key(budget) for budget in store.list("PodDisruptionBudget", _key(change.item)[0])]
        all_of_them = store.list("PodDisruptionBudget", _key(change.item)[0])
        return [_key(budget) for budget in all_of_them if covered(budget, [change.item])]

    def owners(kind: str) -> Callable[[WatchEvent], list[Key]]:
        return lambda change: [_key(change.item)] if change.kind == kind else _owners(change.item, kind)

    return [
        Controller(
            store,
            {"StatefulSet", "Pod"},
            owners("StatefulSet"),
            StatefulSets(store, recorder).sync,
            CONTROLLER_LAG_S,
        ),
        Controller(
            store,
            {"DaemonSet", "Pod"},
            owners("DaemonSet"),
            DaemonSets(store, recorder).sync,
            CONTROLLER_LAG_S,
        ),
        Controller(
            store,
            {"PodDisruptionBudget", "Pod", "Deployment"},
            budgets,
            Budgets(store).sync,
            CONTROLLER_LAG_S,
        ),
        Controller(
            store,
            {"Namespace"},
            lambda change: [("", change.item["metadata"]["name"])],
            Namespaces(store).sync,
            CONTROLLER_LAG_S,
        ),
        Controller(
            store,
            {"Deployment", "ReplicaSet", "Pod"},
            deployments,
            Deployments(store, recorder).sync,
            DEPLOYMENT_LAG_S,
        ),
        Controller(
            store,
            {"Rollout", "ReplicaSet"},
            owners("Rollout"),
            ArgoRollouts(store).sync,
            DEPLOYMENT_LAG_S,
        ),
        Controller(
            store,
            {"ReplicaSet", "Pod"},
            owners("ReplicaSet"),
            ReplicaSets(store, recorder, minor).sync,
            CONTROLLER_LAG_S,
        ),
        Controller(
            store,
            {"Service", "Pod"},
            endpoints,
            EndpointsController(store, mapped, minor).sync,
            ENDPOINTS_LAG_S,
        ),
        Controller(
            store,
            {"Pod"},
            lambda change: [_key(change.item)],
            lambda key: _schedule(store, recorder, key),
            SCHEDULER_LAG_S,
        ),
    ]


def _key(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _owners(item: Object, kind: str) -> list[Key]:
    refs = item["metadata"].get("ownerReferences") or ()
    return [
        (item["metadata"]["namespace"], ref["name"])
        for ref in refs
        if ref["kind"] == kind and ref.get("controller")
    ]


def _schedule(store: Store, recorder: Recorder, key: Key) -> None:
    """Bind a pod to the only node."""
    pod = store.find("Pod", *key)
    if pod is None or pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
        return
    placed = store.update({**pod, "spec": {**pod["spec"], "nodeName": NODE}})
    now = timestamp(datetime.now(UTC))
    condition = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": now,
    }
    store.update({**placed, "status": {**placed["status"], "conditions": [condition]}}, part="status")
    recorder.scheduled(placed)
