"""The kinds that the lab's API server serves, and their discovery documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MINOR = 36  # the default Kubernetes version
OLD = 20

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind and its names in the API. `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False  # has a status subresource
    scale: bool = False
    generation: bool = False  # metadata.generation counts changes of spec
    since: int = 0  # the first minor version that has it
    until: int = 999  # the last one
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """The value of `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The singular name for kubectl."""
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
    Resource("apps", "v1", "controllerrevisions", "ControllerRevision"),
    Resource(
        "apps",
        "v1",
        "statefulsets",
        "StatefulSet",
        ("sts",),
        status=True,
        scale=True,
        generation=True,
        categories=("all",),
    ),
    Resource(
        "apps", "v1", "daemonsets", "DaemonSet", ("ds",), status=True, generation=True, categories=("all",)
    ),
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
    Resource(
        "argoproj.io", "v1alpha1", "rollouts", "Rollout", ("ro",), status=True, scale=True, generation=True
    ),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", generation=True, since=21),
    Resource("discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice", generation=True, until=24),
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress", ("ing",), status=True, generation=True),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
    Resource(
        "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
    ),
    *(
        Resource(
            "policy",
            version,
            "poddisruptionbudgets",
            "PodDisruptionBudget",
            ("pdb",),
            status=True,
            generation=True,
            since=since,
            until=until,
        )
        for version, since, until in (("v1", 21, 999), ("v1beta1", 0, 24))
    ),
)

# Kinds that are answered but never stored.
REVIEWS: tuple[Resource, ...] = (
    Resource(
        "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
    ),
    Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False),
    Resource(
        "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False, since=28
    ),
)

# Objects are stored in the newest version of their API, and converted for older ones.
BY_KIND: dict[str, Resource] = {resource.kind: resource for resource in reversed(RESOURCES)}


def version(minor: int) -> dict[str, str]:
    """Answer GET /version."""
    return {
        "major": "1",
        "minor": str(minor),
        "gitVersion": f"v1.{minor}.0+zdtest.lab",
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.24",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


class Catalog:
    """The kinds that one minor version serves, and their discovery documents."""

    def __init__(self, minor: int = MINOR) -> None:
        self.minor = minor
        served = [r for r in (*RESOURCES, *REVIEWS) if r.since <= minor <= r.until]
        # Only 1.21 to 1.24 serve two versions of a group, which nothing here needs.
        newest = {(r.group, r.plural): r for r in reversed(served)}
        self.resources = [r for r in served if newest[r.group, r.plural] is r]
        self.by_path = {(r.group, r.version, r.plural): r for r in self.resources}

    def groups(self) -> dict[str, list[str]]:
        """Return the versions of each group but the core group."""
        found: dict[str, list[str]] = {}
        for resource in self.resources:
            if resource.group and resource.version not in found.setdefault(resource.group, []):
                found[resource.group].append(resource.version)
        return found

    def document(self, steps: list[str], server: str) -> dict[str, Any]:
        """Return a discovery document by the steps of its path. Raises KeyError if there is none."""
        match steps:
            case ["version"]:
                return version(self.minor)
            case ["api"]:
                return {
                    "kind": "APIVersions",
                    "versions": ["v1"],
                    "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
                }
            case ["apis"]:
                members = [
                    {k: v for k, v in self._group(name).items() if k not in {"kind", "apiVersion"}}
                    for name in self.groups()
                ]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": members}
            case ["apis", group]:
                return self._group(group)
            case ["api", name]:
                return self._resource_list("", name)
            case ["apis", group, name]:
                return self._resource_list(group, name)
            case _:
                raise KeyError("/".join(steps))

    def _group(self, name: str) -> dict[str, Any]:
        versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in self.groups()[name]]
        return {
            "kind": "APIGroup",
            "apiVersion": "v1",
            "name": name,
            "versions": versions,
            "preferredVersion": versions[0],
        }

    def _resource_list(self, group: str, name: str) -> dict[str, Any]:
        members = [r for r in self.resources if (r.group, r.version) == (group, name)]
        if not members:
            raise KeyError(group)
        eviction = "v1" if self.minor > 21 else "v1beta1"
        listed = [entry for resource in members for entry in _entries(resource, eviction)]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": members[0].api_version,
            "resources": listed,
        }


def _entries(resource: Resource, eviction: str) -> list[dict[str, Any]]:
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
        add("eviction", "Eviction", ["create"], group="policy", version=eviction)
    if resource.kind == "ServiceAccount":
        add("token", "TokenRequest", ["create"], group="authentication.k8s.io", version="v1")
    return entries
