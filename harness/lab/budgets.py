"""PodDisruptionBudgets: how many pods may be evicted now, and the eviction that takes one from the count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.lab.podstatus import pod_ready
from harness.lab.rollouts import share
from harness.lab.selection import selected
from harness.lab.stamps import timestamp
from harness.lab.status import StatusError, over_budget

if TYPE_CHECKING:
    from harness.lab.store import Object, Store

_ENDED = {"Succeeded", "Failed"}
# Kinds that own pods and say how many there should be.
_SIZED = ("ReplicaSet", "StatefulSet")


def covered(budget: Object, pods: list[Object]) -> list[Object]:
    """Return the pods that a budget is about."""
    selector = budget["spec"].get("selector")
    return [
        pod
        for pod in pods
        if selected(selector, pod["metadata"].get("labels") or {}) and pod["status"]["phase"] not in _ENDED
    ]


def counted(budget: Object, pods: list[Object], expected: int) -> Object:
    """Return the counters of a budget's status. Pods being deleted, or evicted a moment ago, are not healthy."""
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
        desired = max(0, expected - share(spec["maxUnavailable"], expected, up=True))
    else:
        least = spec.get("minAvailable", 1)
        desired = share(least, expected, up=True)
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
    """Keeps the counters of each PodDisruptionBudget true."""

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


def take(store: Store, pod: Object, *, dry: bool) -> None:
    """Take one eviction from the budget of a pod. Raises StatusError 429 when there is none left, 500 with two budgets."""
    if pod["status"]["phase"] in {*_ENDED, "Pending"} or "deletionTimestamp" in pod["metadata"]:
        return
    namespace = pod["metadata"]["namespace"]
    about = [b for b in store.list("PodDisruptionBudget", namespace) if covered(b, [pod])]
    if len(about) > 1:
        raise StatusError(500, "InternalError", "This pod has more than one PodDisruptionBudget.")
    for budget in about:
        status = budget.get("status") or {}
        if status.get("disruptionsAllowed", 0) < 1:
            needed, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
            raise over_budget(budget["metadata"]["name"], needed, healthy)
        if not dry:
            evicted = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: timestamp()}
            left = status["disruptionsAllowed"] - 1
            new = {**status, "disruptionsAllowed": left, "disruptedPods": evicted}
            store.update({**budget, "status": new}, part="status")
