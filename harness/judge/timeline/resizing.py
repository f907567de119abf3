"""Resizes in place: the containers of a living pod get other resources, and no pod is replaced (KEP-1287, on by
default from 1.33).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Resizing:
    """What one pod's containers may use, as its events go by. `resized` is its first change: "web cpu 250m -> 500m"."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.resized_ns: int | None = None
        self.resized = ""

    def see(self, spec: Mapping[str, Any], t_ns: int) -> None:
        """Take in a pod's spec as it is now. A pod's resources change in no other way than by a resize."""
        now = _resources(spec)
        changed = [name for name in now if self._known.get(name, now[name]) != now[name]]
        if changed and self.resized_ns is None:
            self.resized_ns = t_ns
            self.resized = ", ".join(f"{name} {self._known[name]} -> {now[name]}" for name in changed)
        self._known |= now


def _resources(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return what the containers of a pod's spec may use, by container and resource: the limit, else the request."""
    return {
        f"{container.get('name', '?')} {name}": str(amount)
        for container in spec.get("containers") or []
        for sort in ("requests", "limits")
        for name, amount in ((container.get("resources") or {}).get(sort) or {}).items()
    }
