"""Reduces Kubernetes objects to the fields that a recording needs and may hold.

Pure. Keeps Kubernetes' own shape, so that a reader of events.jsonl needs no other manual. Environment values, header
values and queries of probes, what follows a program's name in commands, attributes of volumes, the last words of a
container and annotations that are not known to be harmless never pass.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from harness import masking
from harness.cluster.watching import argo, gateway
from harness.cluster.watching.containers import container
from harness.cluster.watching.notes import container_status, event_message, known_annotations, writers
from harness.k8s.argo import KIND

Object = dict[str, Any]

_SALT = secrets.token_bytes(32)

_METADATA = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
)  # fmt: skip
_OF_WORKLOADS = {
    "replicas", "minReadySeconds", "progressDeadlineSeconds", "paused", "revisionHistoryLimit", "selector", "template",
}  # fmt: skip


def reduced(kind: str, obj: Object) -> Object:
    """Return what a recording keeps of an object of this kind. Never changes its argument."""
    shape = {
        "Pod": _pod,
        "EndpointSlice": _slice,
        "Endpoints": _endpoints,
        "Event": _event,
        "ReplicaSet": _replicaset,
    }
    return shape.get(kind, _rollout if kind == KIND else _workload)(obj)


def manifest(obj: Object) -> Object:
    """Return an object as a manifest file would have it: no status, no server-side bookkeeping, no values of
    variables.
    """
    metadata = {
        k: v for k, v in _metadata(obj).items() if k in {"name", "namespace", "labels", "annotations"}
    }
    spec = _without_urls_secrets(dict(obj.get("spec") or {}))
    if obj.get("kind") == KIND:
        spec = {name: value for name, value in spec.items() if name in _OF_WORKLOADS} | argo.spec(spec)
    if spec.get("template"):
        spec["template"] = _template(spec["template"])
    if spec.get("volumeClaimTemplates"):
        spec["volumeClaimTemplates"] = [_claim(claim) for claim in spec["volumeClaimTemplates"]]
    shown = {"apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", ""), "metadata": metadata}
    if gateway.is_ours(obj):  # who has accepted a route tells which gateway stands there
        accepted = {"status": gateway.status(obj)} if (obj.get("status") or {}).get("parents") else {}
        return {**shown, "spec": gateway.spec(obj), **accepted}
    return {**shown, "spec": spec}


def _metadata(obj: Object) -> Object:
    metadata = obj.get("metadata") or {}
    kept = {k: metadata[k] for k in _METADATA if metadata.get(k) not in (None, {}, [])}
    if "annotations" in kept:
        kept["annotations"] = known_annotations(kept["annotations"])
    return kept


def _pod(obj: Object) -> Object:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    kept = {k: status[k] for k in ("phase", "reason", "podIP", "startTime") if status.get(k) is not None}
    if status.get("message"):
        kept["message"] = masking.prose(str(status["message"]))
    if status.get("conditions") is not None:
        kept["conditions"] = _conditions(status["conditions"])
    for field in ("containerStatuses", "initContainerStatuses"):
        if status.get(field) is not None:
            kept[field] = [container_status(one) for one in status[field]]
    return {"metadata": _metadata(obj), "spec": _pod_spec(spec), "status": kept}


def _conditions(conditions: list[Object]) -> list[Object]:
    return [{**c, "message": masking.prose(str(c["message"]))} if c.get("message") else c for c in conditions]


def _status(obj: Object) -> Object:
    """Return a controller's status: numbers, and conditions, which may quote what an admission webhook said."""
    status = dict(obj.get("status") or {})
    if status.get("conditions"):
        status["conditions"] = _conditions(status["conditions"])
    return status


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
    kept["containers"] = [container(c, names_only=True) for c in spec.get("containers") or []]
    if spec.get("initContainers"):
        kept["initContainers"] = [container(c, names_only=True) for c in spec["initContainers"]]
    return kept


def _volume(volume: Object) -> Object:
    """Return a volume without its driver's attributes: only its owner knows which of them are secret."""
    kept = dict(volume)
    for kind, field in (("csi", "volumeAttributes"), ("flexVolume", "options")):
        if (kept.get(kind) or {}).get(field):
            kept[kind] = {**kept[kind], field: dict.fromkeys(kept[kind][field], masking.HIDDEN)}
    if (kept.get("ephemeral") or {}).get("volumeClaimTemplate"):
        kept["ephemeral"] = {
            **kept["ephemeral"],
            "volumeClaimTemplate": _claim(kept["ephemeral"]["volumeClaimTemplate"]),
        }
    return kept


def _claim(claim: Object) -> Object:
    metadata = _metadata(claim)
    return {**claim, **({"metadata": metadata} if metadata else {})}


def _without_urls_secrets(value: Any) -> Any:
    """Return the same with no credentials and no values of a query in any URL, however deep."""
    if isinstance(value, dict):
        return {key: _without_urls_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_urls_secrets(inner) for inner in value]
    return masking.urls(value) if isinstance(value, str) else value


def _template(template: Object) -> Object:
    spec = _without_urls_secrets(dict(template.get("spec") or {}))
    for field in ("containers", "initContainers"):
        if spec.get(field):
            spec[field] = [container(c, names_only=False) for c in spec[field]]
    if spec.get("volumes"):
        spec["volumes"] = [_volume(v) for v in spec["volumes"]]
    return {"metadata": _metadata({"metadata": template.get("metadata") or {}}), "spec": spec}


def _workload(obj: Object) -> Object:
    spec = {
        k: v
        for k, v in (obj.get("spec") or {}).items()
        if k in _OF_WORKLOADS - {"template"} or k in {"strategy", "updateStrategy"}
    }
    template = (obj.get("spec") or {}).get("template")
    if template:
        marks = (template.get("metadata") or {}).get("annotations")
        # What is hidden in it is part of it all the same: another checksum in an annotation is another template.
        spec["template"] = {
            **_template(template),
            "digest": _digest(template.get("spec")),
            "annotations_digest": _digest(marks or {}),
        }
    return {"metadata": _metadata(obj) | writers(obj), "spec": spec, "status": _status(obj)}


def _rollout(obj: Object) -> Object:
    """Return an Argo Rollout: what all workloads have, and of its own fields those that are known to be harmless."""
    given = obj.get("spec") or {}
    kept = _workload({**obj, "spec": {k: v for k, v in given.items() if k in _OF_WORKLOADS}})
    return {**kept, "spec": kept["spec"] | argo.spec(given), "status": argo.status(obj.get("status") or {})}


def _digest(value: object) -> str:
    """Return a fingerprint that tells two values apart and reveals neither: hashed with a salt that no other process
    knows.
    """
    text = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(text, key=_SALT, digest_size=12).hexdigest()


def _replicaset(obj: Object) -> Object:
    spec = obj.get("spec") or {}
    return {
        "metadata": _metadata(obj),
        "spec": {"replicas": spec.get("replicas")},
        "status": _status(obj),
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
    if kept.get("message"):
        kept["message"] = event_message(str(obj.get("reason") or ""), str(kept["message"]))
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
