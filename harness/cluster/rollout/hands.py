"""What did somebody else change while a rollout was under way, and who was it? Pure: the caller passes the events.

Who is the field manager whose entry in metadata.managedFields is new or has a newer time
(kubernetes.io/docs/reference/using-api/server-side-apply/#field-management). A deletion leaves no such entry.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cluster.rollout.podends import TOLD_NS, PodEnds
from harness.cluster.rollout.wanted import template_of
from harness.model import OtherChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.cluster.rollout.view import Baseline, View
    from harness.model import ClusterEvent

Object = dict[str, Any]

_AUTOSCALER = "an autoscaler"
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_SERVICE = "kubernetes.io/service-name"


class Hands:
    """Sees the events of one rollout go by, and tells of each change that is not part of it."""

    def __init__(
        self, view: View, baseline: Baseline, *, ours: str = "", after: Object | None = None
    ) -> None:
        """Begin with the workload `after` our change. `ours` is a field manager that is nobody else: our claim's."""
        self._view = view
        self._ours = ours
        self._pods = PodEnds(view, baseline.doomed)
        self._template = baseline.template
        self._size = baseline.size
        self._paused = False
        self._last: Object = after or view.workload
        self._deleted = False
        self._services = {_service(one) for one in view.slices.values()} - {""}
        self._without: dict[str, int] = {}  # Service -> since when it has had no slice

    def see(self, event: ClusterEvent, baseline: Baseline, *, own_tool: bool) -> Iterator[OtherChange]:
        """Take in an event that the view has taken in already.

        `own_tool`: the trigger's own command is at work, so that a change of size, a pause or a pod's end is its doing.
        """
        yield from self.look(event.t_ns, baseline, own_tool=own_tool)
        if event.kind == "EndpointSlice":
            self._slice(event)
        changes = list(self._pods.see(event))
        if not _of_the_change(baseline, own_tool=own_tool):
            yield from changes

    def tick(self, now_ns: int, baseline: Baseline, *, own_tool: bool) -> Iterator[OtherChange]:
        """Let time pass: what nothing has explained by now was somebody's doing."""
        changes = list(self._pods.tick(now_ns))
        if not _of_the_change(baseline, own_tool=own_tool):
            yield from changes
        for service, since_ns in list(self._without.items()):
            if now_ns >= since_ns + TOLD_NS:
                del self._without[service]
                self._services.discard(service)
                if not own_tool:
                    yield OtherChange(since_ns, "service_deleted", f"deleted the Service {service}")

    def look(self, t_ns: int, baseline: Baseline, *, own_tool: bool) -> Iterator[OtherChange]:
        """Compare the workload with how it was last seen."""
        now = self._view.workload
        if self._view.deleted:
            if not self._deleted:
                self._deleted = True
                yield OtherChange(t_ns, "deleted", "deleted the workload")
            return
        if not now or int(now.get("metadata", {}).get("generation") or 0) < baseline.generation:
            return  # from before our change
        who, spec = writer(self._last, now, self._ours), now.get("spec", {})
        if baseline.template:
            known = self._template or baseline.template
            if template_of(now) != known:
                what, kind = _template_change(known, template_of(now), baseline)
                yield OtherChange(t_ns, kind, what, who)
            self._template = template_of(now)
        size, paused = spec.get("replicas"), bool(spec.get("paused"))
        if self._size is not None and size is not None and size != self._size and not own_tool:
            yield self._scaling(t_ns, self._size, size, now)
        if paused != self._paused and not own_tool:
            word = "paused" if paused else "resumed"
            yield OtherChange(t_ns, word, f"{word} the rollout", who)
        self._size, self._paused = size, paused
        self._last = now

    def renamed(self, change: OtherChange) -> OtherChange:
        """Return a change of size as an autoscaler's, where its Event has come since; any other as it is."""
        if change.kind == "scaled" and _new_size(change) in self._view.rescaled:
            return replace(change, kind="autoscaled", who=_AUTOSCALER)
        return change

    def _scaling(self, t_ns: int, before: int, after: int, now: Object) -> OtherChange:
        entry = _writing(self._last, now, self._ours)
        # A HorizontalPodAutoscaler writes through the scale subresource, as part of kube-controller-manager.
        by_controller = (entry.get("manager"), entry.get("subresource")) == (
            "kube-controller-manager",
            "scale",
        )
        change = OtherChange(
            t_ns, "scaled", f"scaled it from {before} to {after} replicas", entry.get("manager", "")
        )
        return replace(change, kind="autoscaled", who=_AUTOSCALER) if by_controller else self.renamed(change)

    def _slice(self, event: ClusterEvent) -> None:
        service = _service(event.object)
        left = {_service(one) for one in self._view.slices.values()}
        if service in left:
            self._services.add(service)
            self._without.pop(service, None)
        elif service in self._services:
            self._without.setdefault(service, event.t_ns)


