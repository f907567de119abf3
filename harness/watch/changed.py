"""What somebody changed, in words, and which changes came while nobody watched. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cluster.rollout.hands import writer
from harness.cluster.rollout.wanted import template_of

if TYPE_CHECKING:
    from harness.cluster.rollout.view import View

Object = dict[str, Any]
_REVISION = "deployment.kubernetes.io/revision"
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
NOTE = "the change: "  # how the note about it begins


def in_words(before: Object, view: View) -> str:
    """Say what was changed, and by whom where that is known: "kubectl-set changed the image of web to web:3"."""
    after = view.workload
    if view.deleted:
        return "the workload was deleted"
    who = writer(before, after)
    if template_of(before) != template_of(after):
        return f"{who or 'somebody'} {_template(template_of(before), template_of(after))}"
    was, now = (obj.get("spec", {}).get("replicas") for obj in (before, after))
    if was != now:
        by = "an autoscaler" if now in view.rescaled else who or "somebody"
        return f"{by} scaled it from {was} to {now} replicas"
    return "a pod went while the workload stayed as it was"


def is_deploy(before: Object, view: View) -> bool:
    """Tell whether the pods' template was changed: a change of size, or a pod that goes, is no deploy."""
    return template_of(before) != template_of(view.workload)


def _template(before: Object, after: Object) -> str:
    was, now = _images(before), _images(after)
    images = [f"the image of {name} to {now[name]}" for name in now if was.get(name) != now[name]]
    if images:
        return f"changed {' and '.join(images)}"
    old, new = (one.get("metadata", {}).get("annotations") or {} for one in (before, after))
    if old.get(_RESTARTED_AT) != new.get(_RESTARTED_AT):
        return "restarted it"
    return "changed the pod template"


def _images(template: Object) -> dict[str, str]:
    containers = template.get("spec", {}).get("containers") or []
    return {str(one.get("name")): str(one.get("image")) for one in containers}


def revision(workload: Object) -> str:
    """Return what Kubernetes numbers or names a workload's templates by; "" where it tells none.

    A Deployment's is a number that grows with each template; a StatefulSet's is a name made from it.
    """
    annotations = workload.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(_REVISION) or workload.get("status", {}).get("updateRevision") or "")


def following(revision: str) -> str:
    """Return the revision that another template makes of this one; "" where it cannot be foretold."""
    return str(int(revision) + 1) if re.fullmatch(r"\d{1,9}", revision) else ""


@dataclass(frozen=True, slots=True)
class Missed:
    """Deploys that nobody saw: how many at least, between which revisions, and why."""

    service: str
    count: int
    before: str
    after: str
    why: str
    until: str  # when the watch saw again, UTC


def missed(before: str, after: str) -> int:
    """Return how many deploys at least lie between two revisions."""
    if not before or not after or before == after:
        return 0
    if re.fullmatch(r"\d{1,9}", before) and re.fullmatch(r"\d{1,9}", after):
        return max(1, int(after) - int(before))
    return 1
