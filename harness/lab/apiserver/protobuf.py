r"""Reads Kubernetes' protobuf, the only encoding that kubectl's `create` commands, `auth can-i` and `drain` send.

The envelope is "k8s\0" and a runtime.Unknown (1 the type, 2 the object). Field numbers come from the
generated.proto files in k8s.io/api and k8s.io/apimachinery. Only fields that those commands set are known; others
are refused.
"""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]

_MAGIC = b"k8s\0"

# A field is "name:type". s is a string, y bytes (base64 in JSON), i a number, n one that may be 0, b a boolean, and the
# name - a field to skip. A capital letter begins the name of another message; * ends a list, % a map of such values.
_PLAIN = "metadata:Meta"
_TEXT = {
    "Meta": (
        "name:s generateName:s namespace:s -:s uid:s resourceVersion:s -:i "
        "-:Time -:Time -:i labels:s% annotations:s%"
    ),
    "Time": "-:i -:i",
    "Namespace": f"{_PLAIN} spec:NamespaceSpec -:Any",
    "NamespaceSpec": "finalizers:s*",
    "ConfigMap": f"{_PLAIN} data:s% binaryData:y% immutable:b",
    "Secret": f"{_PLAIN} data:y% type:s stringData:s% immutable:b",
    "ServiceAccount": _PLAIN,
    "Role": f"{_PLAIN} rules:Rule*",
    "ClusterRole": f"{_PLAIN} rules:Rule*",
    "Rule": "verbs:s* apiGroups:s* resources:s* resourceNames:s* nonResourceURLs:s*",
    "RoleBinding": f"{_PLAIN} subjects:Subject* roleRef:RoleRef",
    "ClusterRoleBinding": f"{_PLAIN} subjects:Subject* roleRef:RoleRef",
    "Subject": "kind:s apiGroup:s name:s namespace:s",
    "RoleRef": "apiGroup:s kind:s name:s",
    "PodDisruptionBudget": f"{_PLAIN} spec:Budget -:Any",
    "Budget": "minAvailable:IntOrString selector:Selector maxUnavailable:IntOrString",
    "IntOrString": "type:i int:n str:s",
    "Selector": "matchLabels:s%",
    "Deployment": f"{_PLAIN} spec:DeploymentSpec -:Any",
    "DeploymentSpec": "replicas:n selector:Selector template:Template strategy:Any",
    "Template": f"{_PLAIN} spec:PodSpec",
    "PodSpec": "volumes:Any* containers:Container*",
    "Container": "name:s image:s command:s* args:s* workingDir:s ports:Port* env:Any* -:Any",
    "Port": "name:s hostPort:i containerPort:i protocol:s",
    "Service": f"{_PLAIN} spec:ServiceSpec -:Any",
    "ServiceSpec": "ports:ServicePort* selector:s% clusterIP:s type:s",
    "ServicePort": "name:s protocol:s port:i targetPort:IntOrString nodePort:i",
    "Eviction": f"{_PLAIN} deleteOptions:DeleteOptions",
    "DeleteOptions": "gracePeriodSeconds:n -:Any -:b propagationPolicy:s dryRun:s*",
    "TokenRequest": f"{_PLAIN} spec:TokenSpec -:Any",
    "TokenSpec": "audiences:s* -:Any -:Any expirationSeconds:n",
    "SelfSubjectAccessReview": f"{_PLAIN} spec:ReviewSpec -:Any",
    "ReviewSpec": "resourceAttributes:Attributes nonResourceAttributes:Path",
    "Attributes": "namespace:s verb:s group:s version:s resource:s subresource:s name:s",
    "Path": "path:s verb:s",
    "SelfSubjectReview": f"{_PLAIN} -:Any",
    "Any": "",
    "Unknown": "type:TypeMeta raw:y -:s -:s",
    "TypeMeta": "apiVersion:s kind:s",
}
_MESSAGES = {
    name: dict(enumerate((field.partition(":")[::2] for field in text.split()), 1))
    for name, text in _TEXT.items()
}


class UnknownMessageError(ValueError):
    """A message or field that this module does not know."""


def read(data: bytes) -> Object:
    """Decode an object. Raises UnknownMessageError, and ValueError for invalid protobuf."""
    if not data.startswith(_MAGIC):
        raise ValueError("not Kubernetes protobuf")
    whole = _message(data[len(_MAGIC) :], "Unknown")
    kind = whole.get("type", {}).get("kind", "")
    if kind not in _MESSAGES:
        raise UnknownMessageError(kind)
    return {**whole["type"], **_message(base64.b64decode(whole.get("raw", "")), kind)}


def _message(data: bytes, name: str) -> Object:
    found: Object = {}
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        value, at = _value(data, at, key & 7)
        field, kind = _MESSAGES[name].get(key >> 3, ("", ""))
        if not value and kind in {"", "s", "i"}:  # the zero value, which is the same as not set
            continue
        if not kind:
            raise UnknownMessageError(f"{name}, field {key >> 3}")
        if field == "-":
            continue
        if kind.endswith("*"):
            found.setdefault(field, []).append(_json(value, kind[:-1]))
        elif kind.endswith("%"):
            found.setdefault(field, {}).update([_entry(value, kind[:-1])])
        else:
            found[field] = _json(value, kind)
    if name == "IntOrString":  # unwrapped by _json
        return {"": found.get("str", "") if found.get("type") else found.get("int", 0)}
    return found


def _json(value: int | bytes, kind: str) -> Any:
    if isinstance(value, int):
        if kind not in {"i", "n", "b"}:
            raise ValueError("unexpected number")
        signed = value - (1 << 64) if value >> 63 else value
        return bool(value) if kind == "b" else signed
    if kind == "s":
        return value.decode()
    if kind == "y":
        return base64.b64encode(value).decode()
    inner = _message(value, kind)
    return inner[""] if kind == "IntOrString" else inner


def _entry(value: int | bytes, kind: str) -> tuple[str, Any]:
    pair: dict[int, Any] = {1: "", 2: ""}
    at = 0
    data = value if isinstance(value, bytes) else b""
    while at < len(data):
        key, at = _number(data, at)
        inner, at = _value(data, at, key & 7)
        pair[key >> 3] = _json(inner, "s" if key >> 3 == 1 else kind)
    return pair[1], pair[2]


def _value(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == 0:
        return _number(data, at)
    if wire != 2:
        raise ValueError(f"wire type {wire}")
    length, at = _number(data, at)
    if at + length > len(data):
        raise ValueError("field longer than its message")
    return data[at : at + length], at + length


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("unterminated number")
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at
