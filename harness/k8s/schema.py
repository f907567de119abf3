"""Kubernetes' OpenAPI schema of its kinds: which fields they have, and how lists merge.

`python -m tests.contract.make_schema` generates schema.json from Kubernetes' OpenAPI document and its Python client.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

Node = dict[str, Any]

_REF = "#/definitions/"
ANY: Node = {}  # for unknown kinds: every field is allowed, lists are atomic
_A = {"integer": "an integer", "array": "an array", "object": "an object"}
_DEFAULT_KEYS = {"protocol": "TCP"}  # defaults for parts of a list's key that a manifest may leave out
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_LABEL_SELECTOR = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"


@cache
def definitions() -> dict[str, Node]:
    """Return all definitions by name."""
    loaded: dict[str, Node] = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return loaded


@cache
def _roots() -> dict[tuple[str, str], str]:
    found = {}
    for name, node in definitions().items():
        for gvk in node.get("x-kubernetes-group-version-kind", ()):
            group, version = gvk["group"], gvk["version"]
            found[f"{group}/{version}" if group else version, gvk["kind"]] = name
    return found


def root_name(api_version: str, kind: str) -> str | None:
    """Return the name of the definition of a kind."""
    return _roots().get((api_version, kind))


def root(api_version: str, kind: str) -> Node:
    """Return the schema of a kind; `ANY` for an unknown one."""
    name = root_name(api_version, kind)
    return definitions()[name] if name else ANY


def resolved(node: Node) -> Node:
    """Follow a reference, and keep the keys beside it."""
    ref = node.get("$ref")
    if ref is None:
        return node
    beside = {key: value for key, value in node.items() if key != "$ref"}
    found = definitions()[ref.removeprefix(_REF)]
    return {**found, **beside} if beside else found


def field(node: Node, name: str) -> Node:
    """Return the schema of an object's field, or of a map's values."""
    node = resolved(node)
    found = node.get("properties", {}).get(name)
    if found is None:
        more = node.get("additionalProperties")
        return more if isinstance(more, dict) else ANY
    known: Node = found
    return known


def items(node: Node) -> Node:
    """Return the schema of a list's items."""
    found: Node = resolved(node).get("items", ANY)
    return found


def atomic(node: Node) -> bool:
    """Tell whether an object is atomic, as a label selector is: owned and replaced as a whole."""
    return node.get("x-kubernetes-map-type") == "atomic" or node.get("$ref") == _REF + _LABEL_SELECTOR


def is_map(node: Node) -> bool:
    """Tell whether an object is a map (as labels are): its keys are data, not fields."""
    return isinstance(resolved(node).get("additionalProperties"), dict)


def is_set(node: Node) -> bool:
    """Tell whether a list is a set of plain values, each owned separately."""
    kind, strategy = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-patch-strategy", "")
    return kind == "set" or (
        kind is None and "merge" in strategy and "x-kubernetes-patch-merge-key" not in node
    )


def list_keys(node: Node) -> tuple[str, ...]:
    """Return the key fields of a list's items; none for an atomic list."""
    kind = node.get("x-kubernetes-list-type")
    if kind == "map":
        return tuple(node["x-kubernetes-list-map-keys"])
    if kind is None and "merge" in node.get("x-kubernetes-patch-strategy", ""):
        key = node.get("x-kubernetes-patch-merge-key")
        return (key,) if key else ()
    return ()


def merges(node: Node) -> bool:
    """Tell whether a strategic merge patch merges this list; it replaces all others."""
    return "merge" in node.get("x-kubernetes-patch-strategy", "").split(",")


def merge_key(node: Node) -> str | None:
    """Return the field by which a strategic merge patch matches a list's items; None for a list of plain values."""
    return node.get("x-kubernetes-patch-merge-key")


def item_key(item: Any, keys: tuple[str, ...]) -> str | None:
    """Return the key of a list's item as in managed fields; None if a key field is missing."""
    if not isinstance(item, dict):
        return None
    found = {key: item.get(key, _DEFAULT_KEYS.get(key)) for key in sorted(keys)}
    if any(value is None for value in found.values()):
        return None
    return json.dumps(found, separators=(",", ":"))


def unknown_fields(value: Any, node: Node, at: str = "") -> list[str]:
    """Return the paths of a manifest's unknown fields."""
    node = resolved(node)
    if isinstance(value, list):
        return [
            bad for n, item in enumerate(value) for bad in unknown_fields(item, items(node), f"{at}[{n}]")
        ]
    if not isinstance(value, dict) or not (node.get("properties") or is_map(node)):
        return []
    bad: list[str] = []
    for key, inner in value.items():
        path = f"{at}.{key}" if at else key
        if not is_map(node) and key not in node["properties"]:
            bad.append(path)
        else:
            bad += unknown_fields(inner, field(node, key), path)
    return bad


def pruned(value: Any, node: Node) -> Any:
    """Return a value without unknown fields."""
    node = resolved(node)
    if isinstance(value, list):
        return [pruned(item, items(node)) for item in value]
    if not isinstance(value, dict) or not (node.get("properties") or is_map(node)):
        return value
    if is_map(node):
        return {key: pruned(inner, field(node, key)) for key, inner in value.items()}
    return {key: pruned(inner, field(node, key)) for key, inner in value.items() if key in node["properties"]}


def wrong_types(value: Any, node: Node, at: str = "") -> list[str]:
    """Return one line for each value of a wrong type."""
    quantity = node.get("$ref") == _REF + _QUANTITY  # may be written as a number
    node = resolved(node)
    kind = node.get("type")
    if value is None or kind is None:
        return []
    if kind == "object" and isinstance(value, dict):
        return [
            bad
            for key, inner in value.items()
            for bad in wrong_types(inner, field(node, key), f"{at}.{key}" if at else key)
        ]
    if kind == "array" and isinstance(value, list):
        inside = items(node)
        wanted = resolved(inside).get("type")
        return [
            bad
            for n, item in enumerate(value)
            for bad in (
                [f"{at}[{n}]: null is not {_A.get(wanted, f'a {wanted}')}"]
                if item is None and wanted
                else wrong_types(item, inside, f"{at}[{n}]")
            )
        ]
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str)
        or (whole and node.get("format") == "int-or-string")
        or (quantity and (whole or isinstance(value, float))),
        "integer": whole,
        "number": whole or isinstance(value, float),
        "boolean": isinstance(value, bool),
    }
    return (
        []
        if fits.get(kind, False)
        else [f"{at}: {json.dumps(value, default=str)} is not {_A.get(kind, f'a {kind}')}"]
    )
