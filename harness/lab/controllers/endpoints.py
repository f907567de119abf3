"""Computes Endpoints and EndpointSlices of a Service from its pods. Pure functions, and one class that writes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from harness.lab.controllers.deployments import owner
from harness.lab.objects.podstatus import pod_ready
from harness.lab.objects.recorder import NODE
from harness.lab.objects.resources import MINOR
from harness.lab.objects.store import Object, Store

_MANAGED = "endpointslice.kubernetes.io/managed-by"
_SERVICE = "kubernetes.io/service-name"

# The port on which a pod's port is really served: (pod, port) -> port. It differs if the port could not be bound.
Mapped = Callable[[Object, int], int]


def selected_pods(service: Object, pods: list[Object]) -> list[Object]:
    """Return the pods of a Service that have an address and have not ended. A Service without a selector has none."""
    wanted = (service["spec"].get("selector") or {}).items()
    return [
        pod
        for pod in pods
        if wanted
        and wanted <= (pod["metadata"].get("labels") or {}).items()
        and pod["status"].get("podIP")
        and pod["status"]["phase"] not in {"Succeeded", "Failed"}
    ]


def ports_of(service: Object, pod: Object, mapped: Mapped) -> list[Object]:
    """Return a Service's ports as this pod serves them, without named ports that the pod does not have."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = _target(port, pod)
        if number is not None:
            entry = {
                "name": port.get("name", ""),
                "port": mapped(pod, number),
                "protocol": port.get("protocol", "TCP"),
            }
            found.append(entry | ({"appProtocol": port["appProtocol"]} if "appProtocol" in port else {}))
    return found


def _target(port: Object, pod: Object) -> int | None:
    target: int | str = port["targetPort"] if "targetPort" in port else port["port"]
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for declared in container.get("ports") or ():
            if declared.get("name") == target:
                return int(declared["containerPort"])
    return int(target) if target.isdigit() else None


def endpoint_of(service: Object, pod: Object) -> Object:
    """Return one pod's entry in a slice. It is ready if serving and not terminating, or if publishNotReadyAddresses
    is set.
    """
    serving, terminating = pod_ready(pod), "deletionTimestamp" in pod["metadata"]
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "nodeName": pod["spec"].get("nodeName", NODE),
        "targetRef": _reference(pod),
    }


def _reference(pod: Object) -> Object:
    return {
        "kind": "Pod",
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "uid": pod["metadata"]["uid"],
    }


def slices_of(service: Object, pods: list[Object], mapped: Mapped) -> list[Object]:
    """Return the EndpointSlices of a Service, one for each set of ports; without pods, one empty slice."""
    by_ports: dict[str, tuple[list[Object], list[Object]]] = {}
    for pod in selected_pods(service, pods):
        ports = ports_of(service, pod, mapped)
        by_ports.setdefault(repr(ports), (ports, []))[1].append(endpoint_of(service, pod))
    if not by_ports:
        by_ports[""] = ([], [])
    metadata = service["metadata"]
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{metadata['name']}-{hashlib.sha256(key.encode()).hexdigest()[:5]}",
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": {_SERVICE: metadata["name"], _MANAGED: "endpointslice-controller.k8s.io"},
                "ownerReferences": [owner(service)],
            },
            "addressType": "IPv4",
            # An empty Go slice is null in JSON.
            "endpoints": sorted(endpoints, key=lambda entry: str(entry["targetRef"]["name"])) or None,
            "ports": ports or None,
        }
        for key, (ports, endpoints) in by_ports.items()
    ]


def endpoints_of(service: Object, pods: list[Object], mapped: Mapped) -> Object:
    """Return the Endpoints of a Service. Terminating pods are left out, unless publishNotReadyAddresses is set."""
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[str, Object] = defaultdict(lambda: {"addresses": [], "notReadyAddresses": [], "ports": []})
    for pod in selected_pods(service, pods):
        if "deletionTimestamp" in pod["metadata"] and not published:
            continue
        ports = [{k: v for k, v in port.items() if v != ""} for port in ports_of(service, pod, mapped)]
        group = groups[repr(ports)]
        group["ports"] = ports
        entry = {
            "ip": pod["status"]["podIP"],
            "nodeName": pod["spec"].get("nodeName", NODE),
            "targetRef": _reference(pod),
        }
        group["addresses" if published or pod_ready(pod) else "notReadyAddresses"].append(entry)
    subsets = [{key: value for key, value in group.items() if value} for group in groups.values()]
    metadata = service["metadata"]
    item: Object = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": dict(metadata.get("labels") or {}),
        },
    }
    return item | ({"subsets": subsets} if subsets else {})


def ready_addresses(slices: list[Object]) -> list[dict[str, Any]]:
    """Return what a load balancer may send to: address, port and pod of every ready endpoint, first port only."""
    return [
        {
            "address": endpoint["addresses"][0],
            "port": item["ports"][0]["port"],
            "pod": endpoint["targetRef"]["name"],
        }
        for item in slices
        if item.get("ports")
        for endpoint in item.get("endpoints") or ()
        if endpoint["conditions"]["ready"]
    ]


class EndpointsController:
    """Keeps the Endpoints and EndpointSlices of each Service up to date."""

    def __init__(self, store: Store, mapped: Mapped, minor: int = MINOR) -> None:
        self._store, self._mapped, self._minor = store, mapped, minor

    def sync(self, key: tuple[str, str]) -> float | None:
        """Update one Service's endpoints."""
        service = self._store.find("Service", *key)
        if service is None:
            if (left := self._store.find("Endpoints", *key)) is not None:
                self._store.delete(left)
            return None
        if not service["spec"].get("selector"):
            return None  # its endpoints are written by hand
        pods = self._store.list("Pod", key[0])
        if self._minor < 22 and not service["spec"].get("publishNotReadyAddresses"):
            # Before the condition `terminating` existed, a pod left the endpoints as soon as it was deleted.
            pods = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        self._put(endpoints_of(service, pods, self._mapped))
        wanted = {item["metadata"]["name"]: item for item in slices_of(service, pods, self._mapped)}
        for item in wanted.values():
            self._put(item)
        for item in slices_for(self._store, *key):
            if item["metadata"]["name"] not in wanted:
                self._store.delete(item)
        return None

    def _put(self, item: Object) -> None:
        old = self._store.find(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
        if old is None:
            self._store.create(item)
        else:
            self._store.update({**item, "metadata": {**old["metadata"], **item["metadata"]}})


def slices_for(store: Store, namespace: str, service: str) -> list[Object]:
    """Return the stored slices of one Service."""
    return [
        item
        for item in store.list("EndpointSlice", namespace)
        if (item["metadata"].get("labels") or {}).get(_SERVICE) == service
    ]
