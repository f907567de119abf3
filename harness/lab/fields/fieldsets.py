"""Fields of objects as sets of paths: compare, merge and remove them. Pure.

A path is a tuple of Kubernetes' path elements: `f:name` for a field, `k:{"name":"web"}` for an item of a keyed list,
`v:"x"` for an item of a set. The rules are those of structured-merge-diff.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from harness.k8s import schema

if TYPE_CHECKING:
    from harness.k8s.schema import Node

Object = dict[str, Any]
Path = tuple[str, ...]
Fields = set[Path]

SERVERS_OWN = {
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
}


def bare(item: Object) -> Object:
    """Return the part of an object that managers can own."""
    kept = {key: value for key, value in item.items() if key not in {"apiVersion", "kind"}}
    metadata = item.get("metadata") or {}
    kept["metadata"] = {key: value for key, value in metadata.items() if key not in SERVERS_OWN}
    return kept


def fields_of(value: Any, node: Node, at: Path = ()) -> Fields:
    """Return all fields of a value."""
    parts = parts_of(value, node)
    if parts is None:
        return {at} if at else set()
    found: Fields = set()
    for step, (inner, kind) in parts.items():
        if inner is not None:
            found |= fields_of(inner, kind, (*at, step))
            if not step.startswith("f:"):
                found.add((*at, step))
    return found


def parts_of(value: Any, node: Node) -> dict[str, tuple[Any, Node]] | None:
    """Split a value into parts that can be owned separately; None if it is atomic."""
    if isinstance(value, dict) and value and not schema.atomic(node):
        return {f"f:{key}": (inner, schema.field(node, key)) for key, inner in value.items()}
    if isinstance(value, list) and value:
        if keys := schema.list_keys(node):
            named = [schema.item_key(item, keys) for item in value]
            if None not in named and len(set(named)) == len(named):
                kind = schema.items(node)
                return {f"k:{name}": (item, kind) for name, item in zip(named, value, strict=True)}
        elif schema.is_set(node) and not any(isinstance(item, dict | list) for item in value):
            return {f"v:{json.dumps(item)}": (item, schema.ANY) for item in value}
    return None


def difference(old: Any, new: Any, node: Node, at: Path = ()) -> tuple[Fields, Fields]:
    """Return the fields that a write changed or added, and those it removed, each with everything below it."""
    if old == new:
        return set(), set()
    before, after = parts_of(old, node), parts_of(new, node)
    if before is None or after is None:
        if after is not None and not old:
            return fields_of(new, node, at) | ({at} if schema.is_map(node) and at else set()), set()
        return fields_of(new, node, at), {at} if before is not None and at else set()
    changed: Fields = set()
    removed: Fields = set()
    for step in {**before, **after}:
        was, _ = before.get(step, (None, schema.ANY))
        now, kind = after.get(step, (None, schema.ANY))
        if now is None:
            if was is not None:
                removed.add((*at, step))
        else:
            inner = difference(was, now, kind, (*at, step))
            changed |= inner[0]
            removed |= inner[1]
            if was is None and not step.startswith("f:"):
                changed.add((*at, step))
    return changed, removed


def under(path: Path, roots: Fields) -> bool:
    """Tell whether a path is in `roots`, or below one of them."""
    return any(path[: n + 1] in roots for n in range(len(path)))


def to_json(fields: Fields) -> Object:
    """Write a set of fields as `fieldsV1`."""
    result: Object = {}
    for path in sorted(fields):
        place = result
        for step in path:
            place = place.setdefault(step, {})
        place["."] = {}
    return _without_dots(result)


def _without_dots(tree: Object) -> Object:
    if set(tree) == {"."}:
        return {}
    return {key: _without_dots(inner) if key != "." else {} for key, inner in tree.items()}


def from_json(tree: Object, at: Path = ()) -> Fields:
    """Read `fieldsV1`."""
    if not tree:
        return {at} if at else set()
    found: Fields = set()
    for step, inner in tree.items():
        found |= {at} if step == "." else from_json(inner, (*at, step))
    return found


def merged(live: Any, config: Any, node: Node) -> Any:
    """Merge an applied configuration into a live value."""
    if isinstance(config, dict) and isinstance(live, dict) and not schema.atomic(node):
        result = dict(live)
        for key, value in config.items():
            if value is not None:
                result[key] = merged(live.get(key), value, schema.field(node, key))
        return result
    if isinstance(config, list) and isinstance(live, list):
        if (parts := parts_of(config, node)) and ((have := parts_of(live, node)) or not live):
            kind = schema.items(node)
            have = have or {}
            kept = [
                merged(item, parts[step][0], kind) if step in parts else item
                for step, (item, _) in have.items()
            ]
            return kept + [copy.deepcopy(item) for step, (item, _) in parts.items() if step not in have]
        return copy.deepcopy(config)
    return copy.deepcopy(config)


def without(value: Any, gone: Fields, kept: Fields, node: Node, at: Path = ()) -> Any:
    """Remove the fields in `gone`, but keep an item of which `kept` has a part. None means that nothing is left."""
    if at in gone and not any(path[: len(at)] == at for path in kept):
        return None
    if not any(path[: len(at)] == at for path in gone):
        return value
    parts = parts_of(value, node)
    if parts is None:
        return value
    left = {step: without(inner, gone, kept, kind, (*at, step)) for step, (inner, kind) in parts.items()}
    left = {step: inner for step, inner in left.items() if inner is not None}
    if not left and at:
        return None
    return (
        {step[2:]: inner for step, inner in left.items()} if isinstance(value, dict) else list(left.values())
    )


def shown(path: Path) -> str:
    """Format a path for messages: `.spec.containers[name="web"].image`."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items())
            text += f"[{pairs}]"
        else:
            text += f"[={rest}]"
    return text
