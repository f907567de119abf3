"""PodDisruptionBudgets: how many pods may be evicted now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.k8s.amounts import amount
from harness.lab.objects.evictions import covered
from harness.lab.objects.podstatus import pod_ready

if TYPE_CHECKING:
    from harness.lab.objects.store import Object, Store

# Kinds that own pods and have a number of replicas.
_SIZED = ("ReplicaSet", "StatefulSet")


def counted(budget: Object, pods: list[Object], expected: int) -> Object:
    """Return the counters of a budget's status. Pods that are being deleted or were just evicted do not count as
    healthy.
    """
    evicted: dict[str, str] = (budget.get("status") or {}).get("disruptedPods") or {}
    names = {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    evicted = {name: when for name, when in evicted.items() if name in names}
    healthy = sum(
        pod_ready(pod)
        and "deletionTimestamp" not in pod["metadata"]
        and pod["metadata"]["name"] not in evicted
        for pod in pods
    )
    spec: dict[str, Any] = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        desired = max(0, expected - amount(spec["maxUnavailable"], expected, up=True))
    else:
        least = spec.get("minAvailable", 1)
        desired = amount(least, expected, up=True)
        expected = expected if isinstance(least, str) else len(pods)
    status = {
        "observedGeneration": budget["metadata"]["generation"],
        "disruptionsAllowed": max(0, healthy - desired) if expected else 0,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }
    return status | ({"disruptedPods": evicted} if evicted else {})


class Budgets:
    """Keeps the status of each PodDisruptionBudget up to date."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sync(self, key: tuple[str, str]) -> float | None:
        """Count one budget's pods."""
        budget = self._store.find("PodDisruptionBudget", *key)
        if budget is None:
            return None
        pods = covered(budget, self._store.list("Pod", key[0]))
        status = counted(budget, pods, self._expected(key[0], pods))
        if old := (budget.get("status") or {}).get("conditions"):
            status["conditions"] = old
        self._store.update({**budget, "status": status}, part="status")
        return None

    def _expected(self, namespace: str, pods: list[Object]) -> int:
        """Return how many pods their owners want; a pod without an owner counts as one."""
        wanted: dict[str, int] = {}
        for pod in pods:
            owner = next(
                (r for r in pod["metadata"].get("ownerReferences") or () if r.get("controller")), None
            )
            found = self._top(namespace, owner) if owner else None
            uid = found["metadata"]["uid"] if found else pod["metadata"]["uid"]
            wanted[uid] = found["spec"].get("replicas", 1) if found else 1
        return sum(wanted.values())

    def _top(self, namespace: str, owner: Object) -> Object | None:
        if owner["kind"] not in _SIZED:
            return None
        found = self._store.find(owner["kind"], namespace, owner["name"])
        for above in (found or {}).get("metadata", {}).get("ownerReferences") or ():
            if above["kind"] == "Deployment":
                return self._store.find("Deployment", namespace, above["name"]) or found
        return found
