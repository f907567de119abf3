"""Field ownership: what server-side apply merges, refuses and removes. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from harness.k8s import schema
from harness.lab.fields.fieldsets import (
    SERVERS_OWN,
    Fields,
    Path,
    bare,
    difference,
    fields_of,
    from_json,
    merged,
    to_json,
    under,
    without,
)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writer:
    """A field manager, and how it writes."""

    manager: str
    operation: str = "Update"  # Update | Apply
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another manager owns with a different value."""

    manager: str
    api_version: str
    path: Path
    operation: str = "Apply"
    time: str = ""


def conflicts(managed: list[Object], writer: Writer, wanted: Fields) -> list[Conflict]:
    """Return a conflict for each field that a writer wants to change and that others own."""
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
    """Return the fields that a writer owns."""
    return {path for entry in managed if _is(entry, writer) for path in from_json(entry["fieldsV1"])}


def owned_by_others(managed: list[Object], writer: Writer) -> Fields:
    """Return the fields that others own."""
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
    """Return the managed fields after a write: `mine` is the writer's, others lose `lost`, all lose what is gone."""
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


def updated(old: Object | None, new: Object, writer: Writer, now: str) -> list[Object]:
    """Return the managed fields after a plain write of `new` over `old`: the writer owns the fields it changed.

    A write may bring managed fields of its own, which replace the old ones (structured-merge-diff,
    fieldmanager.go: "this is necessary to allow directly updating managed fields"). A list of one empty entry clears
    them.
    """
    version, kind = new["apiVersion"], new["kind"]
    node = schema.root(version, kind)
    managed: list[Object] = new["metadata"].get("managedFields") or []
    if managed == [{}]:
        return []
    managed = managed or (old or {}).get("metadata", {}).get("managedFields") or []
    changed, gone = difference(bare(old) if old else {}, bare(new), node)
    if not changed and not gone:
        return managed
    mine = {path for path in owned(managed, writer) if not under(path, gone)} | changed
    return taken(managed, writer, version, mine, changed, gone, now)


class ConflictError(Exception):
    """An apply conflicts with the fields of others, `found`."""

    def __init__(self, found: list[Conflict]) -> None:
        super().__init__("conflict")
        self.found = found


def applied(live: Object | None, config: Object, writer: Writer, now: str, *, force: bool) -> Object:
    """Apply a configuration to an object. Raises ConflictError unless `force`."""
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
        **{key: value for key, value in live["metadata"].items() if key in SERVERS_OWN},
        "managedFields": taken(managed, writer, version, wanted, lost, set(), now),
    }
    if version_asked := config["metadata"].get("resourceVersion"):
        new["metadata"]["resourceVersion"] = version_asked
    return {**new, "apiVersion": live["apiVersion"], "kind": live["kind"]}
