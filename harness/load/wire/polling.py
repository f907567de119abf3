"""What both protocols share: the epoll set of one worker, its clock, and how long the hot loop goes on."""

from __future__ import annotations

from array import array
from fcntl import ioctl
from select import EPOLLET, EPOLLIN, epoll
from termios import FIONREAD
from time import monotonic_ns
from typing import TYPE_CHECKING

from harness.load.rows.writing import HitRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.wire.interface import Pacing
    from harness.load.wire.slot import Slot

_HOLD_NS = 1_000_000  # how long the hot loop may keep the event loop waiting, if that has work for slots
_OPEN_BATCH = (
    32  # events served at a time in an open loop: what becomes due meanwhile waits for the rest of them
)


class Polling:
    """Times are on the run's clock, whose zero is `anchor_ns` on the monotonic clock."""

    def __init__(self, anchor_ns: int, pacing: Pacing) -> None:
        self._anchor = anchor_ns
        self._pacing = pacing
        self._alone = True  # a connection has one hit at a time, so nothing may come on it between two
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll = epoll()
        # The kernel writes here how many bytes wait to be read. Allocated once, which is cheapest.
        self._waiting = array("i", [0])
        self.seq = 0  # of the next hit; not in Pacing, because the hot loop writes it

    def watch(self, fd: int, ready: Callable[[], None], *, edge: bool = False) -> None:
        """Call `ready` whenever this descriptor is readable, with the same delay as responses have.

        `edge`: once each time that it becomes readable, though nobody reads it.
        """
        self._watched[fd] = ready
        self._epoll.register(fd, EPOLLIN | EPOLLET if edge else EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Stop watching this descriptor."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    def leave(self) -> None:
        """Close the epoll set."""
        self._epoll.close()

    def fileno(self) -> int:
        """Return the descriptor that is readable when `ready` has work to do."""
        return self._epoll.fileno()

    def now(self) -> int:
        """Return the time on the run's clock."""
        return monotonic_ns() - self._anchor

    def take_seq(self) -> int:
        """Return the number of the next hit, and count it."""
        seq, self.seq = self.seq, self.seq + 1
        return seq

    def ready(self) -> None:
        """Serve everything that is ready, and what becomes ready meanwhile. Called by the event loop."""
        soon = self.now() + _HOLD_NS
        pacing = self._pacing
        arrivals = pacing.arrivals
        most = HitRows.BATCH if arrivals is None else _OPEN_BATCH
        poll = self._epoll.poll
        events = poll(0, most)
        while events:
            now = self._batch(events)
            if pacing.due_ns <= now:
                self._send_due(now)
            elif (arrivals := pacing.arrivals) is not None and not arrivals.ticking:
                arrivals.arm(now)
            until = soon if pacing.opening or pacing.timers or pacing.draining else pacing.wanted_ns
            if now >= until:
                return
            events = poll(0 if pacing.opening else (until - now) / 1e9, most)

    def _send_due(self, now: int) -> None:
        """Send what is due on free connections. What is not simple is left to the arrivals."""
        pacing = self._pacing
        arrivals, free = pacing.arrivals, pacing.free
        if arrivals is None:
            return
        if free is None:
            arrivals.send(now)
            return
        oldest = now - arrivals.patience_ns
        while pacing.due_ns <= now and free:
            slot = free[0]
            origin = slot.prepared.origin
            elsewhere = origin is not slot.origin and origin != slot.origin
            if pacing.due_ns < oldest or slot.sock is None or elsewhere:
                arrivals.send_first(now)
                continue
            if self._alone:
                ioctl(slot.fd, FIONREAD, self._waiting)
                if self._waiting[0]:  # something came while it was idle
                    arrivals.send_first(now)
                    continue
            free.popleft()
            slot.due = arrivals.next()
            self.send(slot)
        if pacing.due_ns < oldest:
            arrivals.send(now)
        arrivals.arm(now)

    def send(self, slot: Slot) -> None:
        """Send the slot's request."""
        raise NotImplementedError

    def _batch(self, events: list[tuple[int, int]]) -> int:
        """Serve these events, and return the time."""
        raise NotImplementedError
