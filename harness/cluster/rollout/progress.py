"""How far is the rollout, which pods still have to go, and is it over? Pure.

Done is kubectl's rule (k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go), and then more:
`kubectl rollout status` leaves out pods that are being deleted, and those are the ones that lose requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.cluster.rollout.view import Baseline, View, is_going, is_ready, own, restart_at
from harness.cluster.rollout.wanted import strayed, template_of
from harness.k8s import argo

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """What `kubectl rollout status` would say. `failed` is Kubernetes' reason, "" while there is hope."""

    done: bool
    message: str
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands."""

    status: Status
    old_pods: int  # pods that are to go and still exist, terminating ones included
    new_pods: int
    ready_pods: int
    enough: bool  # as many ready pods as are wanted, and no other that stays
    endpoints_settled: bool
    changed: str = ""  # the template is not the one that the change led to: what it looks like
    deleted: bool = False  # the workload was
    at_rest: bool = False  # no pod comes or goes, and the endpoints have followed, whatever is still to come

    @property
    def over(self) -> bool:
        """Done for kubectl, no old or surplus pod left, and no endpoint old, terminating or missing."""
        return self.status.done and self.old_pods == 0 and self.enough and self.endpoints_settled


def progress(view: View, baseline: Baseline, kind: str) -> Progress:
    """Return how far the rollout is."""
    pods = own(view)
    known = {ref.uid for ref in baseline.old_pods}
    # A pod of the new template that somebody ends, or replaces by a newer one, has to be gone as well.
    going = {uid for uid, pod in pods.items() if is_going(pod)}
    old = leaving(view, baseline) | going
    if view.deleted:
        status = Status(done=False, message="the workload was deleted")
    else:
        status = kubectl_status(kind, view.workload, baseline.generation)
    ready = {uid for uid, pod in pods.items() if is_ready(pod) and not is_going(pod)}
    wanted = 0 if kind == "DaemonSet" else int(view.workload.get("spec", {}).get("replicas", 1))
    staying = sum(not is_going(pod) for pod in pods.values())
    return Progress(
        status=status,
        old_pods=len(old & pods.keys()),
        new_pods=len(pods.keys() - known),
        ready_pods=len(ready),
        enough=kind == "DaemonSet" or len(ready) >= wanted >= staying,
        endpoints_settled=_endpoints_settled(view, old, ready),
        changed=strayed(view.workload, baseline),
        deleted=view.deleted,
        at_rest=(not pods if view.deleted else len(ready) == len(pods))
        and _endpoints_settled(view, going, ready),
    )


def leaving(view: View, baseline: Baseline) -> set[str]:
    """Return the uids of the pods that have to go: all old ones when the template changed, else those that do go."""
    spec = view.workload.get("spec", {})
    if template_of(view.workload) != baseline.template_before:
        stay = _partition(spec)
        return {ref.uid for ref in baseline.old_pods if not (stay and _ordinal(ref.name) < stay)}
    if restart_at(view.workload) != baseline.restart_at:
        return {ref.uid for ref in baseline.old_pods}
    return set(baseline.doomed) | {uid for uid, pod in own(view).items() if is_going(pod)}


def _partition(spec: Object) -> int:
    """Return the ordinal below which a StatefulSet's pods keep their template."""
    return int(((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0)


def _ordinal(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def first_sign(view: View, baseline: Baseline) -> str:
    """Return the first sign of a change: "deleted", "template", "restart" (an Argo Rollout's), "size" (of the
    workload), "pod" (an old one goes), or "" for nothing yet.

    Not by the generation: a Deployment's grows with every annotation of its own
    (pkg/registry/apps/deployment/strategy.go).
    """
    if view.deleted:
        return "deleted"
    spec = view.workload.get("spec", {})
    if template_of(view.workload) != baseline.template_before:
        return "template"
    if restart_at(view.workload) != baseline.restart_at:
        return "restart"
    if spec.get("replicas") != baseline.replicas:
        return "size"
    going = any(ref.uid not in view.pods or is_going(view.pods[ref.uid]) for ref in baseline.old_pods)
    return "pod" if going else ""


def an_autoscaler_s(view: View, baseline: Baseline) -> bool:
    """Tell whether an autoscaler changed the number of replicas."""
    size = view.workload.get("spec", {}).get("replicas")
    return size != baseline.replicas and size in view.rescaled


def kubectl_status(kind: str, obj: Object, generation: int = 0) -> Status:
    """Apply kubectl's rule for this kind, or Argo's for its own.

    `generation` is that of our own change, which must have been observed.
    """
    if kind == argo.KIND:
        now = argo.standing(obj, generation)
        return Status(done=now.phase == argo.HEALTHY, message=now.message or "Healthy", failed=now.failed)
    metadata, spec, status = obj.get("metadata", {}), obj.get("spec", {}), obj.get("status", {})
    observed = int(status.get("observedGeneration") or 0)
    if max(generation, int(metadata.get("generation") or 0)) > observed:
        return Status(done=False, message="waiting for the change to be observed")
    rule = {"Deployment": _deployment, "StatefulSet": _statefulset, "DaemonSet": _daemonset}[kind]
    return rule(spec, {k: v for k, v in status.items() if v is not None})


def _deployment(spec: Object, status: Object) -> Status:
    for condition in status.get("conditions", []):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Status(done=False, message=condition.get("message", ""), failed="ProgressDeadlineExceeded")
    wanted, updated = int(spec.get("replicas", 1)), int(status.get("updatedReplicas", 0))
    total, available = int(status.get("replicas", 0)), int(status.get("availableReplicas", 0))
    if updated < wanted:
        return Status(done=False, message=f"{updated} of {wanted} new replicas have been updated")
    if total > updated:
        return Status(done=False, message=f"{total - updated} old replicas are pending termination")
    if available < updated:
        return Status(done=False, message=f"{available} of {updated} updated replicas are available")
    return Status(done=True, message="successfully rolled out")


def _statefulset(spec: Object, status: Object) -> Status:
    wanted = int(spec.get("replicas", 1))
    partition = _partition(spec)
    ready, updated = int(status.get("readyReplicas", 0)), int(status.get("updatedReplicas", 0))
    if ready < wanted:
        return Status(done=False, message=f"{ready} of {wanted} pods are ready")
    if updated < wanted - partition:
        return Status(done=False, message=f"{updated} of {wanted - partition} new pods have been updated")
    return Status(done=True, message="successfully rolled out")


def _daemonset(_spec: Object, status: Object) -> Status:
    wanted = int(status.get("desiredNumberScheduled", 0))
    updated, available = int(status.get("updatedNumberScheduled", 0)), int(status.get("numberAvailable", 0))
    if updated < wanted:
        return Status(done=False, message=f"{updated} of {wanted} new pods have been updated")
    if available < wanted:
        return Status(done=False, message=f"{available} of {wanted} updated pods are available")
    return Status(done=True, message="successfully rolled out")


def _endpoints_settled(view: View, old: set[str], ready: set[str]) -> bool:
    endpoints = [e for s in view.slices.values() for e in s.get("endpoints", [])]
    there = {e.get("targetRef", {}).get("uid") for e in endpoints}
    serving = {
        e.get("targetRef", {}).get("uid") for e in endpoints if e.get("conditions", {}).get("ready", True)
    }
    going = any(e.get("conditions", {}).get("terminating") for e in endpoints)
    # A Service without a selector, or no Service at all, has no endpoints of ours to wait for.
    return not (old & there) and not going and (not endpoints or ready <= serving)
