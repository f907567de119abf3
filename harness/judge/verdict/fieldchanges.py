"""What a person changed in a manifest between two runs: fields that differ, without what only the server wrote. Pure.

It imports nothing heavy: the history of a thousand runs asks it, too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.judge.verdict.bookkeeping import ABSENT, by_the_server, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one object that differs."""

    path: str
    before: str
    after: str


def field_changes(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[FieldChange, ...]:
    """List every field that a person made differ. Lists of named things (containers, ports) are matched by name."""
    by_key = [_by_key(before), _by_key(after)]
    # One object of a kind on each side is the same thing, perhaps under another name.
    lone = {
        kind for kind in _kinds(by_key[0]) & _kinds(by_key[1]) if all(_only(kind, side) for side in by_key)
    }
    old, new = ({_key(key, lone): fields for key, fields in side.items()} for side in by_key)
    changes = []
    for key in sorted(old.keys() | new.keys()):
        left, right = old.get(key, {}), new.get(key, {})
        for path in sorted(left.keys() | right.keys()):
            if not same(key.partition("/")[0], path, left, right):
                changes += _change(f"{key} {path}", left.get(path, ABSENT), right.get(path, ABSENT))
    return tuple(changes)


def fingerprint(objects: Sequence[Mapping[str, Any]]) -> str:
    """Return a digest of all fields that a person may have written: equal ones leave nothing for `field_changes`."""
    found = sorted((*key, *field) for key, fields in _by_key(objects).items() for field in fields.items())
    return hashlib.sha256(json.dumps(found).encode()).hexdigest() if objects else ""


def _change(path: str, was: str, now: str) -> list[FieldChange]:
    """Return a difference. An older recording may hold what a newer one hides: that is none, and not to be shown."""
    if ABSENT not in {was, now} and (masking.HIDDEN in was) != (masking.HIDDEN in now):
        if masking.HIDDEN in {was, now}:
            return []
        was, now = (side if masking.HIDDEN in side else masking.HIDDEN for side in (was, now))
    return [FieldChange(path, was, now)]


def _by_key(objects: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, str]]:
    found = {}
    for item in objects:
        meta = item.get("metadata") or {}
        fields = {
            path: value
            for path, value in _flat(item, "")
            if not by_the_server(path) and path not in {"kind", "apiVersion"}
        }
        found[str(item.get("kind") or "Object"), str(meta.get("name") or "?")] = fields
    return found


def _kinds(objects: Mapping[tuple[str, str], object]) -> set[str]:
    return {kind for kind, _ in objects}


def _only(kind: str, objects: Mapping[tuple[str, str], object]) -> bool:
    return sum(key[0] == kind for key in objects) == 1


def _key(key: tuple[str, str], lone: set[str]) -> str:
    return key[0] if key[0] in lone else "/".join(key)


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{item.get('name', index)}]")
    elif value is not None and value != []:  # to the API server, both are as if not given
        yield path, " ".join(map(str, value)) if isinstance(value, list) else str(value)
