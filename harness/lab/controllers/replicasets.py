"""The ReplicaSet controller: creates and deletes pods until their number is right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import parse_timestamp
from harness.lab.controllers.deployments import owned_by, owner
from harness.lab.objects.podstatus import pod_condition, pod_ready
from harness.lab.objects.resources import MINOR

if TYPE_CHECKING:
    from harness.lab.objects.recorder import Recorder
    from harness.lab.objects.store import Object, Store

COUNTS_TERMINATING = (
    35  # the first minor version in which status.terminatingReplicas is on by default (KEP-3973)
)
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def active(pod: Object) -> bool:
    """Tell whether a pod is active: neither finished nor being deleted."""
    return (
        pod["status"]["phase"] not in {"Succeeded", "Failed"} and "deletionTimestamp" not in pod["metadata"]
    )


def terminating(pod: Object) -> bool:
    """Tell whether a pod is being deleted and has not finished."""
    return "deletionTimestamp" in pod["metadata"] and pod["status"]["phase"] not in {"Succeeded", "Failed"}


def doomed_first(pod: Object) -> tuple[Any, ...]:
    """Sort key: which pods are deleted first.

    Unassigned, not running and not ready ones first; then by deletion cost, latest ready, most restarts, newest.
    """
    metadata, status = pod["metadata"], pod["status"]
    ready = pod_condition(pod, "Ready")
    since = (
        parse_timestamp(ready["lastTransitionTime"]).timestamp()
        if ready and ready["status"] == "True"
        else 0.0
    )
    restarts = sum(container.get("restartCount", 0) for container in status.get("containerStatuses") or ())
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(status["phase"], 1),
        pod_ready(pod),
        int((metadata.get("annotations") or {}).get(_DELETION_COST, 0)),
        -since,
        -restarts,
        -parse_timestamp(metadata["creationTimestamp"]).timestamp(),
        -int(metadata["resourceVersion"]),
    )


def available_in(pod: Object, min_ready_s: int, now: datetime) -> float | None:
    """Return the seconds until a pod is available (0: it is); None while it is not ready."""
    ready = pod_condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    if not min_ready_s:
        return 0.0
    since = parse_timestamp(ready["lastTransitionTime"])
    return max(0.0, (since + timedelta(seconds=min_ready_s) - now).total_seconds())


class ReplicaSets:
    """Brings each ReplicaSet to its size, and updates its status."""

    def __init__(self, store: Store, recorder: Recorder, minor: int = MINOR) -> None:
        self._store, self._recorder, self._minor = store, recorder, minor

    def sync(self, key: tuple[str, str]) -> float | None:
        """Sync one ReplicaSet; return the seconds until the next sync, or None."""
        rs = self._store.find("ReplicaSet", *key)
        if rs is None:
            return None
        pods = self._pods(rs)
        missing = rs["spec"]["replicas"] - len(pods)
        for _ in range(missing):
            made = self._store.create(_pod_of(rs))
            self._record(rs, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        for pod in sorted(pods, key=doomed_first)[: max(0, -missing)]:
            self._store.delete(pod)
            self._record(rs, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        return self._report(rs)

    def _pods(self, rs: Object) -> list[Object]:
        return [pod for pod in self._owned(rs) if active(pod)]

    def _owned(self, rs: Object) -> list[Object]:
        pods = self._store.list("Pod", rs["metadata"]["namespace"])
        return [pod for pod in pods if owned_by(pod, rs["metadata"]["uid"])]

    def _report(self, rs: Object) -> float | None:
        rs = self._store.get("ReplicaSet", rs["metadata"]["namespace"], rs["metadata"]["name"])
        pods, now = self._pods(rs), datetime.now(UTC)
        waits = [available_in(pod, rs["spec"].get("minReadySeconds", 0), now) for pod in pods]
        labels = (rs["spec"]["template"]["metadata"].get("labels") or {}).items()
        status: Object = {
            "replicas": len(pods),
            "fullyLabeledReplicas": sum(
                labels <= (pod["metadata"].get("labels") or {}).items() for pod in pods
            ),
            "readyReplicas": sum(wait is not None for wait in waits),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "observedGeneration": rs["metadata"]["generation"],
        }
        status = {name: count for name, count in status.items() if count or name == "replicas"}
        if self._minor >= COUNTS_TERMINATING:
            status["terminatingReplicas"] = sum(map(terminating, self._owned(rs)))
        self._store.update({**rs, "status": status}, part="status")
        later = [wait for wait in waits if wait]
        return min(later) + 0.01 if later else None

    def _record(self, rs: Object, reason: str, message: str) -> None:
        self._recorder.record(rs, "Normal", reason, message, "replicaset-controller")


def _pod_of(rs: Object) -> Object:
    template = rs["spec"]["template"]
    metadata = {
        key: template["metadata"][key] for key in ("labels", "annotations") if template["metadata"].get(key)
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "generateName": f"{rs['metadata']['name']}-",
            "namespace": rs["metadata"]["namespace"],
            "ownerReferences": [owner(rs)],
        },
        "spec": template["spec"],
    }
