"""Kubernetes objects -> the fields that may be, and need to be, written down.

Pure. Keeps Kubernetes' own shape, so that a reader of events.jsonl needs no other manual. Environment values,
header values of probes and `last-applied-configuration` never pass.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

Object = dict[str, Any]

_SALT = secrets.token_bytes(32)

_DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)
_METADATA = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
)  # fmt: skip
_CONTAINER = (
    "name", "image", "ports", "command", "args", "readinessProbe", "livenessProbe", "startupProbe", "lifecycle",
    "resources", "restartPolicy",
)  # fmt: skip


def reduced(kind: str, obj: Object) -> Object:
    """Return what a recording keeps of an object of this kind. Never changes its argument."""
    shape = {
        "Pod": _pod,
        "EndpointSlice": _slice,
        "Endpoints": _endpoints,
        "Event": _event,
        "ReplicaSet": _replicaset,
    }
    return shape.get(kind, _workload)(obj)


def manifest(obj: Object) -> Object:
    """Return an object as one would write it in a file: no status, no server-side bookkeeping, no values of variables."""
    metadata = {
        k: v for k, v in _metadata(obj).items() if k in {"name", "namespace", "labels", "annotations"}
    }
    spec = dict(obj.get("spec") or {})
    if "template" in spec:
        spec["template"] = _template(spec["template"])
    return {
        "apiVersion": obj.get("apiVersion", ""),
        "kind": obj.get("kind", ""),
        "metadata": metadata,
        "spec": spec,
    }


def _metadata(obj: Object) -> Object:
    metadata = obj.get("metadata") or {}
    kept = {k: metadata[k] for k in _METADATA if metadata.get(k) not in (None, {}, [])}
    if "annotations" in kept:
        kept["annotations"] = {k: v for k, v in kept["annotations"].items() if k not in _DROPPED_ANNOTATIONS}
    return kept


def _pod(obj: Object) -> Object:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return {
        "metadata": _metadata(obj),
        "spec": _pod_spec(spec),
        "status": {
            k: status[k]
            for k in (
                "phase",
                "reason",
                "message",
                "podIP",
                "startTime",
                "conditions",
                "containerStatuses",
                "initContainerStatuses",
            )
            if status.get(k) is not None
        },
    }


def _pod_spec(spec: Object) -> Object:
    kept = {
        k: spec[k]
        for k in (
            "nodeName",
            "terminationGracePeriodSeconds",
            "readinessGates",
            "hostNetwork",
            "restartPolicy",
        )
        if spec.get(k) is not None
    }
    kept["containers"] = [_container(c, names_only=True) for c in spec.get("containers") or []]
    if spec.get("initContainers"):
        kept["initContainers"] = [_container(c, names_only=True) for c in spec["initContainers"]]
    return kept


def _container(container: Object, *, names_only: bool) -> Object:
    kept = {k: v for k, v in container.items() if k in _CONTAINER} if names_only else dict(container)
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if kept.get(probe):
            kept[probe] = _without_header_values(kept[probe])
    if kept.get("lifecycle"):
        kept["lifecycle"] = {
            hook: _without_header_values(action) for hook, action in kept["lifecycle"].items()
        }
    if kept.get("env"):
        kept["env"] = [
            {"name": e.get("name"), **({"value": "***"} if "value" in e else {"valueFrom": "***"})}
            for e in kept["env"]
        ]
    return kept


def _without_header_values(action: Any) -> Any:
    if not isinstance(action, dict) or not (action.get("httpGet") or {}).get("httpHeaders"):
        return action
    headers = [{"name": h.get("name"), "value": "***"} for h in action["httpGet"]["httpHeaders"]]
    return {**action, "httpGet": {**action["httpGet"], "httpHeaders": headers}}


def _template(template: Object) -> Object:
    spec = dict(template.get("spec") or {})
    for field in ("containers", "initContainers"):
        if spec.get(field):
            spec[field] = [_container(c, names_only=False) for c in spec[field]]
    return {"metadata": _metadata({"metadata": template.get("metadata") or {}}), "spec": spec}


def _workload(obj: Object) -> Object:
    spec = {
        k: v
        for k, v in (obj.get("spec") or {}).items()
        if k in {"replicas", "strategy", "updateStrategy", "minReadySeconds", "progressDeadlineSeconds", "paused",
                 "revisionHistoryLimit", "selector"}
    }  # fmt: skip
    template = (obj.get("spec") or {}).get("template")
    if template:
        spec["template"] = {**_template(template), "digest": _digest(template.get("spec"))}
    return {"metadata": _metadata(obj), "spec": spec, "status": obj.get("status") or {}}


def _digest(value: object) -> str:
    """Return what tells two values apart without telling them: hashed with a salt that no other process knows."""
    text = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(text, key=_SALT, digest_size=12).hexdigest()


def _replicaset(obj: Object) -> Object:
    spec = obj.get("spec") or {}
    return {
        "metadata": _metadata(obj),
        "spec": {"replicas": spec.get("replicas")},
        "status": obj.get("status") or {},
    }


def _event(obj: Object) -> Object:
    kept = {
        k: obj[k]
        for k in (
            "reason",
            "message",
            "type",
            "count",
            "firstTimestamp",
            "lastTimestamp",
            "eventTime",
            "series",
            "reportingComponent",
        )
        if obj.get(k) is not None
    }
    about = obj.get("involvedObject") or {}
    kept["involvedObject"] = {k: about.get(k) for k in ("kind", "name", "uid", "fieldPath") if about.get(k)}
    kept["source"] = (obj.get("source") or {}).get("component", "")
    return kept


def _slice(obj: Object) -> Object:
    """discovery.k8s.io/v1beta1 becomes v1: the node's name moves out of `topology`."""
    endpoints = []
    for endpoint in obj.get("endpoints") or []:
        node = endpoint.get("nodeName") or (endpoint.get("topology") or {}).get("kubernetes.io/hostname")
        endpoints.append(
            {
                "addresses": endpoint.get("addresses") or [],
                "conditions": {k: v for k, v in (endpoint.get("conditions") or {}).items() if v is not None},
                "targetRef": {
                    k: v for k, v in (endpoint.get("targetRef") or {}).items() if k in {"kind", "name", "uid"}
                },
                **({"nodeName": node} if node else {}),
            }
        )
    return {"metadata": _metadata(obj), "ports": obj.get("ports") or [], "endpoints": endpoints}


def _endpoints(obj: Object) -> Object:
    """Endpoints (core/v1) as one slice. What they cannot say (`serving`, `terminating`) is left out."""
    endpoints = []
    ports: list[Any] = []
    for subset in obj.get("subsets") or []:
        ports = subset.get("ports") or ports
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or []:
                about = address.get("targetRef") or {}
                endpoints.append(
                    {
                        "addresses": [address.get("ip")],
                        "conditions": {"ready": ready},
                        "targetRef": {k: about.get(k) for k in ("kind", "name", "uid") if about.get(k)},
                        **({"nodeName": address["nodeName"]} if address.get("nodeName") else {}),
                    }
                )
    metadata = _metadata(obj)
    metadata["labels"] = {
        **metadata.get("labels", {}),
        "kubernetes.io/service-name": metadata.get("name", ""),
    }
    return {"metadata": metadata, "ports": ports, "endpoints": endpoints}
