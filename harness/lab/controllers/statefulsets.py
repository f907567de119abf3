"""The StatefulSet controller: numbered pods, created in ascending and replaced in descending order, one at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.lab.controllers import revisions
from harness.lab.controllers.deployments import owned_by
from harness.lab.controllers.replicasets import available_in
from harness.lab.objects.podstatus import pod_ready

if TYPE_CHECKING:
    from harness.lab.objects.recorder import Recorder
    from harness.lab.objects.store import Object, Store

_POD_NAME = "statefulset.kubernetes.io/pod-name"
_INDEX = "apps.kubernetes.io/pod-index"


def ordinal(pod: Object) -> int:
    """Return a pod's number."""
    return int(pod["metadata"]["name"].rpartition("-")[2])


def partition(workload: Object) -> int:
    """Return the partition: pods below this number keep the old template."""
    rolling = workload["spec"]["updateStrategy"].get("rollingUpdate") or {}
    return int(rolling.get("partition") or 0)


def next_to_delete(workload: Object, pods: list[Object], update: str) -> Object | None:
    """Return the pod that a rolling update replaces next: the highest old one, if all above it are ready."""
    if workload["spec"]["updateStrategy"]["type"] != "RollingUpdate":
        return None
    for pod in sorted(pods, key=ordinal, reverse=True):
        if ordinal(pod) < partition(workload) or "deletionTimestamp" in pod["metadata"]:
            return None
        if pod["metadata"]["labels"][revisions.LABEL] != update:
            return pod
        if not pod_ready(pod):
            return None  # wait for the new one
    return None


class StatefulSets:
    """Brings each StatefulSet one step closer to its spec per `sync`."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store, self._recorder = store, recorder

    def sync(self, key: tuple[str, str]) -> float | None:
        """Take one step; return the seconds until the next sync, or None."""
        workload = self._store.find("StatefulSet", *key)
        if workload is None:
            return None
        newest = revisions.current(self._store, workload)
        pods = self._pods(workload)
        self._step(workload, pods, newest)
        return self._report(workload, newest)

    def _pods(self, workload: Object) -> list[Object]:
        found = self._store.list("Pod", workload["metadata"]["namespace"])
        return [pod for pod in found if owned_by(pod, workload["metadata"]["uid"])]

    def _step(self, workload: Object, pods: list[Object], newest: Object) -> None:
        by_number = {ordinal(pod): pod for pod in pods}
        parallel = workload["spec"].get("podManagementPolicy") == "Parallel"
        replicas = workload["spec"]["replicas"]
        for number in range(replicas):
            pod = by_number.get(number)
            if pod is None:
                self._create(workload, number, self._revision_for(workload, number, newest))
            elif (
                pod["status"]["phase"] in {"Failed", "Succeeded"}
                and "deletionTimestamp" not in pod["metadata"]
            ):
                self._delete(workload, pod)
            elif not parallel and ("deletionTimestamp" in pod["metadata"] or not pod_ready(pod)):
                return  # OrderedReady: wait until this one is ready
            else:
                continue
            if not parallel:
                return
        surplus = [pod for number, pod in sorted(by_number.items(), reverse=True) if number >= replicas]
        for pod in surplus:
            if "deletionTimestamp" not in pod["metadata"]:
                self._delete(workload, pod)
            if not parallel:
                return
        wanted = [pod for number, pod in by_number.items() if number < replicas]
        doomed = next_to_delete(workload, wanted, revisions.label_of(newest))
        if doomed is not None:
            self._delete(workload, doomed)

    def _revision_for(self, workload: Object, number: int, newest: Object) -> Object:
        """Return the revision for a new pod: below the partition, the previous one."""
        known = {item["metadata"]["name"]: item for item in revisions.history(self._store, workload)}
        before = known.get((workload.get("status") or {}).get("currentRevision", ""))
        return before if before is not None and number < partition(workload) else newest

    def _create(self, workload: Object, number: int, revision: Object) -> None:
        name = f"{workload['metadata']['name']}-{number}"
        metadata = {"name": name, "labels": {_POD_NAME: name, _INDEX: str(number)}}
        pod = revisions.pod_of(workload, revision, metadata, revisions.label_of(revision))
        pod["spec"] = {
            **pod["spec"],
            "hostname": name,
            "subdomain": workload["spec"].get("serviceName", ""),
        }
        self._store.create(pod)
        text = f"create Pod {name} in StatefulSet {workload['metadata']['name']} successful"
        self._recorder.record(workload, "Normal", "SuccessfulCreate", text, "statefulset-controller")

    def _delete(self, workload: Object, pod: Object) -> None:
        self._store.delete(pod)
        name = pod["metadata"]["name"]
        text = f"delete Pod {name} in StatefulSet {workload['metadata']['name']} successful"
        self._recorder.record(workload, "Normal", "SuccessfulDelete", text, "statefulset-controller")

    def _report(self, workload: Object, newest: Object) -> float | None:
        pods, now = self._pods(workload), datetime.now(UTC)
        old_status = workload.get("status") or {}
        update = revisions.label_of(newest)
        was = old_status.get("currentRevision") or update
        waits = [available_in(pod, workload["spec"].get("minReadySeconds", 0), now) for pod in pods]
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        updated = [pod for pod in living if pod["metadata"]["labels"][revisions.LABEL] == update]
        status: Object = {
            "observedGeneration": workload["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(pod_ready(pod) for pod in pods),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "currentReplicas": sum(pod["metadata"]["labels"][revisions.LABEL] == was for pod in living),
            "updatedReplicas": len(updated),
            "currentRevision": was,
            "updateRevision": update,
            "collisionCount": 0,
        }
        replicas = workload["spec"]["replicas"]
        ready = sum(pod_ready(pod) for pod in updated)
        if was != update and len(updated) == ready == len(pods) == replicas and partition(workload) == 0:
            status |= {"currentRevision": update, "currentReplicas": len(updated)}
        status = {k: v for k, v in status.items() if v or k in {"replicas", "collisionCount"}}
        fresh = self._store.get(
            "StatefulSet", workload["metadata"]["namespace"], workload["metadata"]["name"]
        )
        self._store.update({**fresh, "status": status}, part="status")
        revisions.prune(self._store, workload, {pod["metadata"]["labels"][revisions.LABEL] for pod in pods})
        later = [wait for wait in waits if wait]
        return min(later) + 0.01 if later else None
