"""Evictions: which pods a PodDisruptionBudget covers, and taking one pod from what it allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.k8s.selectors import selected
from harness.k8s.timestamps import timestamp
from harness.lab.objects.status import StatusError, over_budget

if TYPE_CHECKING:
    from harness.lab.objects.store import Object, Store

_ENDED = {"Succeeded", "Failed"}


def covered(budget: Object, pods: list[Object]) -> list[Object]:
    """Return the pods that a budget covers."""
    selector = budget["spec"].get("selector")
    return [
        pod
        for pod in pods
        if selected(selector, pod["metadata"].get("labels") or {}) and pod["status"]["phase"] not in _ENDED
    ]


def take(store: Store, pod: Object, *, dry: bool) -> None:
    """Take one eviction from a pod's budget. Raises StatusError 429 if none is left, 500 if two budgets cover the
    pod.
    """
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
