"""Pure: turns a user's manifests into ones that the lab can run, with the sample app instead of theirs.

Everything that matters for a rollout stays: replicas, strategy, probes, hooks, grace period, ports, labels. What the
containers run, and their environment, is replaced. Each removal and addition is reported in a line.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.k8s.hooks import pre_stop, stop_signal
from harness.k8s.serving import leads, native_sidecars, serving, serving_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

MOST_PODS = 6  # enough pods to see how a manifest behaves
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_KEPT = {*WORKLOADS, "Service"}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_METADATA = ("name", "namespace", "labels", "annotations")


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the lab runs instead, and notes on the differences."""

    items: tuple[Object, ...]
    name: str  # of the workload
    namespace: str
    kind: str
    notes: tuple[str, ...]


def what_if(
    documents: Iterable[Any], env: Mapping[str, str], *, wanted: str | None = None, most: int = MOST_PODS
) -> WhatIf:
    """Turn manifests into ones for the lab. `wanted` is NAME or kind/NAME.

    Raises UsageError with one line if there is nothing to try.
    """
    items = [item for document in documents for item in _flat(document)]
    workload = copy.deepcopy(_workload(items, wanted))
    _clean(workload)
    notes = [
        f"left out: {item['kind']} {item['metadata'].get('name', '?')}"
        for item in items
        if item["kind"] not in _KEPT | {"Namespace"}
    ]
    others = [item for item in items if item["kind"] in WORKLOADS and _which(item) != _which(workload)]
    notes += [f"left out: {item['kind']} {_name(item)} (choose with --deployment)" for item in others]
    _spec(workload)  # checks that it is complete
    namespace = workload["metadata"].get("namespace", "default")
    service = _service(items, workload, notes)
    notes += _replace(workload, service, env)
    notes += _scale(workload, items, most)
    return WhatIf((workload, service), _name(workload), namespace, workload["kind"], tuple(notes))


def _flat(document: Any) -> list[Object]:
    if document is None:
        return []
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise UsageError("not a Kubernetes manifest: a document has no kind")
    if document["kind"].endswith("List"):
        return [item for inner in document.get("items") or () for item in _flat(inner)]
    if not isinstance(document.get("metadata"), dict):
        raise UsageError(f"not a Kubernetes manifest: a {document['kind']} has no metadata")
    return [document]


def _name(item: Object) -> str:
    return str(item["metadata"].get("name", ""))


def _which(item: Object) -> tuple[str, str]:
    return item["kind"], _name(item)


def _workload(items: list[Object], wanted: str | None) -> Object:
    found = [item for item in items if item["kind"] in WORKLOADS]
    names = ", ".join(f"{item['kind']} {_name(item)}" for item in found)
    if wanted is not None:
        kind, _, name = wanted.rpartition("/")
        found = [
            item
            for item in found
            if _name(item) == name and item["kind"].lower().startswith(kind.lower().rstrip("s"))
        ]
        if not found:
            raise UsageError(f"no workload {wanted} found; there are: {names or 'none'}")
    if not found:
        kinds = ", ".join(sorted({item["kind"] for item in items})) or "nothing"
        raise UsageError(
            f"there is no Deployment, StatefulSet or DaemonSet among {kinds}: only those can be tried"
        )
    if len(found) > 1:
        raise UsageError(f"there are several workloads ({names}); choose one with --deployment [KIND/]NAME")
    return found[0]


def _clean(item: Object) -> None:
    """Remove what only a live object has."""
    item.pop("status", None)
    item["metadata"] = {key: item["metadata"][key] for key in _METADATA if key in item["metadata"]}
    annotations = item["metadata"].get("annotations") or {}
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)


def _spec(workload: Object) -> Object:
    found: Any = workload
    for field in ("spec", "template", "spec"):
        found = found.get(field) if isinstance(found, dict) else None
    containers = found.get("containers") if isinstance(found, dict) else None
    if not containers or not all(isinstance(container, dict) for container in containers):
        raise UsageError(f"{workload['kind']} {_name(workload)} has no spec.template.spec.containers")
    spec: Object = found
    return spec


def _scale(workload: Object, items: list[Object], most: int) -> list[str]:
    """Use at least an autoscaler's minReplicas, and not too many pods for one machine."""
    if workload["kind"] == "DaemonSet":
        return ["one pod: the lab has one node"]
    spec, notes = workload["spec"], []
    least = _least(workload, items)
    if least is not None and spec.get("replicas", 1) < least:
        spec["replicas"] = least
        notes.append(f"spec.replicas: {least}, the minReplicas of its HorizontalPodAutoscaler")
    replicas = spec.get("replicas", 1)
    if isinstance(replicas, int) and replicas > most:
        spec["replicas"] = most
        notes.append(f"spec.replicas: {most} instead of {replicas} (--replicas for more)")
    return notes


def _least(workload: Object, items: list[Object]) -> int | None:
    for item in items:
        spec = item.get("spec") or {}
        ref = spec.get("scaleTargetRef") or {}
        if item["kind"] == "HorizontalPodAutoscaler" and (ref.get("kind"), ref.get("name")) == _which(
            workload
        ):
            return int(spec.get("minReplicas") or 1)
    return None


