"""The objects that a rollout is about: as the watch last showed them, and as they were just before the change. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.k8s import argo
from harness.model import NEVER, PodRef

if TYPE_CHECKING:
    from harness.model import ClusterEvent

Object = dict[str, Any]
_NEW_SIZE = re.compile(r"New size: (\d+)")  # kubernetes pkg/controller/podautoscaler/horizontal.go


@dataclass(slots=True)
class View:
    """The newest known state of the objects that a rollout is about, by uid."""

    workload: Object = field(default_factory=dict)
    replicasets: dict[str, Object] = field(default_factory=dict)
    former: set[str] = field(default_factory=set)  # uids of ReplicaSets that are gone; their pods may be left
    pods: dict[str, Object] = field(default_factory=dict)
    slices: dict[str, Object] = field(default_factory=dict)
    last_progress_ns: int = NEVER
    rescaled: set[int] = field(default_factory=set)  # sizes that an autoscaler's Events name
    deleted: bool = (
        False  # the workload was, or is being; one of the same name made later is another workload
    )

    def apply(self, event: ClusterEvent) -> None:
        """Take in one change."""
        if event.kind in {"Deployment", "StatefulSet", "DaemonSet", argo.KIND}:
            self._workload(event)
            return
        if event.kind == "Event" and event.object.get("reason") == "SuccessfulRescale":
            size = _NEW_SIZE.search(str(event.object.get("message") or ""))
            self.rescaled |= {int(size[1])} if size else set()
            return
        table = {"ReplicaSet": self.replicasets, "Pod": self.pods, "EndpointSlice": self.slices}.get(
            event.kind
        )
        if table is None:
            return
        if event.change == "DELETED":
            if event.kind == "ReplicaSet" and self.workload.get("metadata", {}).get("uid") in _owners(
                event.object
            ):
                self.former.add(event.uid)
            table.pop(event.uid, None)
        else:
            table[event.uid] = event.object

    def _workload(self, event: ClusterEvent) -> None:
        known = self.workload.get("metadata", {}).get("uid", event.uid)
        going = "deletionTimestamp" in event.object.get("metadata", {})
        if event.change == "DELETED" or going or known != event.uid:
            self.deleted = True
        if event.change != "DELETED":
            if _counters(event.object) != _counters(self.workload):
                self.last_progress_ns = event.t_ns
            self.workload = event.object


@dataclass(frozen=True, slots=True)
class Baseline:
    """The workload just before the change, and what the change made of it.

    `template` is the pod template that the change leads to: as the server returned it after our own patch, or as it
    was first seen after somebody else's; {} until that is known. Every later one is a second change. `doomed` are
    pods that go although the template stays.
    """

    old_pods: tuple[PodRef, ...]
    old_revision: str
    template_before: Object
    template: Object
    generation: int
    replicas: int | None = None  # as the spec had it
    doomed: frozenset[str] = frozenset()
    foreign: bool = False  # the change is a command's, or somebody else's
    size: int | None = (
        None  # the replicas that our own change leaves; None: as they are when it is first seen
    )
    restart_at: str = ""  # an Argo Rollout's: pods from before another one are to be replaced


def own(view: View) -> dict[str, Object]:
    """Return the pods that the workload's controllers made, by uid.

    A selector may match others' pods too: a canary's, a Job's. A pod that has ended for good (evicted, say) no longer
    counts: nobody relies on it, and nobody removes it.
    """
    owners = _controllers(view)
    return {
        uid: pod
        for uid, pod in view.pods.items()
        if (is_going(pod) or not has_ended(pod)) and (not _owners(pod) or _owners(pod) & owners)
    }


def is_own(view: View, pod: Object) -> bool:
    """Tell whether the workload's controllers made this pod, whatever has become of it."""
    return not _owners(pod) or bool(_owners(pod) & _controllers(view))


def _controllers(view: View) -> set[str]:
    """Return the uids of the workload, and of its ReplicaSets."""
    uid = view.workload.get("metadata", {}).get("uid")
    return {uid} | {rs for rs, obj in view.replicasets.items() if uid in _owners(obj)} | view.former


def _owners(obj: Object) -> set[str]:
    return {ref["uid"] for ref in obj["metadata"].get("ownerReferences") or () if ref.get("uid")}


def pods_of(view: View) -> tuple[PodRef, ...]:
    """Return the workload's pods, by name."""
    return tuple(
        sorted((PodRef(p["metadata"]["name"], uid) for uid, p in own(view).items()), key=lambda ref: ref.name)
    )


def revision_of(pod: Object) -> str:
    """Return the hash that names a pod's template: of its ReplicaSet, or of its controller's revision."""
    labels = pod["metadata"].get("labels", {})
    names = (argo.HASH, "pod-template-hash", "controller-revision-hash")
    return next((str(labels[name]) for name in names if labels.get(name)), "")


def revisions(view: View, uids: set[str], *, inside: bool) -> list[str]:
    """Return the template hashes of pods in (or not in) `uids`, most frequent first."""
    seen: dict[str, int] = {}
    for uid, pod in own(view).items():
        if (uid in uids) is inside and revision_of(pod):
            seen[revision_of(pod)] = seen.get(revision_of(pod), 0) + 1
    return sorted(seen, key=lambda h: -seen[h])


def is_going(pod: Object) -> bool:
    """Whether the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def has_ended(pod: Object) -> bool:
    """Whether the pod will never run again: evicted by its node, or out of reach of its controller."""
    return pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true."""
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", [])
    )


def _counters(obj: Object) -> tuple[Any, ...]:
    """Return what moves when a rollout moves. Not observedGeneration: our own lock's annotation moves that."""
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas",
             "currentReplicas", "updatedNumberScheduled", "numberAvailable", "numberReady")  # fmt: skip
    status = obj.get("status", {})
    # An Argo Rollout moves by steps, too: their index, what it calls stable, where its Services lead.
    argos = ("currentStepIndex", "stableRS", "restartedAt")
    routed = (argo.weight(obj), (status.get("blueGreen") or {}).get("activeSelector"))
    return (*(status.get(name) for name in (*names, *argos)), *routed)


def restart_at(workload: Object) -> str:
    """Return the moment before which an Argo Rollout's pods were made that are to be replaced, as its spec has it; ""
    for none.
    """
    return str(workload.get("spec", {}).get("restartAt") or "")


def doomed(before: Baseline, workload: Object) -> frozenset[str]:
    """Return the uids of pods that a change ends although the template stays: all of an Argo Rollout that restarts."""
    restarts = restart_at(workload) != before.restart_at
    return frozenset(ref.uid for ref in before.old_pods) if restarts else before.doomed
