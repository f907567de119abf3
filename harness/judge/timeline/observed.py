"""Events -> lifelines: what they have shown so far, kept while they go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.timeline.clocks import node_offsets_ns, server_offset_ns
from harness.judge.timeline.lifeline import Lifeline, PodNote, PodSpec, Served, pod_spec
from harness.judge.timeline.resizing import Resizing
from harness.judge.timeline.restarting import Endings
from harness.judge.timeline.targets import with_targets
from harness.k8s.argo import HASH
from harness.k8s.timestamps import since_epoch_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.model import ClusterEvent, RunRecord


def lifelines(
    run: RunRecord, events: Sequence[ClusterEvent], services: Sequence[dict[str, Any]] = ()
) -> tuple[Lifeline, ...]:
    """Return the workload's pods, old ones first, each group in the order of its deletion or creation.

    `services` are the manifests of those that lead to the pods.
    """
    # The first lists tell what was so before: pods first, for slices speak of them.
    ordered = sorted(events, key=lambda event: (event.change != "LISTED", event.t_ns, event.kind != "Pod"))
    offset_ns = server_offset_ns(run, ordered)
    of_node = node_offsets_ns(ordered, offset_ns)
    pods: dict[str, Pod] = {}
    mine = Workload(run)
    slices = Slices(frozenset(run.cluster.services) if run.cluster else frozenset())
    for event in ordered:
        if event.kind == "Pod":
            pods.setdefault(event.uid, Pod(event.name, event.uid, services)).see(event, offset_ns, of_node)
        elif event.kind == "ReplicaSet":
            mine.learn(event)
        elif event.kind == "EndpointSlice":
            slices.see(event, pods)
        elif event.kind == "Event":
            about = event.object.get("involvedObject") or {}
            pod = pods.get(about.get("uid", ""))
            if pod is not None:
                pod.note(event, offset_ns)
    old = {ref.uid for ref in run.rollout.old_pods} if run.rollout else set()
    found = [
        pod.lifeline(slices.stretches(pod.uid), old=pod.uid in old) for pod in pods.values() if mine.owns(pod)
    ]
    far = 1 << 62

    def order(line: Lifeline) -> tuple[bool, int, int, str]:
        when = line.deleted_ns if line.old else line.created_ns
        return (not line.old, far if when is None else when, line.created_ns or 0, line.name)

    return with_targets(sorted(found, key=order), ordered)


class Workload:
    """Which pods are the workload's: by uid, by owner, or by the hash of a revision we know."""

    def __init__(self, run: RunRecord) -> None:
        self._owners = {run.cluster.uid} if run.cluster and run.cluster.uid else set()
        facts = run.rollout
        self._hashes = {h for h in (facts.old_revision, facts.new_revision) if h} if facts else set()
        self._pods = {ref.uid for ref in facts.old_pods} if facts else set()
        self._known = bool(self._owners or self._hashes or self._pods)

    def learn(self, event: ClusterEvent) -> None:
        """Learn of a ReplicaSet that is the workload's."""
        owners = (event.object.get("metadata") or {}).get("ownerReferences") or []
        if any(owner.get("uid") in self._owners for owner in owners):
            self._owners.add(event.uid)

    def owns(self, pod: Pod) -> bool:
        """Tell whether a pod is the workload's; all are when nothing is known of it."""
        return (
            not self._known
            or pod.uid in self._pods
            or bool(pod.owners & self._owners)
            or bool(pod.hashes & self._hashes)
        )


class Slices:
    """Which pods are ready endpoints, slice by slice, as the events go by."""

    def __init__(self, services: frozenset[str]) -> None:
        self._services = services
        self._inside: dict[str, set[str]] = {}  # slice -> pod uids
        self._stretches: dict[str, list[Served]] = {}

    def see(self, event: ClusterEvent, pods: dict[str, Pod]) -> None:
        """Take in a slice as it is now."""
        labels = (event.object.get("metadata") or {}).get("labels") or {}
        service = labels.get("kubernetes.io/service-name", "")
        if self._services and service not in self._services:
            return
        before = self._union()
        key = event.uid or f"{event.namespace}/{event.name}"
        endpoints = [] if event.change == "DELETED" else event.object.get("endpoints") or []
        self._inside[key] = {
            uid for endpoint in endpoints if _takes_traffic(endpoint) for uid in _whose(endpoint, pods)
        }
        after = self._union()
        for uid in sorted(after - before):
            # What the first list shows was so before we looked: since the pod was ready.
            ready = pods[uid].ready_ns if uid in pods else None
            start = ready if event.change == "LISTED" and ready is not None else event.t_ns
            self._stretches.setdefault(uid, []).append(Served(min(start, event.t_ns), None))
        for uid in before - after:
            self._stretches[uid][-1] = self._stretches[uid][-1]._replace(to_ns=event.t_ns)

    def stretches(self, uid: str) -> tuple[Served, ...]:
        """Return the stretches in which a pod was a ready endpoint."""
        return tuple(self._stretches.get(uid, ()))

    def _union(self) -> set[str]:
        return set().union(*self._inside.values()) if self._inside else set()


