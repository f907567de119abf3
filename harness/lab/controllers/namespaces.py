"""Namespaces: each gets a ServiceAccount `default`; one that is being deleted is emptied first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.objects.resources import BY_KIND

if TYPE_CHECKING:
    from harness.lab.objects.store import Store

_AGAIN_S = 0.2


class Namespaces:
    """The namespace controller."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sync(self, key: tuple[str, str]) -> float | None:
        """Sync one namespace; return the seconds until the next sync, or None."""
        space = self._store.find("Namespace", *key)
        if space is None:
            return None
        name = key[1]
        if "deletionTimestamp" not in space["metadata"]:
            if self._store.find("ServiceAccount", name, "default") is None:
                self._store.create(
                    {
                        "apiVersion": "v1",
                        "kind": "ServiceAccount",
                        "metadata": {"name": "default", "namespace": name},
                    }
                )
            return None
        # Owners first: they would recreate what they own.
        kinds = ("Deployment", "StatefulSet", "DaemonSet", *(k for k, r in BY_KIND.items() if r.namespaced))
        for kind in kinds:
            for item in self._store.list(kind, name):
                if "deletionTimestamp" not in item["metadata"] and self._store.find(
                    kind, name, item["metadata"]["name"]
                ):
                    self._store.delete(item)
        if any(self._store.list(kind, name) for kind in kinds):
            return _AGAIN_S  # pods take their grace period
        self._store.delete(space, grace_s=0)
        return None
