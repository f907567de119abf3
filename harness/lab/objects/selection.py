"""Label and field selectors: parsed from text into predicates over objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from harness.lab.objects.status import bad_request

Predicate = Callable[[dict[str, Any]], bool]

_SET = re.compile(r"^(?P<key>[^\s!=(),]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=(),]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=(),]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=(),]+)$")

# Fields that a real server supports besides metadata.name and metadata.namespace.
_FIELDS: dict[str, tuple[str, ...]] = {
    "Pod": ("spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "ReplicaSet": ("status.replicas",),
}


def labels(text: str) -> Predicate:
    """Parse `a=b,c!=d,e in (f,g),!h`; an empty text selects everything. Raises StatusError 400."""
    tests = [_label_test(part.strip()) for part in re.split(r",(?![^(]*\))", text) if part.strip()]

    def matches(item: dict[str, Any]) -> bool:
        have = item.get("metadata", {}).get("labels") or {}
        return all(test(have) for test in tests)

    return matches


def _label_test(part: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(part):
        key, wanted = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda have: have.get(key) in wanted
        return lambda have: have.get(key) not in wanted
    if found := _EQUAL.match(part):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda have: have.get(key) != value
        return lambda have: have.get(key) == value
    if found := _EXISTS.match(part):
        key, absent = found["key"], bool(found["no"])
        return lambda have: (key not in have) if absent else (key in have)
    raise bad_request(f"unable to parse requirement: found '{part}'")


def fields(text: str, kind: str) -> Predicate:
    """Parse `metadata.name=x,status.phase!=Running`. Raises StatusError 400 for a field that this kind does not
    support.
    """
    tests: list[tuple[list[str], str, bool]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _EQUAL.match(part)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        if found["key"] not in {"metadata.name", "metadata.namespace", *_FIELDS.get(kind, ())}:
            raise bad_request(f"field label not supported: {found['key']}")
        path = ["source", "component"] if found["key"] == "source" else found["key"].split(".")
        tests.append((path, found["value"], found["op"] != "!="))
    return lambda item: all((_text_at(item, path) == value) is equal for path, value, equal in tests)


def name_in(text: str) -> str:
    """Return the name that a field selector requires, or ""."""
    found = [_EQUAL.match(part.strip()) for part in text.split(",")]
    names = [f["value"] for f in found if f and f["key"] == "metadata.name" and f["op"] != "!="]
    return names[0] if len(names) == 1 else ""


def _text_at(item: Any, path: list[str]) -> str:
    for step in path:
        item = item.get(step) if isinstance(item, dict) else None
    return "" if item is None else str(item)
