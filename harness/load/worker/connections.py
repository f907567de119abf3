"""The connections of one worker's slots: opened in the background, numbered, and each recorded as a row when closed."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from harness.load import failures
from harness.load.eventloop import report_failure
from harness.load.rows.writing import ConnectionRow, ConnectionRows, HitRows, Opening
from harness.model import NEVER, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from harness.load.dial import Address, Dialled, Dialler
    from harness.load.failures import Ending
    from harness.load.request import Origin
    from harness.load.wire.interface import Pacing, SlotOwner, Wire
    from harness.load.wire.slot import Slot
    from harness.model import LoadPlan

_AT_ONCE_NS = 1_000_000_000  # a new connection "works at once" if it opens within this time


class Connections:
    """Opens and closes the slots' connections. The owner decides what follows."""

    def __init__(
        self, owner: SlotOwner, wire: Wire, pacing: Pacing, dialler: Dialler, limits: Limits,
        rows: HitRows, connection_rows: ConnectionRows, anchor_ns: int,
    ) -> None:  # fmt: skip
        self._owner = owner
        self._wire = wire
        self._pacing = pacing
        self._dialler = dialler
        self._limits = limits
        self._rows = rows
        self._connection_rows = connection_rows
        self._anchor = anchor_ns
        self._conns = 0

    def open(self, slot: Slot) -> None:
        """Open a connection for the slot's hit, and send the request."""
        self._spawn(slot, self._open(slot))

    def probe(self, slot: Slot, origin: Origin, address: Address, outcome: Outcome, done_ns: int) -> None:
        """Tell a keep-alive race from a server that is gone: see whether a new connection works at once."""
        self._spawn(slot, self._probe(slot, origin, address, outcome, done_ns))

    def close(self, slot: Slot, ending: Ending, now: int) -> None:
        """Close the connection and write its row."""
        self._connection_rows.add(ConnectionRow(slot.conn, slot.index, slot.opening, now, ending, slot.hits))
        self._wire.detach(slot)

    def number(self, slot: Slot, conn: int, peer: str) -> None:
        """Give a number to a hit that was never sent: it takes its place in the order when it fails."""
        slot.seq = self._wire.take_seq()
        slot.hits = 0
        slot.ident = self._rows.ident(slot.index, conn, peer)

    async def _open(self, slot: Slot) -> None:
        origin = slot.prepared.origin
        dialled = await self._dialler.open(origin)
        slot.task = None
        if dialled.outcome is None:
            self._opened(slot, origin, dialled)
        else:
            self._not_opened(slot, dialled)

    def _opened(self, slot: Slot, origin: Origin, dialled: Dialled) -> None:
        slot.failed_connects = 0
        slot.origin = origin
        self._adopt(slot, dialled)
        ending = self._wire.check_idle(slot)
        if ending is None:
            self._wire.send(slot)
        else:
            self._unusable(slot, ending)

    def _not_opened(self, slot: Slot, dialled: Dialled) -> None:
        if dialled.outcome is None:
            raise AssertionError("a connection that opened")
        now = self._wire.now()
        conn = self._unopened(slot, dialled, now)
        # A connection whose TLS handshake failed belongs to the hit; one that never opened does not.
        self.number(slot, NEVER if dialled.connect_ns == NEVER else conn, dialled.peer)
        self._owner.keep_sample(dialled.outcome, dialled.text)
        self._owner.connect_failed(slot, dialled.outcome, now)

    def _unusable(self, slot: Slot, ending: Ending) -> None:
        """Fail a hit whose new connection sent bytes, or ended, before the request was sent."""
        now = self._wire.now()
        sent_bytes = ending.by == failures.US
        reset = ending.how == failures.RESET
        ended = Outcome.RESET_BEFORE_RESPONSE if reset else Outcome.EOF_BEFORE_RESPONSE
        outcome = Outcome.PROTOCOL_ERROR if sent_bytes else ended
        self.number(slot, slot.conn, slot.opening.peer)
        self.close(slot, ending, now)
        text = "bytes before the request" if sent_bytes else "end before the request"
        self._owner.keep_sample(outcome, text)
        self._owner.row(slot, outcome, now)
        self._owner.hit_done(slot, now, failed=True)

    async def _probe(
        self, slot: Slot, origin: Origin, address: Address, outcome: Outcome, done_ns: int
    ) -> None:
        timeout_ns = min(self._dialler.plan.timeout_ns, _AT_ONCE_NS)
        dialled = await self._dialler.open_at(origin, address, timeout_ns)
        slot.task = None
        slot.held = None
        if dialled.outcome is None:
            self._owner.keep_sample(Outcome.IDLE_CLOSE_RACE, self._owner.sample(outcome))
            self._owner.row(slot, Outcome.IDLE_CLOSE_RACE, done_ns)
            self._adopt(slot, dialled)  # for the slot's next hit
        else:
            self._owner.row(slot, outcome, done_ns)
            self._unopened(slot, dialled, self._wire.now())
        self._owner.hit_done(slot, done_ns, failed=True)

    def _adopt(self, slot: Slot, dialled: Dialled) -> None:
        slot.address = dialled.address
        slot.conn, self._conns = self._conns, self._conns + 1
        slot.ident = self._rows.ident(slot.index, slot.conn, dialled.peer)
        slot.opening = self._opening(dialled)
        self._wire.attach(slot, dialled.sock)
        self._limits.draw(slot)

    def _unopened(self, slot: Slot, dialled: Dialled, now: int) -> int:
        """Write the row of a connection that failed to open, if it was attempted, and return its number."""
        if dialled.ending is None:
            return NEVER
        conn, self._conns = self._conns, self._conns + 1
        self._connection_rows.add(
            ConnectionRow(conn, slot.index, self._opening(dialled), now, dialled.ending, 0)
        )
        return conn

    def _opening(self, dialled: Dialled) -> Opening:
        opened_ns = dialled.opened_ns - self._anchor
        return Opening(opened_ns, dialled.connect_ns, dialled.tls_ns, dialled.peer, dialled.tls_version)

    def _spawn(self, slot: Slot, work: Coroutine[None, None, None]) -> None:
        self._pacing.opening += 1
        slot.task = asyncio.get_running_loop().create_task(work)
        slot.task.add_done_callback(self._opened_or_not)

    def _opened_or_not(self, task: asyncio.Task[None]) -> None:
        self._pacing.opening -= 1
        report_failure(task)


class Limits:
    """How many hits a connection may carry and how old it may get: between half of the plan's number and all of it.

    Each connection draws its own limits, so that they do not all end at once.
    """

    __slots__ = ("_age_ns", "_hits", "_random", "any")

    def __init__(self, plan: LoadPlan, seed: int) -> None:
        self._hits = plan.conn_max_hits if plan.keepalive else 1
        self._age_ns = plan.conn_max_age_ns if plan.keepalive else 0
        self._random = Random(seed)  # noqa: S311  not for security
        self.any = bool(self._hits or self._age_ns)

    def draw(self, slot: Slot) -> None:
        """Draw the limits of the slot's new connection."""
        if self._hits:
            slot.last_hit = self._random.randint((self._hits + 1) // 2, self._hits)
        if self._age_ns:
            slot.old_at = slot.opening.opened_ns + self._random.randint(self._age_ns // 2, self._age_ns)

    def reached(self, slot: Slot, now: int) -> bool:
        """Return whether the slot's connection has reached one of its limits."""
        return bool((slot.last_hit and slot.hits >= slot.last_hit) or (slot.old_at and now >= slot.old_at))
