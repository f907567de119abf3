"""Tables for `kubectl get`: the server-side columns of each kind (meta.k8s.io/v1 Table)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

_COLUMNS: dict[str, tuple[str, ...]] = {
    "Pod": ("Ready", "Status", "Restarts", "Age", "IP*", "Node*", "Nominated Node*", "Readiness Gates*"),
    "Deployment": ("Ready", "Up-to-date", "Available", "Age", "Containers*", "Images*", "Selector*"),
    "ReplicaSet": ("Desired", "Current", "Ready", "Age", "Containers*", "Images*", "Selector*"),
    "StatefulSet": ("Ready", "Age", "Containers*", "Images*"),
    "DaemonSet": ("Desired", "Current", "Ready", "Up-to-date", "Available", "Age"),
    "ControllerRevision": ("Controller", "Revision", "Age"),
    "PodDisruptionBudget": ("Min Available", "Max Unavailable", "Allowed Disruptions", "Age"),
    "Service": ("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector*"),
    "Endpoints": ("Endpoints", "Age"),
    "EndpointSlice": ("AddressType", "Ports", "Endpoints", "Age"),
    "Event": ("Last Seen", "Type", "Reason", "Object", "Message"),
    "Namespace": ("Status", "Age"),
    "Node": ("Status", "Roles", "Age", "Version"),
    "ConfigMap": ("Data", "Age"),
    "Secret": ("Type", "Data", "Age"),
    "Role": ("Created At",),
    "ClusterRole": ("Created At",),
    "RoleBinding": ("Role", "Age", "Users*", "Groups*", "ServiceAccounts*"),
    "ClusterRoleBinding": ("Role", "Age", "Users*", "Groups*", "ServiceAccounts*"),
}


_DAEMON = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def table(kind: str, items: list[Object], rv: str, include: str, *, header: bool = True) -> Object:
    """Return a Table of objects of one kind. `include` is the query's includeObject (None, Metadata, Object)."""
    names = _COLUMNS.get(kind, ("Age",))
    columns = [{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}]
    columns += [
        {
            "name": name.rstrip("*"),
            "type": "string",
            "format": "",
            "description": "",
            "priority": 1 if name.endswith("*") else 0,
        }
        for name in names
    ]
    rows = [
        {"cells": [item["metadata"]["name"], *_cells(kind, item)], "object": _row_object(item, include)}
        for item in items
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": rv},
        "columnDefinitions": columns if header else [],
        "rows": rows,
    }


