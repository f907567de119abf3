"""Pure: somebody's own manifests -> ones that the lab can run, with the sample app in the place of theirs.

All that decides about a rollout stays: replicas, strategy, probes, hooks, grace period, ports, labels. What runs in the
containers, and its environment, is replaced. Each thing that is taken away or made up is said in a line.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

MOST_PODS = 6  # processes of the sample app at once are enough to see what a manifest does
_KEPT = {"Deployment", "Service"}
_METADATA = ("name", "namespace", "labels", "annotations")


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the lab is to run instead, and what is different in it."""

    items: tuple[Object, ...]
    name: str  # the Deployment's
    namespace: str
    notes: tuple[str, ...]


def what_if(
    documents: Iterable[Any], env: Mapping[str, str], *, wanted: str | None = None, most: int = MOST_PODS
) -> WhatIf:
    """Turn manifests into ones for the lab. Raises UsageError, one line, when there is nothing to try."""
    items = [item for document in documents for item in _flat(document)]
    deployment = copy.deepcopy(_deployment(items, wanted))
    _clean(deployment)
    notes = [
        f"left out: {item['kind']} {item['metadata'].get('name', '?')}"
        for item in items
        if item["kind"] not in _KEPT | {"Namespace"}
    ]
    others = [item for item in items if item["kind"] == "Deployment" and _name(item) != _name(deployment)]
    notes += [f"left out: Deployment {_name(item)} (choose with --deployment)" for item in others]
    notes += _replace(deployment, env)  # looks whether it is whole
    notes += _shrink(deployment, most)
    namespace = deployment["metadata"].get("namespace", "default")
    service = _service(items, deployment, notes)
    return WhatIf((deployment, service), _name(deployment), namespace, tuple(notes))


def _flat(document: Any) -> list[Object]:
    if document is None:
        return []
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise UsageError("that is no Kubernetes manifest: a document has no kind")
    if document["kind"].endswith("List"):
        return [item for inner in document.get("items") or () for item in _flat(inner)]
    if not isinstance(document.get("metadata"), dict):
        raise UsageError(f"that is no Kubernetes manifest: a {document['kind']} has no metadata")
    return [document]


def _name(item: Object) -> str:
    return str(item["metadata"].get("name", ""))


def _deployment(items: list[Object], wanted: str | None) -> Object:
    found = [item for item in items if item["kind"] == "Deployment"]
    names = ", ".join(_name(item) for item in found)
    if wanted is not None:
        found = [item for item in found if _name(item) == wanted]
        if not found:
            raise UsageError(f"there is no Deployment {wanted}; there are: {names or 'none'}")
    if not found:
        kinds = ", ".join(sorted({item["kind"] for item in items})) or "nothing"
        raise UsageError(f"there is no Deployment among {kinds}: only those can be tried")
    if len(found) > 1:
        raise UsageError(f"there are several Deployments ({names}); choose one with --deployment NAME")
    return found[0]


def _clean(item: Object) -> None:
    """Take away what a live object has and a manifest does not."""
    item.pop("status", None)
    item["metadata"] = {key: item["metadata"][key] for key in _METADATA if key in item["metadata"]}
    annotations = item["metadata"].get("annotations") or {}
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)


def _spec(deployment: Object) -> Object:
    found: Any = deployment
    for field in ("spec", "template", "spec"):
        found = found.get(field) if isinstance(found, dict) else None
    containers = found.get("containers") if isinstance(found, dict) else None
    if not containers or not all(isinstance(container, dict) for container in containers):
        raise UsageError(f"Deployment {_name(deployment)} has no spec.template.spec.containers")
    spec: Object = found
    return spec


def _shrink(deployment: Object, most: int) -> list[str]:
    replicas = deployment["spec"].get("replicas", 1)
    if not isinstance(replicas, int) or replicas <= most:
        return []
    deployment["spec"]["replicas"] = most
    return [f"spec.replicas: {most} of the {replicas} (--replicas for more)"]


def _replace(deployment: Object, env: Mapping[str, str]) -> list[str]:
    spec, notes = _spec(deployment), []
    for n, container in enumerate(spec["containers"]):
        path = f"containers[{n}] {container.get('name', '?')}"
        if container.get("env") or container.get("envFrom"):
            notes.append(f"{path}: its environment is not passed on")
        for field in ("env", "envFrom", "args", "volumeMounts", "volumeDevices"):
            container.pop(field, None)
        if n == 0:
            notes.append(f"{path}: the sample app runs instead of {container.get('image', 'its image')}")
            container["env"] = [{"name": key, "value": value} for key, value in env.items()]
        else:
            notes.append(f"{path}: a sidecar; the sample app runs instead, ready at once")
            container["env"] = [{"name": "STARTUP_DELAY", "value": "0"}]
    spec.pop("volumes", None)
    return notes


def _service(items: list[Object], deployment: Object, notes: list[str]) -> Object:
    """Return the Service that takes in the pods; make one up where there is none."""
    labels = (deployment["spec"]["template"].get("metadata") or {}).get("labels") or {}
    for item in items:
        selector = item.get("spec", {}).get("selector") if item["kind"] == "Service" else None
        if selector and selector.items() <= labels.items():
            service = copy.deepcopy(item)
            _clean(service)
            for field in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
                service["spec"].pop(field, None)
            for port in service["spec"].get("ports") or ():
                port.pop("nodePort", None)
            service["metadata"].pop("namespace", None)
            if "namespace" in deployment["metadata"]:
                service["metadata"]["namespace"] = deployment["metadata"]["namespace"]
            return service
    port = _port(_spec(deployment)["containers"][0])
    notes.append(f"no Service selects its pods: one is made up, for port {port}")
    metadata = {
        key: deployment["metadata"][key] for key in ("name", "namespace") if key in deployment["metadata"]
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": port}]},
    }


def _port(container: Object) -> int | str:
    for declared in container.get("ports") or ():
        return int(declared["containerPort"])
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        for action in ("httpGet", "tcpSocket"):
            port: int | str | None = ((container.get(probe) or {}).get(action) or {}).get("port")
            if port is not None:
                return port
    return 8080
