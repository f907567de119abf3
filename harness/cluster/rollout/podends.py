"""Which pods did somebody other than their controller end? Pure.

No object says who deleted a pod. What tells: a controller deletes pods only while it has more than it wants, or an
outdated one; the eviction API, the scheduler, the taint manager and the kubelet leave the condition DisruptionTarget
(kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.cluster.rollout.view import has_ended, is_going, own, revision_of
from harness.model import OtherChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.cluster.rollout.view import View
    from harness.model import ClusterEvent

Object = dict[str, Any]

# The watches of pods and of their controllers are not one: the size that explains a deletion may come this much later,
# or may have been gone again for this long.
TOLD_NS = NS
# A controller writes its status after each pod that goes. Until it is seen to, its watch may be behind, and nothing
# is said.
FORGOTTEN_NS = 15 * NS
_GENERATION = "deprecated.daemonset.template.generation"


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A pod that was deleted, and the pods that its controller had left then."""

    t_ns: int
    name: str
    owner: str  # uid of its ReplicaSet, or of the workload
    revision: str
    generation: str
    left: int


class PodEnds:
    """Sees pods go, and tells of those that their controller did not end."""

    def __init__(self, view: View, doomed: frozenset[str]) -> None:
        """Begin with what is there. `doomed` are the uids of pods that the change itself ends."""
        self._view = view
        self._seen = doomed | {uid for uid, pod in view.pods.items() if is_going(pod)}
        self._doubts: list[_Doubt] = []
        self._heard: dict[str, int] = {}  # when each ReplicaSet, or the workload, was last told of
        self._sizes: dict[str, list[tuple[int, int]]] = defaultdict(list)  # ReplicaSet -> (t_ns, replicas)
        for uid, one in view.replicasets.items():
            self._sizes[uid].append((0, _size(one)))

    def see(self, event: ClusterEvent) -> Iterator[OtherChange]:
        """Take in an event that the view has taken in already."""
        if event.kind not in {"Pod", "Event", "EndpointSlice"}:
            self._heard[event.uid] = event.t_ns
        if event.kind == "ReplicaSet":
            self._sizes[event.uid].append((event.t_ns, _size(event.object)))
        elif event.kind == "Event" and event.object.get("reason") == "SuccessfulDelete":
            message = str(event.object.get("message") or "").split()
            self._doubts = [doubt for doubt in self._doubts if doubt.name not in message]
        elif event.kind == "Pod" and (event.change == "DELETED" or is_going(event.object)):
            yield from self._goes(event)

    def tick(self, now_ns: int) -> Iterator[OtherChange]:
        """Let time pass: a deletion that nothing has explained by now was somebody's."""
        due = [doubt for doubt in self._doubts if now_ns >= doubt.t_ns + TOLD_NS and self._caught_up(doubt)]
        self._doubts = [
            doubt for doubt in self._doubts if doubt not in due and now_ns < doubt.t_ns + FORGOTTEN_NS
        ]
        for doubt in due:
            if not self._view.deleted and self._unasked(doubt):
                yield OtherChange(doubt.t_ns, "pod_deleted", f"deleted pod {doubt.name}")

    def _caught_up(self, doubt: _Doubt) -> bool:
        """Whether the pod's controller was heard of since, and knows of the newest wish."""
        workload = self._view.workload
        generation = int(workload.get("metadata", {}).get("generation") or 0)
        observed = int(workload.get("status", {}).get("observedGeneration") or 0)
        return observed >= generation and self._heard.get(doubt.owner, -1) > doubt.t_ns

    def _goes(self, event: ClusterEvent) -> Iterator[OtherChange]:
        pod, metadata = event.object, event.object["metadata"]
        if event.uid in self._seen or self._view.deleted or has_ended(pod):
            return
        self._seen |= {event.uid}
        owner = next((ref.get("uid", "") for ref in metadata.get("ownerReferences") or ()), "")
        mine = {self._view.workload.get("metadata", {}).get("uid"), *self._view.replicasets}
        if owner not in mine:
            return
        node = str(pod.get("spec", {}).get("nodeName") or "")
        if told := _disruption(event.t_ns, event.name, node, pod):
            yield told
            return
        siblings = (other for uid, other in own(self._view).items() if uid != event.uid)
        left = sum(
            not is_going(other) and not has_ended(other) and _owned(other, owner) for other in siblings
        )
        labels = metadata.get("labels") or {}
        generation = str(labels.get("pod-template-generation") or "")
        self._doubts.append(_Doubt(event.t_ns, event.name, owner, revision_of(pod), generation, left))

    def _unasked(self, doubt: _Doubt) -> bool:
        """Whether its controller had no reason to delete the pod."""
        workload = self._view.workload
        if doubt.owner in self._view.replicasets:
            sizes = self._sizes[doubt.owner]
            # That it was smaller before it grew is no reason to end a pod.
            shrunk = [late for (_, early), late in pairwise(sizes) if late[1] < early]
            explaining = [size for t_ns, size in shrunk if t_ns >= doubt.t_ns - TOLD_NS]
            explaining += [size for t_ns, size in sizes if t_ns <= doubt.t_ns][-1:]
            return bool(explaining) and min(explaining) > doubt.left
        annotations = workload.get("metadata", {}).get("annotations") or {}
        if annotations.get(_GENERATION) and doubt.generation:  # a DaemonSet's
            return str(annotations[_GENERATION]) == doubt.generation
        newest = workload.get("status", {}).get("updateRevision")  # a StatefulSet's
        number = doubt.name.rpartition("-")[2]
        wanted = int(workload.get("spec", {}).get("replicas", 1))
        first = int((workload.get("spec", {}).get("ordinals") or {}).get("start") or 0)
        return (
            bool(newest) and newest == doubt.revision and number.isdecimal() and int(number) < first + wanted
        )


def _size(replicaset: Object) -> int:
    return int(replicaset.get("spec", {}).get("replicas") or 0)


def _owned(pod: Object, owner: str) -> bool:
    return any(ref.get("uid") == owner for ref in pod["metadata"].get("ownerReferences") or ())


def _disruption(t_ns: int, name: str, node: str, pod: Object) -> OtherChange | None:
    """Return who ended a pod and how, where its condition DisruptionTarget says so."""
    conditions = pod.get("status", {}).get("conditions") or []
    reason = next(
        (
            str(c.get("reason") or "")
            for c in conditions
            if c.get("type") == "DisruptionTarget" and c.get("status") == "True"
        ),
        "",
    )
    where = f" from node {node}" if node else ""
    words = {
        "EvictionByEvictionAPI": ("", f"evicted pod {name}{where}, as kubectl drain does"),
        "DeletionByTaintManager": ("the taint manager", f"deleted pod {name}{where}, which got a taint"),
        "PreemptionByScheduler": ("the scheduler", f"removed pod {name}{where} for one of higher priority"),
        "TerminationByKubelet": ("the kubelet",
                                 f"ended pod {name}{where}: the node is short of something or shuts down"),
    }  # fmt: skip
    if reason not in words:
        return None
    who, what = words[reason]
    return OtherChange(t_ns, "pod_evicted", what, who)