def _replace(workload: Object, service: Object, env: Mapping[str, str]) -> list[str]:
    spec, notes = _spec(workload), []
    first = serving(spec, (service,))
    notes += _bring_first(service, first)
    port = serving_port(first, (service,)) or _port(first, 8080)
    beside = [("initContainers", container) for container in native_sidecars(spec)]
    for where, container in [*(("containers", container) for container in spec["containers"]), *beside]:
        path = f"{where}[{spec[where].index(container)}] {container.get('name', '?')}"
        if container.get("env") or container.get("envFrom"):
            notes.append(f"{path}: its environment is not passed on")
        for field in ("env", "envFrom", "args", "volumeMounts", "volumeDevices"):
            container.pop(field, None)
        if container is first:
            notes.append(f"{path}: the sample app runs instead of {container.get('image', 'its image')}")
            values = {**env, "PORT": str(port)}
        else:
            notes.append(f"{path}: a sidecar; the sample app runs instead, without a startup delay")
            values = {"STARTUP_DELAY": "0", "PORT": str(_port(container, _asked(container)))}
        container["env"] = [{"name": key, "value": value} for key, value in values.items()]
        notes += _probed(container, path, int(values["PORT"])) + _stopped(container, path)
    if spec.pop("volumes", None):
        notes.append("volumes: nothing is mounted")
    if workload["spec"].pop("volumeClaimTemplates", None):
        notes.append("volumeClaimTemplates: nothing is claimed")
    return notes


def _bring_first(service: Object, container: Object) -> list[str]:
    """Move the port that leads to the serving container to the front of the Service: the lab uses the first one."""
    ports = service["spec"].get("ports") or []
    leading = next((port for port in ports if leads({"spec": {"ports": [port]}}, container)), None)
    if leading is None or leading is ports[0]:
        return []
    service["spec"]["ports"] = [leading, *(port for port in ports if port is not leading)]
    name = leading.get("name") or leading.get("port")
    return [
        f"Service {_name(service)}: requests go to port {name}, which leads to {container.get('name', '?')}"
    ]


def _probed(container: Object, path: str, port: int) -> list[str]:
    """Point probes and hooks at the sample app's only port, which serves plain HTTP."""
    notes = []
    for name, action in (
        *((probe, container.get(probe) or {}) for probe in _PROBES),
        ("preStop", pre_stop(container)),
    ):
        for kind in ("httpGet", "tcpSocket"):
            get = action.get(kind)
            if not isinstance(get, dict):
                continue
            if _number(container, get.get("port")) != port:
                notes.append(
                    f"{path}: {name} uses port {get.get('port')}; here it uses {port}, the sample app's"
                )
                get["port"] = port
            if get.get("scheme", "HTTP") != "HTTP":
                notes.append(f"{path}: {name} uses HTTPS; here it uses HTTP, as the sample app does")
                get["scheme"] = "HTTP"
    return notes


def _stopped(container: Object, path: str) -> list[str]:
    """Let SIGTERM stand for the signal that the real app acts on: the sample app acts on no other. SIGKILL stays what
    it is.
    """
    signal = stop_signal(container)
    if signal in {"", "SIGTERM", "SIGKILL"}:
        return []
    del container["lifecycle"]["stopSignal"]
    return [f"{path}: it is stopped with SIGTERM instead of {signal}, for the sample app acts on that alone"]


def _asked(container: Object) -> int:
    """Return the first port that a probe of the container asks by its number; 0 where none does."""
    actions = ((container.get(probe) or {}) for probe in _PROBES)
    ports = ((action.get("httpGet") or action.get("tcpSocket") or {}).get("port") for action in actions)
    return next((port for port in ports if isinstance(port, int)), 0)


def _number(container: Object, port: Any) -> Any:
    declared = container.get("ports") or ()
    return next((each["containerPort"] for each in declared if each.get("name") == port), port)


def _service(items: list[Object], workload: Object, notes: list[str]) -> Object:
    """Return the Service that selects the pods, preferably not a headless one; create one if there is none."""
    labels = (workload["spec"]["template"].get("metadata") or {}).get("labels") or {}
    space = workload["metadata"].get("namespace")
    found = [
        item
        for item in items
        if item["kind"] == "Service"
        and (selector := (item.get("spec") or {}).get("selector"))
        and selector.items() <= labels.items()
    ]
    if found:
        service = copy.deepcopy(min(found, key=_headless))
        _clean(service)
        for field in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
            service["spec"].pop(field, None)
        for port in service["spec"].get("ports") or ():
            port.pop("nodePort", None)
        service["metadata"].pop("namespace", None)
        if space:
            service["metadata"]["namespace"] = space
        return service
    target = _port(serving(_spec(workload)), 8080)
    notes.append(f"no Service selects its pods: one was added, for port {target}")
    metadata = {
        key: workload["metadata"][key] for key in ("name", "namespace") if key in workload["metadata"]
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": target}]},
    }


def _headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def _port(container: Object, default: int) -> int:
    """Return the port that a container declares, or is probed on."""
    for declared in container.get("ports") or ():
        return int(declared["containerPort"])
    for probe in _PROBES:
        for action in ("httpGet", "tcpSocket", "grpc"):
            port = ((container.get(probe) or {}).get(action) or {}).get("port")
            if isinstance(port, int):
                return port
    return default
