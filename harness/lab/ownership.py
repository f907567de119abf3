"""Who manages which field: what server-side apply merges, refuses and removes. Pure.

A set of fields is a set of paths; a path is a tuple of Kubernetes' own path elements: `f:name` for a field,
`k:{"name":"web"}` for an item of a list with keys, `v:"x"` for an item of a set. Rules: structured-merge-diff.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from harness.lab import schema
from harness.lab.schema import Node

Object = dict[str, Any]
Path = tuple[str, ...]
Fields = set[Path]

_SERVERS_OWN = {
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


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and how."""

    manager: str
    operation: str = "Update"  # Update | Apply
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One field that another manager has another value for."""

    manager: str
    api_version: str
    path: Path
    operation: str = "Apply"
    time: str = ""


def bare(item: Object) -> Object:
    """Return what of an object can be owned."""
    kept = {key: value for key, value in item.items() if key not in {"apiVersion", "kind"}}
    metadata = item.get("metadata") or {}
    kept["metadata"] = {key: value for key, value in metadata.items() if key not in _SERVERS_OWN}
    return kept


def fields_of(value: Any, node: Node, at: Path = ()) -> Fields:
    """Return all fields that a value has."""
    parts = _parts(value, node)
    if parts is None:
        return {at} if at else set()
    found: Fields = set()
    for step, (inner, kind) in parts.items():
        if inner is not None:
            found |= fields_of(inner, kind, (*at, step))
            if not step.startswith("f:"):
                found.add((*at, step))
    return found


def _parts(value: Any, node: Node) -> dict[str, tuple[Any, Node]] | None:
    """Split a value into what can be owned apart; None for what is owned as one."""
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
    """Return which fields a write changed or added, and which it took away (each standing for all below it)."""
    if old == new:
        return set(), set()
    before, after = _parts(old, node), _parts(new, node)
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
    """Tell whether a path is one of `roots`, or below one."""
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
    """Lay an applied configuration over what is there."""
    if isinstance(config, dict) and isinstance(live, dict) and not schema.atomic(node):
        result = dict(live)
        for key, value in config.items():
            if value is not None:
                result[key] = merged(live.get(key), value, schema.field(node, key))
        return result
    if isinstance(config, list) and isinstance(live, list):
        if (parts := _parts(config, node)) and ((have := _parts(live, node)) or not live):
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
    """Take fields away that nobody wants any more; an item of which somebody keeps a part stays. None: all of it."""
    if at in gone and not any(path[: len(at)] == at for path in kept):
        return None
    if not any(path[: len(at)] == at for path in gone):
        return value
    parts = _parts(value, node)
    if parts is None:
        return value
    left = {step: without(inner, gone, kept, kind, (*at, step)) for step, (inner, kind) in parts.items()}
    left = {step: inner for step, inner in left.items() if inner is not None}
    if not left and at:
        return None
    return (
        {step[2:]: inner for step, inner in left.items()} if isinstance(value, dict) else list(left.values())
    )


def conflicts(managed: list[Object], writer: Writer, wanted: Fields) -> list[Conflict]:
    """Return which of the fields that a writer wants to change belong to others."""
    return [
        Conflict(entry["manager"], entry["apiVersion"], path, entry["operation"], entry.get("time", ""))
        for entry in managed
        if not _is(entry, writer)
        for path in sorted(from_json(entry["fieldsV1"]) & wanted)
    ]


def _is(entry: Object, writer: Writer) -> bool:
    return (entry["manager"], entry["operation"], entry.get("subresource", "")) == (
        writer.manager,
        writer.operation,
        writer.subresource,
    )


def owned(managed: list[Object], writer: Writer) -> Fields:
    """Return what a writer manages now."""
    return {path for entry in managed if _is(entry, writer) for path in from_json(entry["fieldsV1"])}


def owned_by_others(managed: list[Object], writer: Writer) -> Fields:
    """Return what all others manage."""
    return {path for entry in managed if not _is(entry, writer) for path in from_json(entry["fieldsV1"])}


def taken(
    managed: list[Object],
    writer: Writer,
    api_version: str,
    mine: Fields,
    lost: Fields,
    gone: Fields,
    now: str,
) -> list[Object]:
    """Return the managed fields after a write: the writer has `mine`, others lose `lost`, all lose what is gone."""
    result: list[Object] = []
    seen = False
    for entry in managed:
        before = from_json(entry["fieldsV1"])
        if _is(entry, writer):
            seen = True
            after = mine
        else:
            after = {path for path in before if path not in lost and not under(path, gone)}
        if after == before:
            result.append(entry)
        elif after:
            result.append(
                {
                    **entry,
                    "time": now if _is(entry, writer) else entry.get("time", now),
                    "fieldsV1": to_json(after),
                }
            )
    if not seen and mine:
        entry = {
            "manager": writer.manager,
            "operation": writer.operation,
            "apiVersion": api_version,
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_json(mine),
        }
        result.append(entry | ({"subresource": writer.subresource} if writer.subresource else {}))
    return result


def shown(path: Path) -> str:
    """Write a path as messages do: `.spec.containers[name="web"].image`."""
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


def updated(old: Object | None, new: Object, writer: Writer, now: str) -> list[Object]:
    """Return the managed fields after a plain write of `new` over `old`: who changes a field, has it."""
    version, kind = new["apiVersion"], new["kind"]
    node = schema.root(version, kind)
    managed: list[Object] = (old or {}).get("metadata", {}).get("managedFields") or []
    changed, gone = difference(bare(old) if old else {}, bare(new), node)
    if not changed and not gone:
        return managed
    mine = {path for path in owned(managed, writer) if not under(path, gone)} | changed
    return taken(managed, writer, version, mine, changed, gone, now)


class ConflictError(Exception):
    """An apply that wants what others have. `found` are the fields."""

    def __init__(self, found: list[Conflict]) -> None:
        super().__init__("conflict")
        self.found = found


def applied(live: Object | None, config: Object, writer: Writer, now: str, *, force: bool) -> Object:
    """Return an object after somebody applied a configuration to it. Raises ConflictError unless `force`."""
    version, node = config["apiVersion"], schema.root(config["apiVersion"], config["kind"])
    wanted = fields_of(bare(config), node)
    if live is None:
        made = copy.deepcopy(config)
        made["metadata"]["managedFields"] = taken([], writer, version, wanted, set(), set(), now)
        return made
    managed: list[Object] = live["metadata"].get("managedFields") or []
    new = merged(live, config, node)
    changed, _ = difference(bare(live), bare(new), node)
    found = conflicts(managed, writer, changed)
    if found and not force:
        raise ConflictError(found)
    dropped = owned(managed, writer) - wanted
    others = owned_by_others(managed, writer)
    new = without(new, dropped - others, others | wanted, node)
    lost = {conflict.path for conflict in found}
    new["metadata"] = {
        **new["metadata"],
        **{key: value for key, value in live["metadata"].items() if key in _SERVERS_OWN},
        "managedFields": taken(managed, writer, version, wanted, lost, set(), now),
    }
    if version_asked := config["metadata"].get("resourceVersion"):
        new["metadata"]["resourceVersion"] = version_asked
    return {**new, "apiVersion": live["apiVersion"], "kind": live["kind"]}
