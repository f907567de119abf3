"""Connections that several slots share, over HTTP/2: each slot has at most one hit, and so one stream, on its own.

Slots belong together in groups, by their index. A group has one connection that takes new hits, and none at first: the
first slot that needs it opens it, and the others wait for that. When a slot leaves its connection (a server's GOAWAY, a
timeout, a limit), it gets no more hits of anybody. It is closed when the last hit on it is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.load.failures import FIN, US, Ending
from harness.load.rows.writing import ConnectionRow
from harness.load.wire.slot import DIALLING, READING, SENDING, WAITING
from harness.load.worker.connections import Connections
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.dial import Dialled
    from harness.load.request import Origin
    from harness.load.wire.slot import Slot

_ON_IT = frozenset({SENDING, WAITING, READING})


@dataclass(slots=True, eq=False)
class _Shared:
    """An open connection and the slots that use it."""

    first: Slot  # who opened it
    sock: Any
    ident: int
    dialled: Dialled
    users: set[Slot] = field(default_factory=set)
    hits: int = 0
    ending: Ending | None = None  # once it gets no more hits


class SharedConnections(Connections):
    """The connections of groups of `streams` slots."""

    def __init__(self, streams: int, *parts: Any) -> None:
        super().__init__(*parts)
        self._streams = streams
        self._current: dict[int, _Shared] = {}  # by group: takes new hits
        self._open_ones: dict[int, _Shared] = {}  # by number
        self._waiting: dict[int, list[Slot]] = {}  # by group: for the one that is being opened

    def open(self, slot: Slot) -> None:
        """Let the slot use its group's connection, or wait for it, or open it, and send the request."""
        group = slot.index // self._streams
        if (shared := self._current.get(group)) is not None:
            self._join(slot, shared)
            self._wire.send(slot)
        elif (waiting := self._waiting.get(group)) is not None:
            waiting.append(slot)
        else:
            self._waiting[group] = []
            super().open(slot)

    def close(self, slot: Slot, ending: Ending, now: int) -> None:
        """Let the slot leave its connection, which gets no more hits, and close it if nobody is left on it."""
        shared = self._open_ones[slot.conn]
        shared.ending = shared.ending or ending
        group = slot.index // self._streams
        if self._current.get(group) is shared:
            del self._current[group]
        for user in [slot, *(user for user in shared.users if user is not slot and user.state not in _ON_IT)]:
            shared.users.discard(user)
            shared.hits = max(shared.hits, user.hits)
            self._wire.detach(user)
        if not shared.users:
            del self._open_ones[slot.conn]
            self._connection_rows.add(
                ConnectionRow(slot.conn, shared.first.index, slot.opening, now, shared.ending, shared.hits)
            )

    def _opened(self, slot: Slot, origin: Origin, dialled: Dialled) -> None:
        waiting = self._waiting.pop(slot.index // self._streams)
        super()._opened(slot, origin, dialled)
        for other in waiting:
            if other.state == DIALLING:
                self.open(other)

    def _not_opened(self, slot: Slot, dialled: Dialled) -> None:
        waiting = self._waiting.pop(slot.index // self._streams)
        super()._not_opened(slot, dialled)
        now = self._wire.now()
        for other in waiting:
            if other.state == DIALLING and dialled.outcome is not None:
                self.number(other, NEVER, dialled.peer)
                self._owner.connect_failed(other, dialled.outcome, now)

    def _adopt(self, slot: Slot, dialled: Dialled) -> None:
        group = slot.index // self._streams
        if (shared := self._current.get(group)) is not None:  # a probe, or the dial during one, was faster
            self._wasted(slot, dialled)
            self._join(slot, shared)
            return
        super()._adopt(slot, dialled)
        shared = _Shared(slot, dialled.sock, slot.ident, dialled, {slot})
        self._current[group] = self._open_ones[slot.conn] = shared

    def _wasted(self, slot: Slot, dialled: Dialled) -> None:
        """Close a connection that nobody needs, and write its row."""
        conn, self._conns = self._conns, self._conns + 1
        now = self._wire.now()
        opening = self._opening(dialled)
        self._connection_rows.add(ConnectionRow(conn, slot.index, opening, now, Ending(US, FIN), 0))
        if dialled.sock is not None:
            dialled.sock.close()

    def _join(self, slot: Slot, shared: _Shared) -> None:
        first, dialled = shared.first, shared.dialled
        shared.users.add(slot)
        slot.failed_connects = 0
        slot.origin = slot.prepared.origin
        slot.address, slot.opening = dialled.address, self._opening(dialled)
        slot.conn = shared.ident & 0xFFFF_FFFF
        slot.ident = self._rows.ident(slot.index, slot.conn, dialled.peer)
        slot.last_hit, slot.old_at = first.last_hit, first.old_at
        self._wire.attach(slot, shared.sock)


def connections_of(streams: int) -> Callable[..., Connections]:
    """Choose how slots get their connections."""
    return Connections if streams == 1 else partial(SharedConnections, streams)
