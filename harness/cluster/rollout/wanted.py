"""Which pod template does the change lead to, and has anybody changed it again since? Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cluster.rollout.view import Baseline, pods_of, restart_at, revisions

if TYPE_CHECKING:
    from harness.cluster.rollout.view import View

Object = dict[str, Any]


def template_of(workload: Object) -> Object:
    """Return the pod template, {} where nothing is known of the workload."""
    found: Object = workload.get("spec", {}).get("template", {})
    return found


def as_it_is(view: View, *, keeps: bool, foreign: bool) -> Baseline:
    """Return the workload as it is now. `keeps`: the change to come leaves the template alone; `foreign`: it is not
    ours.
    """
    pods, now = pods_of(view), view.workload
    hashes = revisions(view, {pod.uid for pod in pods}, inside=True)
    return Baseline(
        old_pods=pods,
        old_revision=hashes[0] if hashes else "",
        template_before=template_of(now),
        template=template_of(now) if keeps else {},
        foreign=foreign,
        generation=int(now.get("metadata", {}).get("generation") or 0),
        replicas=now.get("spec", {}).get("replicas"),
        restart_at=restart_at(now),
    )


def wanting(baseline: Baseline, workload: Object, *, may_come: bool) -> Baseline:
    """Return the baseline with the template that the change leads to, once that is known.

    It is the first that differs from the one before; if none has come and none may come any more, the one before.
    """
    now = template_of(workload)
    if baseline.template or not now or (may_come and now == baseline.template_before):
        return baseline
    generation = int(workload.get("metadata", {}).get("generation") or 0)
    return replace(baseline, template=now, generation=generation)


def strayed(workload: Object, baseline: Baseline) -> str:
    """Say how the template differs from the one that the change leads to, or "".

    Scaling leaves the template alone: an autoscaler at work is no reason to call a run off.
    """
    if (
        not baseline.template
        or int(workload.get("metadata", {}).get("generation") or 0) <= baseline.generation
    ):
        return ""
    wanted, now = baseline.template, template_of(workload)
    if wanted == now:
        return ""
    kept = now.get("metadata", {}).get("annotations", {})
    gone = sorted(wanted.get("metadata", {}).get("annotations", {}).keys() - kept.keys())
    same = wanted.get("digest") == now.get("digest") and wanted.get("spec") == now.get("spec")
    if gone and same:
        return f"the annotation {gone[0]} was taken away again (a GitOps controller does that)"
    if now == baseline.template_before:
        what = "changed back to what it was"
    else:
        what = "changed again" if baseline.foreign else "changed"
    return f"the pod template was {what}{'' if baseline.foreign else ' by somebody else'}"
