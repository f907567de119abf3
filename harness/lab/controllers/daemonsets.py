"""The DaemonSet controller, on the lab's one node: one pod, replaced when the template changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.k8s.amounts import amount
from harness.lab.controllers import revisions
from harness.lab.controllers.deployments import owned_by
from harness.lab.controllers.replicasets import active, available_in
from harness.lab.objects.podstatus import pod_ready

if TYPE_CHECKING:
    from harness.lab.objects.recorder import Recorder
    from harness.lab.objects.store import Object, Store

_NODES = 1


def surges(workload: Object) -> bool:
    """Tell whether a new pod may run beside the old one (maxSurge, since 1.22)."""
    rolling = workload["spec"]["updateStrategy"].get("rollingUpdate") or {}
    return amount(rolling.get("maxSurge") or 0, _NODES, up=True) > 0


class DaemonSets:
    """Brings each DaemonSet one step closer to its spec per `sync`."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store, self._recorder = store, recorder

    def sync(self, key: tuple[str, str]) -> float | None:
        """Take one step; return the seconds until the next sync, or None."""
        workload = self._store.find("DaemonSet", *key)
        if workload is None:
            return None
        newest = revisions.current(self._store, workload)
        digest: str = newest["metadata"]["labels"][revisions.LABEL]
        pods = self._pods(workload)
        new = [p for p in pods if p["metadata"]["labels"][revisions.LABEL] == digest and active(p)]
        old = [p for p in pods if p not in new and active(p)]
        ending = [p for p in pods if "deletionTimestamp" in p["metadata"]]
        rolling = workload["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        if not new and not old and not ending:
            self._create(workload, newest, digest)
        elif old and rolling and surges(workload):
            if not new:
                self._create(workload, newest, digest)
            elif all(pod_ready(pod) for pod in new):
                self._delete(workload, old[0])
        elif old and rolling:
            self._delete(workload, old[0])
        return self._report(workload, digest)

    def _pods(self, workload: Object) -> list[Object]:
        found = self._store.list("Pod", workload["metadata"]["namespace"])
        return [pod for pod in found if owned_by(pod, workload["metadata"]["uid"])]

    def _create(self, workload: Object, revision: Object, digest: str) -> None:
        metadata = {"generateName": f"{workload['metadata']['name']}-"}
        made = self._store.create(revisions.pod_of(workload, revision, metadata, digest))
        text = f"Created pod: {made['metadata']['name']}"
        self._recorder.record(workload, "Normal", "SuccessfulCreate", text, "daemonset-controller")

    def _delete(self, workload: Object, pod: Object) -> None:
        self._store.delete(pod)
        text = f"Deleted pod: {pod['metadata']['name']}"
        self._recorder.record(workload, "Normal", "SuccessfulDelete", text, "daemonset-controller")

    def _report(self, workload: Object, digest: str) -> float | None:
        pods, now = [pod for pod in self._pods(workload) if active(pod)], datetime.now(UTC)
        waits = [available_in(pod, workload["spec"].get("minReadySeconds", 0), now) for pod in pods]
        ready = min(_NODES, sum(pod_ready(pod) for pod in pods))
        available = min(_NODES, sum(wait == 0 for wait in waits))
        updated = sum(pod["metadata"]["labels"][revisions.LABEL] == digest for pod in pods)
        status: Object = {
            "currentNumberScheduled": min(_NODES, len(pods)),
            "numberMisscheduled": 0,
            "desiredNumberScheduled": _NODES,
            "numberReady": ready,
            "observedGeneration": workload["metadata"]["generation"],
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": _NODES - available,
        }
        always = {"currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"}
        status = {key: value for key, value in status.items() if value or key in always}
        fresh = self._store.get("DaemonSet", workload["metadata"]["namespace"], workload["metadata"]["name"])
        self._store.update({**fresh, "status": status}, part="status")
        used = {
            item["metadata"]["name"]
            for item in revisions.history(self._store, workload)
            if any(
                pod["metadata"]["labels"][revisions.LABEL] == item["metadata"]["labels"][revisions.LABEL]
                for pod in pods
            )
        }
        revisions.prune(self._store, workload, used)
        later = [wait for wait in waits if wait]
        return min(later) + 0.01 if later else None
