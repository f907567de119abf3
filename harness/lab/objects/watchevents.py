"""Writes to the store as events, and a watcher's queue of them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One write. `previous` is the object before it; None for a new object."""

    rv: int
    type: str  # ADDED | MODIFIED | DELETED
    kind: str
    item: Object
    previous: Object | None


class Subscription:
    """The events of some kinds, in order."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self._changes: deque[WatchEvent] = deque()
        self._wake = asyncio.Event()

    def push(self, change: WatchEvent) -> None:
        """Add one event. Called by the store."""
        self._changes.append(change)
        self._wake.set()

    async def next(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  the end of a watch, not a failure
    ) -> WatchEvent | None:
        """Return the next event, or None if there is none for `timeout` seconds."""
        while not self._changes:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                if not self._changes:  # one may have arrived after the deadline
                    return None
        return self._changes.popleft()
