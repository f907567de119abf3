"""Makes harness/k8s/schema.json: `python -m tests.contract.make_schema OPENAPI.json > harness/k8s/schema.json`.

OPENAPI.json is what an old server answers on /openapi/v2 (`kubectl get --raw /openapi/v2`): it knows how lists merge.
The installed `kubernetes` package knows the fields that came since. The result has the kinds that the lab serves and
all they refer to, without descriptions. Both sources are Kubernetes' own, Apache-2.0.
"""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernetes import client

ROOTS = {
    "core.v1": (
        "Pod",
        "Service",
        "Namespace",
        "Node",
        "Endpoints",
        "Event",
        "ConfigMap",
        "Secret",
        "ServiceAccount",
    ),
    "apps.v1": ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"),
    "networking.v1": ("Ingress",),
    "policy.v1beta1": ("PodDisruptionBudget", "Eviction"),
    "discovery.v1beta1": ("EndpointSlice",),
    "autoscaling.v1": ("Scale",),
    "rbac.v1": ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
}
# Lists that are newer than OPENAPI.json and that a patch merges, which the package's models do not say.
NEWER_MERGES = {
    ("core.v1.EphemeralContainer", "ports"): "containerPort",
    ("core.v1.PodSpec", "resourceClaims"): "name",
    ("core.v1.PodSpec", "schedulingGates"): "name",
    ("policy.v1.PodDisruptionBudgetStatus", "conditions"): "type",
    ("policy.v1beta1.PodDisruptionBudgetStatus", "conditions"): "type",
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
REF = "#/definitions/"


def stripped(value: Any) -> Any:
    """Leave descriptions out, but not fields of that name."""
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if not (k == "description" and isinstance(v, str))}
    return [stripped(v) for v in value] if isinstance(value, list) else value


class Schema:
    def __init__(self, document: Any) -> None:
        self.source: dict[str, Any] = stripped(document["definitions"])
        self.made: dict[str, Any] = {}

    def take(self, name: str) -> None:
        """Take a definition, all it refers to, and what a newer package knows of it."""
        if name in self.made:
            return
        self.made[name] = found = self.source.get(name, {"type": "object", "properties": {}})
        found.pop("x-kubernetes-unions", None)
        model = self._model(name)
        if model is not None and "properties" in found:
            for field, info in model.model_fields.items():
                key = model.attribute_map.get(field) or info.serialization_alias or field
                if key not in found["properties"]:
                    kind = self._type(info.annotation, name)
                    if key in {
                        "maxUnavailable",
                        "maxSurge",
                    }:  # a number or a percentage, whatever the model says
                        kind = {"$ref": f"{REF}io.k8s.apimachinery.pkg.util.intstr.IntOrString"}
                    found["properties"][key] = kind
        for ref in re.findall(r'"\$ref": "#/definitions/([^"]+)"', json.dumps(found)):
            self.take(ref)

    def _model(self, name: str) -> Any:
        group, version, kind = name.removeprefix("io.k8s.api.").split(".")[-3:]
        word = version.replace("v1beta1", "v1").capitalize()
        special = {
            ("core", "Event"): "CoreV1Event",
            ("core", "Handler"): "V1LifecycleHandler",
            ("discovery", "EndpointPort"): "DiscoveryV1EndpointPort",
        }
        return getattr(client, special.get((group, kind), f"{word}{kind}"), None)

    def _type(self, hint: Any, near: str) -> Any:  # noqa: PLR0911  one for each shape of a hint
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin in {typing.Union, types.UnionType}:
            return self._type(next(a for a in args if a is not type(None)), near)
        if origin is typing.Annotated:
            return self._type(args[0], near)
        if origin is list:
            return {"type": "array", "items": self._type(args[0], near)}
        if origin is dict:
            return {"type": "object", "additionalProperties": self._type(args[1], near)}
        simple = {str: "string", int: "integer", bool: "boolean", float: "number"}
        name = getattr(hint, "__name__", "")
        if hint in simple or name.removeprefix("Strict").lower() in {"str", "int", "bool"}:
            kind = (
                simple.get(hint) or {"str": "string", "int": "integer", "bool": "boolean"}[name[6:].lower()]
            )
            return {"type": kind}
        if hint is datetime:
            return {"type": "string", "format": "date-time"}
        if name.startswith("V1"):
            kind = name.removeprefix("V1")
            known = [f"{META}{kind}", f"{near.rpartition('.')[0]}.{kind}", f"io.k8s.api.core.v1.{kind}"]
            ref = next((k for k in known if k in self.source), known[1])
            self.take(ref)
            return {"$ref": REF + ref}
        return {}


def main() -> None:
    schema = Schema(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for group, kinds in ROOTS.items():
        for kind in kinds:
            schema.take(f"io.k8s.api.{group}.{kind}")
    text = json.dumps(schema.made, sort_keys=True, separators=(",", ":"))
    for group in ("policy", "discovery"):  # the same kinds as v1, with what only that has
        old = {k: v for k, v in json.loads(text).items() if k.startswith(f"io.k8s.api.{group}.v1beta1")}
        moved = json.dumps(old).replace(f"{group}.v1beta1", f"{group}.v1")
        copies = json.loads(moved)
        for name, found in copies.items():
            for named in found.get("x-kubernetes-group-version-kind", ()):
                named["version"] = "v1"
            schema.source[name] = found
        for name in copies:
            schema.take(name)
    for name, found in schema.made.items():
        if "x-kubernetes-group-version-kind" in found and name.startswith(META):
            del found["x-kubernetes-group-version-kind"]  # a list of every group there ever was
    for (name, field), key in NEWER_MERGES.items():
        schema.made[f"io.k8s.api.{name}"]["properties"][field] |= {
            "x-kubernetes-patch-merge-key": key,
            "x-kubernetes-patch-strategy": "merge",
        }
    endpoint = schema.made["io.k8s.api.discovery.v1.Endpoint"]["properties"]
    endpoint["deprecatedTopology"] = endpoint.pop("topology")
    endpoint["nodeName"] = {"type": "string"}
    sys.stdout.write(json.dumps(schema.made, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
