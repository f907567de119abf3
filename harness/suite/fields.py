"""Fields of a scenario that a suite file sets: merged, checked, and with paths that do not depend on a folder. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_WHOLE = frozenset({"target.headers"})  # mappings that are one field
_FILES = frozenset({"target.body_file", "target.cacert", "target.cert", "target.key", "load.targets"})
_OF_FILES = ("apply", "replace")  # triggers that name a file


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both mappings as one, at any depth; what both say is as `over` says it."""
    found = dict(under)
    for key, value in over.items():
        old = found.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        found[key] = merged(old, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return found


def anchored(fields: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return the same fields; paths in them, which are relative to the folder `base`, are absolute."""
    found = {
        key: anchored(value, base) if isinstance(value, dict) else value for key, value in fields.items()
    }
    _anchor(found, base)
    return found


def _anchor(found: dict[str, Any], base: Path) -> None:
    for part in ("target", "load"):
        inner = found.get(part)
        if isinstance(inner, dict):
            for name, value in inner.items():
                if f"{part}.{name}" in _FILES and isinstance(value, str):
                    inner[name] = _absolute(value, base)
    if isinstance(found.get("manifests"), list):
        found["manifests"] = [
            _absolute(one, base) if isinstance(one, str) else one for one in found["manifests"]
        ]
    rollout = found.get("rollout")
    if isinstance(rollout, dict) and isinstance(rollout.get("trigger"), str):
        kind, _, file = rollout["trigger"].strip().partition(" ")
        if kind in _OF_FILES and file.strip():
            rollout["trigger"] = f"{kind} {_absolute(file.strip(), base)}"


def _absolute(path: str, base: Path) -> str:
    return str((base / path).absolute())


def dotted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested fields by their dotted names, as flags of the command line are: {"load.concurrency": 20}."""
    return dict(_dotted(fields, ""))


def _dotted(fields: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, dict) and value and name not in _WHOLE:
            yield from _dotted(value, name)
        else:
            yield name, value
