"""Which kinds the lab's API server knows, and the discovery documents that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0+zdtest.lab",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.24",
    "compiler": "gc",
    "platform": "linux/amd64",
}

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API names it. `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False  # has a status subresource
    scale: bool = False
    generation: bool = False  # metadata.generation counts changes of spec
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """As `apiVersion` has it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """As kubectl lets one type it."""
        return self.kind.lower()


RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "namespaces", "Namespace", ("ns",), namespaced=False, status=True),
    Resource("", "v1", "nodes", "Node", ("no",), namespaced=False, status=True),
    Resource("", "v1", "pods", "Pod", ("po",), status=True, categories=("all",)),
    Resource("", "v1", "services", "Service", ("svc",), status=True, categories=("all",)),
    Resource("", "v1", "endpoints", "Endpoints", ("ep",)),
    Resource("", "v1", "events", "Event", ("ev",)),
    Resource("", "v1", "configmaps", "ConfigMap", ("cm",)),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", ("sa",)),
    Resource(
        "apps",
        "v1",
        "deployments",
        "Deployment",
        ("deploy",),
        status=True,
        scale=True,
        generation=True,
        categories=("all",),
    ),
    Resource(
        "apps",
        "v1",
        "replicasets",
        "ReplicaSet",
        ("rs",),
        status=True,
        scale=True,
        generation=True,
        categories=("all",),
    ),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", generation=True),
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress", ("ing",), status=True, generation=True),
    Resource(
        "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ("pdb",), status=True, generation=True
    ),
)

# Kinds of which nothing is stored: a review is answered and forgotten.
REVIEWS: tuple[Resource, ...] = (
    Resource(
        "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
    ),
    Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False),
)

BY_KIND: dict[str, Resource] = {resource.kind: resource for resource in RESOURCES}
BY_PATH: dict[tuple[str, str, str], Resource] = {
    (resource.group, resource.version, resource.plural): resource for resource in (*RESOURCES, *REVIEWS)
}


def groups() -> dict[str, list[str]]:
    """Return the versions of each named group, the core group left out."""
    found: dict[str, list[str]] = {}
    for resource in (*RESOURCES, *REVIEWS):
        if resource.group and resource.version not in found.setdefault(resource.group, []):
            found[resource.group].append(resource.version)
    return found


def document(steps: list[str], server: str) -> dict[str, Any]:
    """Answer a discovery path, given by its steps; KeyError when there is no such document."""
    match steps:
        case ["version"]:
            return VERSION
        case ["api"]:
            return api_versions(server)
        case ["apis"]:
            return api_group_list()
        case ["apis", group]:
            return api_group(group)
        case ["api", version]:
            return api_resource_list("", version)
        case ["apis", group, version]:
            return api_resource_list(group, version)
        case _:
            raise KeyError("/".join(steps))


def api_versions(server: str) -> dict[str, Any]:
    """Answer GET /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    }


def api_group(name: str) -> dict[str, Any]:
    """Answer GET /apis/<name>; KeyError when there is none."""
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in groups()[name]]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def api_group_list() -> dict[str, Any]:
    """Answer GET /apis."""
    members = [
        {k: v for k, v in api_group(name).items() if k not in {"kind", "apiVersion"}} for name in groups()
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": members}


def api_resource_list(group: str, version: str) -> dict[str, Any]:
    """Answer GET /api/v1 and /apis/<group>/<version>; KeyError when there is none."""
    members = [r for r in (*RESOURCES, *REVIEWS) if (r.group, r.version) == (group, version)]
    if not members:
        raise KeyError(group)
    listed = [entry for resource in members for entry in _entries(resource)]
    version_name = members[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version_name, "resources": listed}


def _entries(resource: Resource) -> list[dict[str, Any]]:
    stored = resource in RESOURCES
    first: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_VERBS) if stored else ["create"],
    }
    if resource.short:
        first["shortNames"] = list(resource.short)
    if resource.categories:
        first["categories"] = list(resource.categories)
    entries = [first]

    def add(name: str, kind: str, verbs: list[str], **more: str) -> None:
        entries.append(
            {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": verbs,
                **more,
            }
        )

    if resource.status:
        add("status", resource.kind, ["get", "patch", "update"])
    if resource.scale:
        add("scale", "Scale", ["get", "patch", "update"], group="autoscaling", version="v1")
    if resource.kind == "Pod":
        add("log", "Pod", ["get"])
        add("eviction", "Eviction", ["create"], group="policy", version="v1")
    return entries