def _row_object(item: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return item
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def age(text: str | None) -> str:
    """Return how long ago a timestamp was, as kubectl writes it: 45s, 7m3s, 5h, 2d3h."""
    if not text:
        return "<unknown>"
    s = max(0, int((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()))
    if s < 120:
        return f"{s}s"
    if s < 600:
        return f"{s // 60}m{s % 60}s" if s % 60 else f"{s // 60}m"
    if s < 3 * 3600:
        return f"{s // 60}m"
    return f"{s // 3600}h" if s < 48 * 3600 else f"{s // 86400}d"


def _cells(kind: str, item: Object) -> list[Any]:
    old = age(item["metadata"].get("creationTimestamp"))
    make = _CELLS.get(kind)
    return make(item, old) if make else [old]


def _deployment(item: Object, old: str) -> list[Any]:
    spec, status = item["spec"], item.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}"
    return [
        ready,
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        old,
        *_template(spec),
    ]


def _replica_set(item: Object, old: str) -> list[Any]:
    spec, status = item["spec"], item.get("status") or {}
    counts = [spec.get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [*counts, old, *_template(spec)]


def _service(item: Object, old: str) -> list[Any]:
    spec = item["spec"]
    where = [spec.get("type"), spec.get("clusterIP", "<none>"), "<none>", _service_ports(spec)]
    return [*where, old, _equal(spec.get("selector"))]


def _slice(item: Object, old: str) -> list[Any]:
    addresses = [address for endpoint in item.get("endpoints") or () for address in endpoint["addresses"]]
    ports = [str(port.get("port")) for port in item.get("ports") or ()]
    return [item.get("addressType"), ",".join(ports) or "<unset>", _few(addresses) or "<unset>", old]


def _binding(item: Object, old: str) -> list[Any]:
    named: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in item.get("subjects") or ():
        space = f"{subject['namespace']}/" if subject.get("namespace") else ""
        named.setdefault(subject["kind"], []).append(space + subject["name"])
    ref = item["roleRef"]
    return [f"{ref['kind']}/{ref['name']}", old, *(", ".join(names) for names in list(named.values())[:3])]


def _event(item: Object, old: str) -> list[Any]:
    involved = item["involvedObject"]
    seen = item.get("lastTimestamp") or item.get("eventTime")
    name = f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"
    message = item.get("message", "").strip()
    return [age(seen) if seen else old, item.get("type"), item.get("reason"), name, message]


def _pod(item: Object, old: str) -> list[Any]:
    metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    containers = status.get("containerStatuses") or []
    reason = status.get("reason") or status.get("phase", "Unknown")
    for container in containers:
        state = container.get("state") or {}
        for key in ("waiting", "terminated"):
            if state.get(key, {}).get("reason"):
                reason = state[key]["reason"]
    if "deletionTimestamp" in metadata and status.get("phase") not in {"Succeeded", "Failed"}:
        reason = "Terminating"
    ready = (
        f"{sum(1 for container in containers if container.get('ready'))}/{len(spec.get('containers', ()))}"
    )
    restarts = sum(container.get("restartCount", 0) for container in containers)
    where = [status.get("podIP") or "<none>", spec.get("nodeName") or "<none>", "<none>", "<none>"]
    return [ready, reason, str(restarts), old, *where]


def _template(spec: Object) -> list[str]:
    containers = spec.get("template", {}).get("spec", {}).get("containers") or ()
    names = ",".join(container["name"] for container in containers)
    images = ",".join(container.get("image", "") for container in containers)
    return [names, images, _equal((spec.get("selector") or {}).get("matchLabels"))]


def _equal(pairs: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in (pairs or {}).items()) or "<none>"


def _service_ports(spec: Object) -> str:
    return (
        ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ())
        or "<none>"
    )


def _endpoints(item: Object) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in item.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    return _few(found) or "<none>"


def _few(items: list[str]) -> str:
    return ",".join(items[:3]) + (f" + {len(items) - 3} more..." if len(items) > 3 else "")


_CELLS: dict[str, Callable[[Object, str], list[Any]]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "StatefulSet": lambda item, old: [
        f"{item['status'].get('readyReplicas', 0)}/{item['spec'].get('replicas', 1)}",
        old,
        *_template(item["spec"])[:2],
    ],
    "DaemonSet": lambda item, old: [*(item["status"].get(key, 0) for key in _DAEMON), old],
    "ControllerRevision": lambda item, old: [
        f"{item['metadata']['ownerReferences'][0]['name']}",
        item.get("revision"),
        old,
    ],
    "PodDisruptionBudget": lambda item, old: [
        str(item["spec"].get("minAvailable", "N/A")),
        str(item["spec"].get("maxUnavailable", "N/A")),
        (item.get("status") or {}).get("disruptionsAllowed", 0),
        old,
    ],
    "ReplicaSet": _replica_set,
    "Service": _service,
    "Endpoints": lambda item, old: [_endpoints(item), old],
    "EndpointSlice": _slice,
    "Event": _event,
    "Namespace": lambda item, old: [(item.get("status") or {}).get("phase", "Active"), old],
    "Node": lambda item, old: [
        "Ready",
        "<none>",
        old,
        item["status"].get("nodeInfo", {}).get("kubeletVersion", ""),
    ],
    "ConfigMap": lambda item, old: [len(item.get("data") or ()) + len(item.get("binaryData") or ()), old],
    "Secret": lambda item, old: [item.get("type"), len(item.get("data") or ()), old],
    "Role": lambda item, _: [item["metadata"]["creationTimestamp"]],
    "ClusterRole": lambda item, _: [item["metadata"]["creationTimestamp"]],
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
}
