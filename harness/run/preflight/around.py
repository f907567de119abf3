"""Lists what stands around a workload: whatever the server has and we may see. What is missing explains less."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from harness.cluster.client.answers import ApiStatusError
from harness.cluster.client.resources import Resource
from harness.cluster.permission.rbac import SURROUNDINGS
from harness.cluster.surroundings import concerns
from harness.k8s import gateway
from harness.run.preflight.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from harness.cluster.client.api import Api

Object = dict[str, Any]

_KINDS = {
    "ingresses": ("Ingress", ("v1", "v1beta1")),
    "poddisruptionbudgets": ("PodDisruptionBudget", ("v1", "v1beta1")),
    "horizontalpodautoscalers": ("HorizontalPodAutoscaler", ("v2", "v2beta2", "v1")),
    "targetgroupbindings": ("TargetGroupBinding", ("v1beta1",)),
    "httproutes": ("HTTPRoute", ("v1", "v1beta1")),
    "grpcroutes": ("GRPCRoute", ("v1", "v1alpha2")),
    "gateways": ("Gateway", ("v1", "v1beta1")),
    "referencegrants": ("ReferenceGrant", ("v1", "v1beta1")),
}
_ROUTES = ("httproutes", "grpcroutes")


def newest(groups: dict[str, list[str]], group: str, known: tuple[str, ...]) -> str | None:
    """Return the newest version of a group that both the server and we know."""
    return next((version for version in known if version in groups.get(group, [])), None)


def listed(api: Api, resource: Resource, namespace: str) -> list[Object]:
    """List objects as one would read them one by one: the items of a list carry neither kind nor apiVersion."""
    items = api.list_all(resource, namespace).get("items") or []
    return [{**item, "kind": resource.kind, "apiVersion": resource.api} for item in items]


def around(api: Api, groups: dict[str, list[str]], namespace: str) -> list[Object]:
    """List whatever of SURROUNDINGS there is: in a namespace, and of the Gateway API, what it leads to beyond it.

    A route in another namespace may send here, if a ReferenceGrant says so. A Gateway stands elsewhere, as a rule.
    """
    found: list[Object] = []
    for group, plural in SURROUNDINGS:
        found += _some(api, groups, group, plural, namespace)
    grants = [one for one in found if one["kind"] == "ReferenceGrant"]
    for other in sorted(gateway.granted_from(grants) - {namespace}):
        for plural in _ROUTES:
            found += _some(api, groups, gateway.GROUP, plural, other)
    routes = [one for one in found if one["kind"] in gateway.ROUTES]
    here = {(gateway.namespace_of(one), gateway.name_of(one)) for one in found if one["kind"] == "Gateway"}
    version = newest(groups, gateway.GROUP, _KINDS["gateways"][1])
    for where, name in sorted({parent for route in routes for parent in gateway.parents_of(route)} - here):
        with contextlib.suppress(ApiStatusError):
            resource = Resource("Gateway", gateway.GROUP, version or "v1", "gateways")
            found.append({**api.get(resource, where, name), "kind": "Gateway"})
    return found


def _some(api: Api, groups: dict[str, list[str]], group: str, plural: str, namespace: str) -> list[Object]:
    kind, known = _KINDS[plural]
    version = newest(groups, group, known)
    with contextlib.suppress(ApiStatusError):
        return listed(api, Resource(kind, group, version, plural), namespace) if version else []
    return []


def mine(
    objects: Iterable[Object],
    kind: str,
    name: str,
    labels: dict[str, str],
    namespace: str,
    services: Collection[str],
) -> tuple[Object, ...]:
    """Return those that concern a workload: a route by its Services, a Gateway by the routes that name it."""
    known = list(objects)
    found = [one for one in known if concerns(one, kind, name, labels, services, namespace)]
    named = {parent for one in found if one["kind"] in gateway.ROUTES for parent in gateway.parents_of(one)}
    found += [
        one
        for one in known
        if one["kind"] == "Gateway" and (gateway.namespace_of(one), gateway.name_of(one)) in named
    ]
    return tuple(found)


def routes(objects: Iterable[Object], method: str, headers: dict[str, str]) -> Routes:
    """Return what is known of the Gateway API, and of the request."""
    known = list(objects)
    return Routes(
        tuple(one for one in known if one["kind"] in gateway.ROUTES),
        tuple(one for one in known if one["kind"] == "Gateway"),
        tuple(one for one in known if one["kind"] == "ReferenceGrant"),
        method,
        {key.lower(): value for key, value in headers.items()},
    )
