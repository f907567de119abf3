"""What lint reads of kinds that Kubernetes' own description, as the lab has it, lacks: autoscalers, and custom
resources. Only the fields that it reads are described, so that no rule meets a value of another type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.k8s.schema import Node

_TEXT: Node = {"type": "string"}
_NUMBER: Node = {"type": "integer"}
_SHARE: Node = {"type": "string", "format": "int-or-string"}
_METADATA: Node = {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}


def _object(**fields: Node) -> Node:
    return {"type": "object", "properties": fields}


def _list(of: Node) -> Node:
    return {"type": "array", "items": of}


_NAMED = _list(_object(name=_TEXT, type=_TEXT, value=_TEXT))
_MATCH = _object(path=_object(type=_TEXT, value=_TEXT), headers=_NAMED, queryParams=_NAMED)
_RULE = _object(
    matches=_list(_MATCH),
    backendRefs=_list(_object(kind=_TEXT, group=_TEXT, namespace=_TEXT, name=_TEXT, weight=_NUMBER)),
    filters=_list(_object(type=_TEXT)),
    timeouts=_object(request=_TEXT, backendRequest=_TEXT),
    retry=_object(attempts=_NUMBER, backoff=_TEXT, codes=_list(_NUMBER)),
)
_ROUTE = _object(
    metadata=_METADATA,
    spec=_object(
        parentRefs=_list(_object(kind=_TEXT, namespace=_TEXT, name=_TEXT, sectionName=_TEXT, port=_NUMBER)),
        hostnames=_list(_TEXT),
        rules=_list(_RULE),
    ),
)
_STEP = _object(setWeight=_NUMBER, pause=_object(duration=_SHARE))
_SCALED_DOWN: Node = {"scaleDownDelaySeconds": _NUMBER, "maxUnavailable": _SHARE}
_ROLLOUT = _object(
    metadata=_METADATA,
    spec=_object(
        replicas=_NUMBER,
        minReadySeconds=_NUMBER,
        progressDeadlineSeconds=_NUMBER,
        selector={"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"},
        template={"$ref": "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"},
        workloadRef=_object(kind=_TEXT, name=_TEXT),
        strategy=_object(
            blueGreen=_object(activeService=_TEXT, previewService=_TEXT, **_SCALED_DOWN),
            canary=_object(
                steps=_list(_STEP), stableService=_TEXT, canaryService=_TEXT,
                trafficRouting={"type": "object", "additionalProperties": {}}, **_SCALED_DOWN,
            ),
        ),
    ),
)  # fmt: skip

CUSTOM: dict[str, Node] = {
    "HorizontalPodAutoscaler": _object(
        metadata=_METADATA, spec=_object(scaleTargetRef=_object(kind=_TEXT, name=_TEXT))
    ),
    "HTTPRoute": _ROUTE,
    "GRPCRoute": _ROUTE,
    "Rollout": _ROLLOUT,
}