def _takes_traffic(endpoint: dict[str, Any]) -> bool:
    """Unknown conditions count as Kubernetes has it: ready unless said otherwise, not terminating."""
    conditions = endpoint.get("conditions") or {}
    return conditions.get("ready") is not False and conditions.get("terminating") is not True


def _whose(endpoint: dict[str, Any], pods: dict[str, Pod]) -> list[str]:
    ref = endpoint.get("targetRef") or {}
    if ref.get("uid"):
        return [ref["uid"]]
    if ref.get("name"):
        return [pod.uid for pod in pods.values() if pod.name == ref["name"] and pod.gone_ns is None][-1:]
    addresses = set(endpoint.get("addresses") or [])
    return [pod.uid for pod in pods.values() if pod.address in addresses and pod.gone_ns is None][-1:]


class Pod:
    """A lifeline in the making."""

    def __init__(self, name: str, uid: str, services: Sequence[dict[str, Any]]) -> None:
        self.name, self.uid, self.address, self.node = name, uid, "", ""
        self._services = services
        self.spec: PodSpec | None = None
        self.owners: set[str] = set()
        self.hashes: set[str] = set()
        self.created_ns: int | None = None
        self.started_ns: int | None = None
        self.ready_ns: int | None = None
        self.deleted_ns: int | None = None
        self.exited_ns: int | None = None
        self.ended_ns: int | None = None
        self.gone_ns: int | None = None
        self.exit: tuple[int, str] | None = None
        self.restarts = 0
        self.missed = False
        self.size = Resizing()
        self.endings = Endings()
        self.unready_ns: int | None = None
        self.notes: list[PodNote] = []

    def see(self, event: ClusterEvent, offset_ns: int, of_node: Mapping[str, int]) -> None:
        """Take in the pod as it is now."""
        meta = event.object.get("metadata") or {}
        status = event.object.get("status") or {}
        spec = event.object.get("spec") or {}
        listed = event.change == "LISTED" or event.missed

        def mapped(stamp: object, away_ns: int) -> int | None:
            stamp_ns = since_epoch_ns(stamp)
            return None if stamp_ns is None else min(stamp_ns - away_ns, event.t_ns)

        def local(stamp: object) -> int | None:
            return mapped(stamp, of_node.get(self.node, offset_ns))

        self.missed |= event.missed
        self.address = status.get("podIP") or self.address
        self.node = spec.get("nodeName") or self.node
        self.owners |= {owner["uid"] for owner in meta.get("ownerReferences") or [] if owner.get("uid")}
        labels = meta.get("labels") or {}
        self.hashes |= {
            labels[key] for key in (HASH, "pod-template-hash", "controller-revision-hash") if labels.get(key)
        }
        if self.spec is None and spec:
            self.spec = pod_spec(spec, self._services)
        self.size.see(spec, event.t_ns)
        if self.created_ns is None:
            stamp_ns = mapped(meta.get("creationTimestamp"), offset_ns)
            self.created_ns = stamp_ns if listed and stamp_ns is not None else event.t_ns
        if self.deleted_ns is None and meta.get("deletionTimestamp"):
            stamp_ns = since_epoch_ns(
                meta["deletionTimestamp"]
            )  # lies in the future: not to be clipped to now
            grace_ns = int(meta.get("deletionGracePeriodSeconds") or 0) * NS
            # Mapped seconds lie at most 1 s too early: where we heard of it later than that, we heard of it late.
            latest = (
                event.t_ns if stamp_ns is None else stamp_ns - offset_ns - grace_ns + (0 if listed else NS)
            )
            self.deleted_ns = min(latest, event.t_ns)
        ready: dict[str, Any] = next(
            (c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {}
        )
        if self.ready_ns is None and ready.get("status") == "True":
            stamp_ns = local(ready.get("lastTransitionTime"))
            self.ready_ns = stamp_ns if listed and stamp_ns is not None else event.t_ns
        if self.unready_ns is None and self.deleted_ns is not None and ready.get("status") == "False":
            self.unready_ns = event.t_ns
        self._containers(status.get("containerStatuses") or [], event.t_ns, local)
        if event.change == "DELETED":
            self.gone_ns = event.t_ns
            if self.deleted_ns is None:  # grace 0, or all of its end fell into a gap
                self.deleted_ns = event.t_ns

    def _containers(
        self, containers: list[dict[str, Any]], t_ns: int, mapped: Callable[[object], int | None]
    ) -> None:
        self.restarts = max(self.restarts, sum(int(c.get("restartCount") or 0) for c in containers))
        self.endings.see(containers, t_ns, mapped)
        # What is sent to the pod lives and dies with the container that serves it; a sidecar may end before or after.
        serving = self.spec.container if self.spec else ""
        every = [c.get("state") or {} for c in containers]
        states = [c.get("state") or {} for c in containers if c.get("name") == serving] or every
        if self.started_ns is None:
            stamp_ns = [mapped(s["running"].get("startedAt")) for s in states if s.get("running") is not None]
            stamp_ns += [mapped(s["terminated"].get("startedAt")) for s in states if s.get("terminated")]
            if stamp_ns:
                first = min((t for t in stamp_ns if t is not None), default=t_ns)
                self.started_ns = first if self.created_ns is None else max(first, min(self.created_ns, t_ns))
        exited_ns = self._ended(states, t_ns, mapped)
        if exited_ns is not None:
            worst = max((s["terminated"] for s in states), key=lambda end: int(end.get("exitCode") or 0))
            self.exited_ns = exited_ns
            self.exit = (int(worst.get("exitCode") or 0), str(worst.get("reason") or ""))
        elif any(s.get("running") is not None for s in states):
            self.exited_ns, self.exit = None, None  # it was restarted
        self.ended_ns = self._ended(every, t_ns, mapped)

    def _ended(
        self, states: list[dict[str, Any]], t_ns: int, mapped: Callable[[object], int | None]
    ) -> int | None:
        """Return when the last of these containers exited; None while one has not."""
        ends = [s["terminated"] for s in states if s.get("terminated")]
        if not ends or len(ends) < len(states):
            return None
        last = max(t_ns if (m := mapped(end.get("finishedAt"))) is None else m for end in ends)
        if self.deleted_ns is not None and self.deleted_ns > last:  # a mapped second may lie too early
            return min(self.deleted_ns, last + NS)
        return last

    def note(self, event: ClusterEvent, offset_ns: int) -> None:
        """Take in an Event about the pod; the first of each reason counts."""
        stamp_ns = since_epoch_ns(event.object.get("firstTimestamp"))
        t_ns = (
            event.t_ns
            if stamp_ns is None or event.change == "ADDED"
            else min(stamp_ns - offset_ns, event.t_ns)
        )
        reason = str(event.object.get("reason") or "")
        if all(note.reason != reason for note in self.notes):
            self.notes.append(PodNote(t_ns, reason, str(event.object.get("message") or "")))

    def lifeline(self, stretches: tuple[Served, ...], *, old: bool) -> Lifeline:
        """Return what is known by now."""
        killing = next((note.t_ns for note in self.notes if note.reason == "Killing"), None)
        return Lifeline(
            name=self.name,
            uid=self.uid,
            old=old,
            address=self.address,
            node=self.node,
            spec=self.spec or PodSpec(),
            created_ns=self.created_ns,
            started_ns=self.started_ns,
            ready_ns=self.ready_ns,
            in_endpoints_ns=stretches[0].from_ns if stretches else None,
            deleted_ns=self.deleted_ns,
            killing_ns=killing,
            out_of_endpoints_ns=stretches[-1].to_ns if stretches else None,
            exited_ns=self.exited_ns,
            ended_ns=self.ended_ns,
            gone_ns=self.gone_ns,
            exit_code=self.exit[0] if self.exit else None,
            exit_reason=self.exit[1] if self.exit else "",
            restarts=self.restarts,
            missed=self.missed,
            endpoints=stretches,
            notes=tuple(self.notes),
            resized_ns=self.size.resized_ns,
            resized=self.size.resized,
            unready_ns=self.unready_ns,
            endings_ns=self.endings.moments_ns,
        )
