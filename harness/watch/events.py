"""The latest events about one service, and the objects as they were before these. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model import NEVER, ClusterEvent, WatchGap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.cluster.watching.watcher import Item

MOST = 20_000  # items; a service that is never at rest would fill the memory


class EventRing:
    """What a recording that begins now has to start with."""

    def __init__(self, there: Iterable[ClusterEvent] = ()) -> None:
        """`there`: the newest known event of each object that exists."""
        self._before = {event.uid: event for event in there}
        self._items: deque[Item] = deque()

    def add(self, item: Item) -> None:
        """Take an event or a gap."""
        self._items.append(item)
        if len(self._items) > MOST:
            self._fold()

    def forget(self, before_ns: int) -> None:
        """Fold what is older than a moment into the objects."""
        while self._items and _moment(self._items[0]) < before_ns:
            self._fold()

    def since(self, from_ns: int) -> list[Item]:
        """Return the objects as they were at a moment, as a first list, and what happened from then on."""
        self.forget(from_ns)
        listed = [
            replace(event, t_ns=from_ns, change="LISTED", missed=False) for event in self._before.values()
        ]
        return [*listed, *self._items]

    def _fold(self) -> None:
        item = self._items.popleft()
        if not isinstance(item, ClusterEvent) or item.kind == "Event":
            return
        if item.change == "DELETED":
            self._before.pop(item.uid, None)
        else:
            self._before[item.uid] = item


def shifted(item: Item, zero_ns: int) -> Item:
    """Return an item on a clock that begins at `zero_ns`. What began before begins with it."""
    if isinstance(item, WatchGap):
        return replace(item, from_ns=max(0, item.from_ns - zero_ns), to_ns=max(0, item.to_ns - zero_ns))
    return replace(item, t_ns=max(0, item.t_ns - zero_ns) if item.t_ns != NEVER else NEVER)


def _moment(item: Item) -> int:
    return item.to_ns if isinstance(item, WatchGap) else item.t_ns
