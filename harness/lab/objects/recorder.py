"""Writes core/v1 Events; a repeated one raises a count, as in Kubernetes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import timestamp
from harness.lab.objects.store import Object, Store, suffix

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = "zdtest-lab"


class Recorder:
    """Puts Events into the store. `now` may differ from the host's clock."""

    def __init__(self, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store, self._now = store, now
        self._names: dict[tuple[str, ...], str] = {}

    def record(
        self, about: Object, kind: str, reason: str, message: str, component: str, *, field: str = ""
    ) -> None:
        """Record an event about an object. The same event again raises the count."""
        space, uid = about["metadata"].get("namespace", "default"), about["metadata"]["uid"]
        key = (uid, kind, reason, message, component, field)
        now = timestamp(self._now())
        old = self._store.find("Event", space, self._names[key]) if key in self._names else None
        if old is not None:
            self._store.update({**old, "count": old["count"] + 1, "lastTimestamp": now})
            return
        event = self._event(about, kind, reason, message, field)
        host = {"host": NODE} if component == "kubelet" else {}
        event |= {
            "source": {"component": component, **host},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": NODE if component == "kubelet" else "",
        }
        self._names[key] = self._store.create(event)["metadata"]["name"]

    def scheduled(self, pod: Object) -> None:
        """Record a Scheduled event in the format of the newer recorder: an eventTime in microseconds, no count."""
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        event = self._event(pod, "Normal", "Scheduled", f"Successfully assigned {name} to {NODE}", "")
        event |= {
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "eventTime": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "action": "Binding",
            "reportingComponent": "default-scheduler",
            "reportingInstance": f"default-scheduler-{NODE}",
        }
        self._store.create(event)

    def _event(self, about: Object, kind: str, reason: str, message: str, field: str) -> dict[str, Any]:
        metadata = about["metadata"]
        involved = {
            "kind": about["kind"],
            "namespace": metadata.get("namespace", "default"),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if field:
            involved["fieldPath"] = field
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{suffix(16)}", "namespace": involved["namespace"]},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": kind,
        }
