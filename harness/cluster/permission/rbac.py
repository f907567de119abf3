"""The least permissions that a run needs: checked one by one in the preflight, printed by `zdtest rbac`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from harness.k8s import argo, gateway
from harness.scenario.trigger import FOREIGN, Trigger

_RESOURCE = {
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "DaemonSet": ("apps", "daemonsets"),
    argo.KIND: (argo.GROUP, argo.PLURAL),
}


# What explains a rollout without being part of it: recorded where it may be listed.
SURROUNDINGS = (
    ("networking.k8s.io", "ingresses"),
    ("policy", "poddisruptionbudgets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("elbv2.k8s.aws", "targetgroupbindings"),
    (gateway.GROUP, "httproutes"),
    (gateway.GROUP, "grpcroutes"),
    (gateway.GROUP, "gateways"),
    (gateway.GROUP, "referencegrants"),
)


@dataclass(frozen=True, slots=True)
class Need:
    """One verb on one resource; `name` narrows it to one object where Kubernetes can. Without an optional one the run
    goes on.
    """

    verb: str
    group: str
    resource: str
    name: str = ""
    optional: bool = False

    def __str__(self) -> str:
        dotted = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {dotted}{'/' + self.name if self.name else ''}"


# What the load's own pods need: one Job, the Secret that belongs to it and goes with it, and a look at the pods.
OF_PODS = (
    Need("create", "batch", "jobs"),
    Need("delete", "batch", "jobs"),
    Need("create", "", "secrets"),
    Need("list", "", "pods"),
    # Only where the pods' addresses cannot be reached. A WebSocket begins as a GET; newer servers ask for create.
    Need("get", "", "pods/portforward", optional=True),
    Need("create", "", "pods/portforward", optional=True),
)


def needs(
    kind: str, name: str, trigger: Trigger, slices: str = "endpointslices", *, pods: bool = False
) -> tuple[Need, ...]:
    """List what a run of this trigger on this workload needs. `slices` is endpointslices, or endpoints on old
    servers. `pods`: the load is sent from pods of its own.
    """
    group_, workload = _RESOURCE[kind]
    # list and watch may be narrowed by name: the request carries a field selector on it (RBAC docs, resourceNames)
    wanted = [Need(verb, group_, workload, name) for verb in ("get", "list", "watch")]
    if trigger.kind not in {*FOREIGN, "delete-pod", "evict-pod"}:
        wanted.append(Need("patch", group_, workload, name))
    if trigger.kind == "delete-pod":
        wanted.append(Need("delete", "", "pods"))
    if trigger.kind == "evict-pod":
        wanted.append(Need("create", "", "pods/eviction"))
    watched = [("", "pods"), ("discovery.k8s.io" if slices == "endpointslices" else "", slices)]
    if kind in {"Deployment", argo.KIND}:
        watched.append(("apps", "replicasets"))
    wanted += [Need(verb, group, resource) for group, resource in watched for verb in ("list", "watch")]
    wanted.append(Need("list", "", "services"))
    wanted += [Need(verb, "", "events", optional=True) for verb in ("list", "watch")]
    wanted += [Need("list", group, resource, optional=True) for group, resource in SURROUNDINGS]
    return tuple(dict.fromkeys([*wanted, *(OF_PODS if pods else ())]))


def needs_of_a_watch(slices: str = "endpointslices") -> tuple[Need, ...]:
    """List what a watch of a namespace needs: to look, and nothing else. Services come and go, so none is named."""
    looked_at = [("apps", "deployments"), ("apps", "statefulsets")]
    watched = [*looked_at, ("apps", "replicasets"), ("", "pods")]
    watched.append(("discovery.k8s.io" if slices == "endpointslices" else "", slices))
    wanted = [Need("get", group, resource) for group, resource in looked_at]
    wanted += [Need(verb, group, resource) for group, resource in watched for verb in ("list", "watch")]
    wanted.append(Need("list", "", "services"))
    wanted += [Need(verb, "", "events", optional=True) for verb in ("list", "watch")]
    wanted += [Need("list", group, resource, optional=True) for group, resource in SURROUNDINGS]
    return tuple(wanted)


def role(
    namespace: str,
    kind: str,
    name: str,
    trigger: Trigger,
    slices: str = "endpointslices",
    *,
    pods: bool = False,
) -> list[dict[str, Any]]:
    """Make the Role that a run needs, and a RoleBinding to a ServiceAccount `zdtest`."""
    return role_of(namespace, "zdtest", needs(kind, name, trigger, slices, pods=pods))


def role_of(namespace: str, account: str, wanted: tuple[Need, ...]) -> list[dict[str, Any]]:
    """Make the Role that holds exactly these needs, and a RoleBinding to the ServiceAccount of the same name."""
    rules: dict[tuple[str, str, str], list[str]] = {}
    for need in wanted:
        rules.setdefault((need.group, need.resource, need.name), []).append(need.verb)
    metadata = {"name": account, "namespace": namespace}
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [
                {
                    "apiGroups": [group],
                    "resources": [resource],
                    **({"resourceNames": [which]} if which else {}),
                    "verbs": verbs,
                }
                for (group, resource, which), verbs in rules.items()
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    ]


def as_yaml(documents: list[dict[str, Any]]) -> str:
    """Write the documents as one file for `kubectl apply -f -`."""
    return yaml.safe_dump_all(documents, sort_keys=False)
