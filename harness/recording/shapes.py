"""The shapes of what a recording keeps of Kubernetes objects and of a scenario, as far as they are read.

A field that is not listed here may be anything, because nothing reads it. A listed one of another type is damage:
no API server has sent it. A field may be null, which is as good as missing; an item of a list may not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

Shape = Any  # a type, a tuple of types, {field: shape} ("*": any field), or [shape of each item]

_SHARE = (int, str)  # a number or a percentage, a port or its name
_QUANTITY = (int, float, str)
_WORDS = {"*": str}
_CONDITIONS = [
    dict.fromkeys(("type", "status", "reason", "message", "lastTransitionTime", "lastUpdateTime"), str)
]
_METADATA = {
    **dict.fromkeys(
        ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"), str
    ),
    "generation": int,
    "deletionGracePeriodSeconds": int,
    "labels": _WORDS,
    "annotations": _WORDS,
    "ownerReferences": [{"kind": str, "name": str, "uid": str, "controller": bool}],
    "finalizers": [str],
    "managedFields": [dict.fromkeys(("manager", "operation", "time", "subresource"), str)],
}
_ACTION = {
    "httpGet": {"path": str, "port": _SHARE, "scheme": str, "host": str, "httpHeaders": [{"name": str}]},
    "tcpSocket": {"port": _SHARE, "host": str},
    "exec": {"command": [str]},
    "grpc": {"port": int, "service": str},
    "sleep": {"seconds": int},
}
_PROBE = {
    **_ACTION,
    **dict.fromkeys(
        (
            "initialDelaySeconds",
            "periodSeconds",
            "timeoutSeconds",
            "failureThreshold",
            "successThreshold",
            "terminationGracePeriodSeconds",
        ),
        int,
    ),
}
_CONTAINER = {
    "name": str,
    "image": str,
    "ports": [{"name": str, "containerPort": int, "hostPort": int, "protocol": str}],
    "command": [str],
    "args": [str],
    "env": [{"name": str}],
    "readinessProbe": _PROBE,
    "livenessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": {"preStop": _ACTION, "postStart": _ACTION, "stopSignal": str},
    "resizePolicy": [{"resourceName": str, "restartPolicy": str}],
    "resources": {"requests": {"*": _QUANTITY}, "limits": {"*": _QUANTITY}},
    "restartPolicy": str,
    "volumeMounts": [{"name": str}],
}
_SELECTOR = {"matchLabels": _WORDS, "matchExpressions": [{"key": str, "operator": str, "values": [str]}]}
_TERMS = [{"topologyKey": str, "labelSelector": _SELECTOR}]
_POD = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "terminationGracePeriodSeconds": int,
    "readinessGates": [{"conditionType": str}],
    "os": {"name": str},
    "nodeName": str,
    "hostNetwork": bool,
    "restartPolicy": str,
    "nodeSelector": _WORDS,
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str}, "hostPath": {"path": str}}],
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _TERMS}},
}
_STATE = {
    "running": {"startedAt": str},
    "waiting": {"reason": str, "message": str},
    "terminated": {
        "exitCode": int,
        "signal": int,
        **dict.fromkeys(("reason", "message", "startedAt", "finishedAt"), str),
    },
}
_STATUSES = [
    {"name": str, "ready": bool, "started": bool, "restartCount": int, "state": _STATE, "lastState": _STATE}
]
_STATUS = {
    **dict.fromkeys(("phase", "reason", "message", "podIP", "startTime"), str),
    "conditions": _CONDITIONS,
    "containerStatuses": _STATUSES,
    "initContainerStatuses": _STATUSES,
    **dict.fromkeys(
        (
            "replicas",
            "readyReplicas",
            "updatedReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "currentReplicas",
            "observedGeneration",
            "terminatingReplicas",
        ),
        int,
    ),
}
_STRATEGY = {
    "type": str,
    "rollingUpdate": {"maxSurge": _SHARE, "maxUnavailable": _SHARE, "partition": int},
}
_WORKLOAD = {
    "replicas": int,
    "strategy": _STRATEGY,
    "updateStrategy": _STRATEGY,
    "minReadySeconds": int,
    "progressDeadlineSeconds": int,
    "revisionHistoryLimit": int,
    "paused": bool,
    "selector": _SELECTOR,
    "serviceName": str,
    "template": {"metadata": _METADATA, "spec": _POD, "digest": str},
}
_SERVICES = dict.fromkeys(("activeService", "previewService", "canaryService", "stableService"), str)
_ROLLOUT = {
    **_WORKLOAD,
    "restartAt": str,
    "workloadRef": {"kind": str, "name": str},
    "strategy": {
        "blueGreen": {
            **_SERVICES,
            **dict.fromkeys(("autoPromotionSeconds", "scaleDownDelaySeconds", "previewReplicaCount"), int),
            "autoPromotionEnabled": bool,
            "maxUnavailable": _SHARE,
        },
        "canary": {
            **_SERVICES,
            **dict.fromkeys(("maxSurge", "maxUnavailable"), _SHARE),
            "scaleDownDelaySeconds": int,
            "steps": [{"setWeight": int, "pause": {"duration": _SHARE}, "*": {}}],
            "trafficRouting": {"*": {}},
        },
    },
}
_ROLLOUT_STATUS = _STATUS | {
    **dict.fromkeys(("currentPodHash", "currentStepHash", "stableRS", "restartedAt", "abortedAt"), str),
    **dict.fromkeys(("abort", "controllerPause", "promoteFull"), bool),
    "currentStepIndex": int,
    "pauseConditions": [{"reason": str, "startTime": str}],
    "canary": {"weights": {"canary": {"weight": int}, "stable": {"weight": int}, "verified": bool}},
    "blueGreen": {"activeSelector": str, "previewSelector": str},
}
_BACKEND = {"service": {"name": str, "port": {"name": str, "number": int}}}
_PARENT = {**dict.fromkeys(("group", "kind", "namespace", "name", "sectionName"), str), "port": int}
_NAMED = [{"type": str, "name": str}]
_ROUTE = {
    "parentRefs": [_PARENT],
    "hostnames": [str],
    "rules": [
        {
            "matches": [{"path": {"type": str, "value": str}, "headers": _NAMED, "queryParams": _NAMED}],
            "backendRefs": [
                {**dict.fromkeys(("group", "kind", "namespace", "name"), str), "port": int, "weight": int}
            ],
            "filters": [{"type": str}],
            "timeouts": {"request": str, "backendRequest": str},
            "retry": {"attempts": int, "backoff": str, "codes": [int]},
        }
    ],
}
_ROUTE_STATUS = {
    **_STATUS,
    "parents": [{"controllerName": str, "parentRef": _PARENT, "conditions": _CONDITIONS}],
}
_SPECS: dict[str, Shape] = {
    "Pod": _POD,
    "Service": {
        "selector": _WORDS,
        "ports": [{"name": str, "port": int, "targetPort": _SHARE, "protocol": str}],
        "type": str,
    },
    "Ingress": {
        "rules": [{"host": str, "http": {"paths": [{"path": str, "backend": _BACKEND}]}}],
        "defaultBackend": _BACKEND,
        "ingressClassName": str,
    },
    "PodDisruptionBudget": {"minAvailable": _SHARE, "maxUnavailable": _SHARE, "selector": _SELECTOR},
    "HorizontalPodAutoscaler": {
        "scaleTargetRef": {"kind": str, "name": str},
        "minReplicas": int,
        "maxReplicas": int,
    },
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), _WORKLOAD),
    "Rollout": _ROLLOUT,
    **dict.fromkeys(("HTTPRoute", "GRPCRoute"), _ROUTE),
    "Gateway": {
        "gatewayClassName": str,
        "listeners": [{"name": str, "hostname": str, "port": int, "protocol": str}],
    },
}
_STATUSES_OF: dict[str, Shape] = {
    "Rollout": _ROLLOUT_STATUS,
    **dict.fromkeys(("HTTPRoute", "GRPCRoute"), _ROUTE_STATUS),
}
_SLICE: Shape = {
    "metadata": _METADATA,
    "ports": [{"name": str, "port": int, "protocol": str}],
    "endpoints": [
        {
            "addresses": [str],
            "conditions": {"*": bool},
            "targetRef": {"kind": str, "name": str, "uid": str},
            "nodeName": str,
        }
    ],
}
_EVENT: Shape = {
    **dict.fromkeys(
        ("reason", "message", "type", "firstTimestamp", "lastTimestamp", "eventTime", "source"), str
    ),
    "count": int,
    "series": {"count": int, "lastObservedTime": str},
    "reportingComponent": str,
    "involvedObject": {"kind": str, "name": str, "uid": str, "fieldPath": str},
}
_TARGET: Shape = {
    "metadata": _METADATA,
    "target": {**dict.fromkeys(("group", "address", "state", "reason"), str), "port": int, "after_ns": int},
}
_GROUP: Shape = {
    "metadata": _METADATA,
    "settings": {
        "target_type": str,
        **dict.fromkeys(("deregistration_delay_s", "slow_start_s", "idle_timeout_s"), int),
        "check": {"*": int},
    },
}
SCENARIO: Shape = {
    "target": {"url": str, "method": str, "headers": {}},
    "load": {"duration": int, "concurrency": int, "drain": int},
    "rollout": {"trigger": str, "max_time": int, "settle": int},
    "lab": {"profile": str, "idle_timeout": int, "tries": int, "lag": int, "time_scale": _QUANTITY},
    "objectives": [str],
    "fail_on": [str],
}


def of(kind: str) -> Shape:
    """Return the shape of what is kept of an object of this kind."""
    others = {
        "Event": _EVENT,
        "EndpointSlice": _SLICE,
        "Endpoints": _SLICE,
        "Target": _TARGET,
        "TargetGroup": _GROUP,
    }
    if kind in others:
        return others[kind]
    return {
        "kind": str,
        "apiVersion": str,
        "metadata": _METADATA,
        "spec": _SPECS.get(kind, {}),
        "status": _STATUSES_OF.get(kind, _STATUS),
    }


def wrong(value: Any, shape: Shape, at: str = "") -> str:
    """Return the path of the first value that is of another type than its field, "" without."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return at or "the whole"
        rest = shape.get("*")
        inside = ((f"{at}.{key}" if at else key, inner, shape.get(key, rest)) for key, inner in value.items())
        found = (
            wrong(inner, wanted, path)
            for path, inner, wanted in inside
            if inner is not None and wanted is not None
        )
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return at or "the whole"
        found = (wrong(inner, shape[0], f"{at}[{n}]") for n, inner in enumerate(value))
    else:
        fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
        return "" if fits else at
    return next(filter(None, found), "")


def objects(raw: Any, file: Path) -> list[dict[str, Any]]:
    """Return what a file in manifests/ holds: Kubernetes objects. Raises RecordingError, one line, if it does not."""
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise RecordingError(f"{file} does not hold a list of Kubernetes objects")
    for number, item in enumerate(raw):
        if at := wrong(item, of(str(item.get("kind", "")))):
            raise RecordingError(f"{file}: [{number}].{at}: no Kubernetes object has this value")
    return raw
