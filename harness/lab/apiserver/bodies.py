"""Request and response bodies: objects, patches, scales, reviews."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from harness.k8s import schema
from harness.lab.apiserver import patch, protobuf
from harness.lab.apiserver.gate import media_type
from harness.lab.objects.resources import BY_KIND
from harness.lab.objects.status import bad_request, invalid_options, unsupported_media_type
from harness.scenario import yamltext

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.apiserver.httpserver import Request
    from harness.lab.objects.resources import Resource
    from harness.lab.objects.store import Object

_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
_MOST_WRONG = 5  # how many unknown fields an error names


def read_object(request: Request) -> Object:
    """Parse a body that must be an object: JSON, YAML, or the part of Kubernetes' protobuf that protobuf.py knows."""
    kind = media_type(request)
    try:
        if "protobuf" in kind:
            return protobuf.read(request.body)
        value = yamltext.load(request.body) if "yaml" in kind else json.loads(request.body or b"{}")
    except protobuf.UnknownMessageError as error:
        raise unsupported_media_type(f"{kind}: {error}", ["application/json", "application/yaml"]) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
    if not isinstance(value, dict):
        raise bad_request("the object provided is unrecognized (must be an object)")
    return value


def typed(item: Object, resource: Resource, namespace: str | None) -> Object:
    """Check that a body has the kind its path expects, and give it the path's namespace."""
    item = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
    if (item["apiVersion"], item["kind"]) != (resource.api_version, resource.kind):
        raise bad_request(
            f"the API version in the data ({item['apiVersion']}, {item['kind']}) does not match "
            f"the expected API version ({resource.api_version}, {resource.kind})"
        )
    metadata = item.get("metadata")
    item["metadata"] = metadata = dict(metadata) if isinstance(metadata, dict) else {}
    if namespace and metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return item


def patched(old: Object, request: Request) -> Object:
    """Apply the patch in a body; its content type says which kind of patch. Raises StatusError 400, 415 or 422."""
    kind = media_type(request)
    if kind not in {_MERGE, _STRATEGIC, _JSON}:
        raise unsupported_media_type(kind, [_JSON, _MERGE, _STRATEGIC, APPLY])
    if kind == _STRATEGIC and str(old.get("apiVersion", "")).startswith("argoproj.io/"):
        raise unsupported_media_type(kind, [_JSON, _MERGE, APPLY])  # as a server does for any custom resource
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    if kind == _JSON:
        if not isinstance(value, list) or not all(isinstance(operation, dict) for operation in value):
            raise bad_request("a JSON patch must be a list of operations")
        return patch.json_patch(old, value)
    if not isinstance(value, dict):
        raise bad_request("a merge patch must be an object")
    try:
        new: Object = patch.merge(old, value) if kind == _MERGE else patch.strategic(old, value)
    except (AttributeError, TypeError) as error:
        raise bad_request(f"the patch does not fit the object: {error}") from error
    return new


def fitted(item: Object, request: Request, resource: Resource) -> Object:
    """Return an object without unknown fields, as a real server drops them.

    Raises StatusError 400 on a value of the wrong type, and with `fieldValidation=Strict` on an unknown field.
    """
    node = schema.root(resource.api_version, resource.kind)
    if wrong := schema.wrong_types(item, node):
        name = f'{resource.kind} in version "{resource.version}"'
        raise bad_request(f"{name} cannot be handled as a {resource.kind}: {'; '.join(wrong)}")
    unknown = schema.unknown_fields(item, node)
    if not unknown:
        return item
    if request.query.get("fieldValidation") == "Strict":
        said = ", ".join(f'unknown field "{path}"' for path in unknown[:_MOST_WRONG])
        name = f'{resource.kind} in version "{resource.version}"'
        raise bad_request(f"{name} cannot be handled as a {resource.kind}: strict decoding error: {said}")
    fit: Object = schema.pruned(item, node)
    return fit


def dry_run(request: Request) -> bool:
    """Tell whether a request is a dry run."""
    value = request.query.get("dryRun", "")
    if value not in {"", "All"}:
        raise invalid_options("dryRun", f'Unsupported value: "{value}": supported values: "All"')
    return value == "All"


def scale_of(item: Object) -> Object:
    """Show a workload as autoscaling/v1 Scale."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: item["metadata"][key] for key in kept if key in item["metadata"]},
        "spec": {"replicas": item["spec"].get("replicas", 1)},
        "status": {
            "replicas": item.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def scaled(old: Object, scale: Object) -> Object:
    """Return a workload with a Scale's replicas."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    given = (scale.get("metadata") or {}).get("resourceVersion") or old["metadata"]["resourceVersion"]
    return {
        **old,
        "metadata": {**old["metadata"], "resourceVersion": given},
        "spec": {**old["spec"], "replicas": replicas},
    }


def reviewed(request: Request, resource: Resource, answer: Callable[[Object], Object]) -> Object:
    """Return a review with its answer."""
    item = typed(read_object(request), resource, None)
    item["metadata"] = {"creationTimestamp": None}
    item["status"] = answer(item)
    return item


def outward(item: Object, resource: Resource) -> Object:
    """Convert a stored object to the API version of `resource`."""
    if item.get("apiVersion") == resource.api_version or item.get("kind") != resource.kind:
        return item
    item = {**item, "apiVersion": resource.api_version}
    if resource.kind == "EndpointSlice":
        item["endpoints"] = [_old_endpoint(endpoint) for endpoint in item.get("endpoints") or ()] or None
    return item


def _old_endpoint(endpoint: Object) -> Object:
    """Convert to discovery.k8s.io/v1beta1 as 1.20 fills it in: node in the topology, only the condition `ready`."""
    kept = {key: value for key, value in endpoint.items() if key not in {"nodeName", "conditions"}}
    conditions = {"ready": endpoint["conditions"].get("ready")}
    return {
        **kept,
        "conditions": conditions,
        "topology": {"kubernetes.io/hostname": endpoint.get("nodeName", "")},
    }


def inward(item: Object, resource: Resource) -> Object:
    """Convert an object from the API version of `resource` to the stored one."""
    return {**item, "apiVersion": BY_KIND[resource.kind].api_version} if resource.kind in BY_KIND else item