def _of_the_change(baseline: Baseline, *, own_tool: bool) -> bool:
    """Whether pods that go may be the change itself: where it is not our own, and leaves the template alone."""
    return own_tool or (baseline.foreign and baseline.template in ({}, baseline.template_before))


def writer(before: Object, after: Object, ours: str = "") -> str:
    """Return the field manager, other than `ours`, that wrote between two states of a workload; "" where nothing
    tells.
    """
    return str(_writing(before, after, ours).get("manager") or "")


def _writing(before: Object, after: Object, ours: str) -> Object:
    known = {_key(entry): entry.get("time") for entry in _entries(before)}
    entries = [
        entry
        for entry in _entries(after)
        if entry.get("subresource") != "status" and entry.get("manager") != ours
    ]
    fresh = [entry for entry in entries if known.get(_key(entry), "?") != entry.get("time")]
    # None is new where a write only took fields away, or two of one manager came within a second: then nothing tells.
    return max(fresh, key=lambda entry: str(entry.get("time") or ""), default={})


def _entries(workload: Object) -> list[Object]:
    found: list[Object] = workload.get("metadata", {}).get("managedFields") or []
    return found


def _key(entry: Object) -> tuple[str, str, str]:
    return tuple(  # type: ignore[return-value]
        str(entry.get(name) or "") for name in ("manager", "operation", "subresource")
    )


def _template_change(before: Object, after: Object, baseline: Baseline) -> tuple[str, str]:
    """Say how a template was changed, and of which kind the change is."""
    if after == baseline.template_before:
        gone = sorted(_annotations(before).keys() - _annotations(after).keys())
        less = f" (without the annotation {gone[0]})" if gone else ""
        return f"changed the pod template back to what it was{less}", "undone"
    old, new = _annotations(before), _annotations(after)
    if before.get("digest") == after.get("digest") and before.get("spec") == after.get("spec"):
        if gone := sorted(old.keys() - new.keys()):
            return f"took the annotation {gone[0]} away again", "template"
        if old.get(_RESTARTED_AT) != new.get(_RESTARTED_AT):
            return "restarted it once more", "template"
        return "changed labels or annotations of the pods", "template"
    was, now = _images(before), _images(after)
    changed = [f"the image of {name} to {now[name]}" for name in now if was.get(name) != now[name]]
    if changed and was.keys() == now.keys():
        return f"changed {' and '.join(changed)}", "template"
    return "changed the pod template", "template"


def _annotations(template: Object) -> Object:
    found: Object = template.get("metadata", {}).get("annotations") or {}
    return found


def _images(template: Object) -> dict[str, str]:
    containers = template.get("spec", {}).get("containers") or []
    return {str(c.get("name")): str(c.get("image")) for c in containers}


def _service(one: Object) -> str:
    return str((one.get("metadata", {}).get("labels") or {}).get(_SERVICE) or "")


def _new_size(change: OtherChange) -> int:
    return int(change.what.split()[-2])
