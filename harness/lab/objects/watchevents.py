"""One write to the store, and the queue in which a watcher gets them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One write. `previous` is what stood there before; None for an object that is new."""

    rv: int
    type: str  # ADDED | MODIFIED | DELETED
    kind: str
    item: Object
    previous: Object | None


class Subscription:
    """The changes of some kinds, in order, from one resourceVersion on."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self._changes: deque[WatchEvent] = deque()
        self._wake = asyncio.Event()

    def push(self, change: WatchEvent) -> None:
        """Hand over one change. Called by the store."""
        self._changes.append(change)
        self._wake.set()

    async def next(self, timeout: float | None = None) -> WatchEvent | None:  # noqa: ASYNC109  a watch window, not a failure
        """Return the next change, or None when `timeout` seconds brought none."""
        while not self._changes:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                if not self._changes:  # one may have come between the deadline and here
                    return None
        return self._changes.popleft()
