"""A Deployment's status: its counters, and the conditions Available and Progressing with Kubernetes' reasons. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from harness.k8s.timestamps import parse_timestamp, timestamp
from harness.lab.controllers.rollouts import fences

Object = dict[str, Any]


def condition(status: Object, kind: str) -> Object | None:
    """Return the condition of a type, or None."""
    return next((c for c in status.get("conditions") or () if c["type"] == kind), None)


def with_condition(status: Object, kind: str, truth: str, reason: str, message: str, now: datetime) -> Object:
    """Return a status with a condition set. Nothing changes if status and reason are the same; lastTransitionTime
    moves only with the status.
    """
    old = condition(status, kind)
    if old and (old["status"], old["reason"]) == (truth, reason):
        return status
    new = {
        "type": kind,
        "status": truth,
        "lastUpdateTime": timestamp(now),
        "lastTransitionTime": old["lastTransitionTime"] if old and old["status"] == truth else timestamp(now),
        "reason": reason,
        "message": message,
    }
    others = [c for c in status.get("conditions") or () if c["type"] != kind]
    return {**status, "conditions": [*others, new]}


def counted(deployment: Object, sets: list[Object], new: Object | None, now: datetime) -> Object:
    """Return the status with current counters and condition Available; Progressing is carried over.

    Counters that are 0 are omitted, as in Kubernetes. `replicas` does not count pods that are being deleted.
    """
    old_status = deployment.get("status") or {}
    total = sum(rs["status"].get("replicas", 0) for rs in sets)
    ready = sum(rs["status"].get("readyReplicas", 0) for rs in sets)
    available = sum(rs["status"].get("availableReplicas", 0) for rs in sets)
    wanted = sum(rs["spec"]["replicas"] for rs in sets)
    counters = {
        "replicas": total,
        "updatedReplicas": new["status"].get("replicas", 0) if new else 0,
        "readyReplicas": ready,
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
    }
    status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
    status |= {key: value for key, value in counters.items() if value}
    # Where its ReplicaSets count them, also 0 is said (KEP-3973).
    going = [rs["status"]["terminatingReplicas"] for rs in sets if "terminatingReplicas" in rs["status"]]
    if going:
        status["terminatingReplicas"] = sum(going)
    if old_status.get("conditions"):
        status["conditions"] = old_status["conditions"]
    if available >= deployment["spec"]["replicas"] - fences(deployment)[1]:
        text = "Deployment has minimum availability."
        return with_condition(status, "Available", "True", "MinimumReplicasAvailable", text, now)
    text = "Deployment does not have minimum availability."
    return with_condition(status, "Available", "False", "MinimumReplicasUnavailable", text, now)


def complete(deployment: Object, status: Object) -> bool:
    """Tell whether all pods are new and available, and no old ones are left."""
    replicas = deployment["spec"]["replicas"]
    counts = {status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")}
    return counts == {replicas}


def progressed(old: Object, new: Object) -> bool:
    """Tell whether a rollout has progressed from one status to the next."""
    for key in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if new.get(key, 0) > old.get(key, 0):
            return True
    return _left(new) < _left(old)


def _left(status: Object) -> int:
    return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))


def with_progress(deployment: Object, status: Object, new: Object | None, now: datetime) -> Object:
    """Return the status with condition Progressing: progressing, complete, or past its deadline."""
    name = new["metadata"]["name"] if new else ""
    old_status = deployment.get("status") or {}
    current = condition(status, "Progressing")
    done_before = (
        current is not None
        and current["reason"] == "NewReplicaSetAvailable"
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )
    if done_before:
        return status
    if complete(deployment, status):
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return with_condition(status, "Progressing", "True", "NewReplicaSetAvailable", text, now)
    if progressed(old_status, status):
        # Removed first: progress renews lastUpdateTime, from which the deadline counts.
        kept = current["lastTransitionTime"] if current and current["status"] == "True" else timestamp(now)
        others = [c for c in status.get("conditions") or () if c["type"] != "Progressing"]
        text = f'ReplicaSet "{name}" is progressing.'
        fresh = with_condition(
            {**status, "conditions": others}, "Progressing", "True", "ReplicaSetUpdated", text, now
        )
        made = fresh["conditions"][-1]
        return {**fresh, "conditions": [*others, {**made, "lastTransitionTime": kept}]}
    if overdue_in(deployment, status, now) == 0:
        text = f'ReplicaSet "{name}" has timed out progressing.'
        return with_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", text, now)
    return status


def overdue_in(deployment: Object, status: Object, now: datetime) -> float | None:
    """Return the seconds until the progress deadline, 0 if it has passed, None if there is none."""
    current = condition(status, "Progressing")
    if current is None or current["reason"] == "NewReplicaSetAvailable":
        return None
    if current["reason"] == "ProgressDeadlineExceeded":
        return 0
    deadline = parse_timestamp(current["lastUpdateTime"]) + timedelta(
        seconds=deployment["spec"]["progressDeadlineSeconds"]
    )
    return max(0.0, (deadline - now).total_seconds())
