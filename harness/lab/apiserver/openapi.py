"""OpenAPI documents, which `kubectl apply` and `kubectl explain` read first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.k8s import schema
from harness.lab.objects.resources import version

if TYPE_CHECKING:
    from harness.lab.objects.resources import Catalog, Resource

_QUERY = ("dryRun", "fieldManager", "fieldValidation", "force")


def document_v2(catalog: Catalog) -> dict[str, Any]:
    """Answer GET /openapi/v2: all definitions, no paths."""
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version(catalog.minor)["gitVersion"]},
        "paths": {},
        "definitions": schema.definitions(),
    }


def index_v3(catalog: Catalog) -> dict[str, Any]:
    """Answer GET /openapi/v3: the list of documents.

    A real 1.20 has none; kubectl would fall back to v2, which it accepts only as protobuf.
    """
    names = {resource.api_version: _folder(resource) for resource in catalog.resources}
    return {"paths": {folder: {"serverRelativeURL": f"/openapi/v3/{folder}"} for folder in names.values()}}


def _folder(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def document_v3(catalog: Catalog, folder: str) -> dict[str, Any] | None:
    """Answer GET /openapi/v3/<folder>: the paths and schemas of one group and version; None when there is none."""
    members = [resource for resource in catalog.resources if _folder(resource) == folder]
    if not members:
        return None
    text = json.dumps(schema.definitions()).replace("#/definitions/", "#/components/schemas/")
    paths: dict[str, Any] = {}
    for resource in members:
        space = "/namespaces/{namespace}" if resource.namespaced else ""
        gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        name = schema.root_name(resource.api_version, resource.kind)
        body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"} if name else {}}}
        verb = {
            "x-kubernetes-group-version-kind": gvk,
            "parameters": [{"name": query, "in": "query", "schema": {"type": "string"}} for query in _QUERY],
            "requestBody": {"content": body},
            "responses": {"200": {"description": "OK", "content": body}},
        }
        paths[f"/{folder}{space}/{resource.plural}"] = {"post": verb}
        paths[f"/{folder}{space}/{resource.plural}/{{name}}"] = {"get": verb, "put": verb, "patch": verb}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version(catalog.minor)["gitVersion"]},
        "paths": paths,
        "components": {"schemas": json.loads(text)},
    }
