"""The same object as another version of its API shows it. What is stored is of the newest version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.lab.resources import BY_KIND

if TYPE_CHECKING:
    from harness.lab.resources import Resource

Object = dict[str, Any]


def outward(item: Object, resource: Resource) -> Object:
    """Return a stored object as `resource`'s version has it."""
    if item.get("apiVersion") == resource.api_version or item.get("kind") != resource.kind:
        return item
    item = {**item, "apiVersion": resource.api_version}
    if resource.kind == "EndpointSlice":
        item["endpoints"] = [_old_endpoint(endpoint) for endpoint in item.get("endpoints") or ()] or None
    return item


def _old_endpoint(endpoint: Object) -> Object:
    """discovery.k8s.io/v1beta1 as 1.20 fills it in: the node in the topology, no condition but ready."""
    kept = {key: value for key, value in endpoint.items() if key not in {"nodeName", "conditions"}}
    conditions = {"ready": endpoint["conditions"].get("ready")}
    return {
        **kept,
        "conditions": conditions,
        "topology": {"kubernetes.io/hostname": endpoint.get("nodeName", "")},
    }


def inward(item: Object, resource: Resource) -> Object:
    """Return an object that came in `resource`'s version as it is stored."""
    return {**item, "apiVersion": BY_KIND[resource.kind].api_version} if resource.kind in BY_KIND else item
