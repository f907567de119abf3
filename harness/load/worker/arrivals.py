"""The open loop: hits become due by the clock, whatever happened to those before, and take any free slot.

Due times are fixed in advance, and response times count from them: if the service stalls, or no slot is free, the hits
that become due meanwhile wait. A hit without a free slot waits for one; after `patience_ns` it is dropped. A dropped
hit leaves a row that says something about the load, not about the service.
"""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING

from harness.load.worker.timers import KernelTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.wire.slot import Slot
    from harness.load.worker.pacer import FixedRate


class Arrivals:
    """One worker's due hits and free slots. All times are on the run's clock, whose zero is `anchor_ns`."""

    def __init__(
        self, schedule: FixedRate, patience_ns: int, anchor_ns: int,
        begin: Callable[[Slot, int], None], drop: Callable[[int, int], None], *, spread: bool = True,
    ) -> None:  # fmt: skip
        self._schedule = schedule
        self._patience_ns = patience_ns
        self._anchor = anchor_ns
        self._begin = begin
        self._drop = drop  # called with when the hit was due, and when it was dropped
        self._spread = spread  # take the slot that was idle longest, so that all connections stay in use
        self._free: deque[Slot] = deque()
        self._timer = KernelTimer()
        self._n = 0
        self._start_ns = 0
        self._due_ns: int | None = None  # of the next hit; None before the start and after the end
        self._last_ns: int | None = None  # hits due after this are not part of the load
        self._busy = False

    @property
    def waiting(self) -> bool:
        """Whether the load has ended and a hit still waits for a slot."""
        return self._last_ns is not None and self._due_ns is not None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a hit is due."""
        return self._timer.fileno()

    def start(self, at_ns: int) -> None:
        """Count due times from this time on."""
        self._start_ns = at_ns
        self._due_ns = self._schedule.due_ns(at_ns, 0)
        self._timer.set(self._anchor + self._due_ns)

    def ready(self) -> None:
        """Send what is due. Called when the descriptor is readable."""
        self._timer.expirations()
        self.send(monotonic_ns() - self._anchor)

    def free(self, slot: Slot, now_ns: int) -> None:
        """Take back a slot that has become free."""
        if self._spread:
            self._free.append(slot)
        else:
            self._free.appendleft(slot)
        if self._due_ns is not None and self._due_ns <= now_ns:
            self.send(now_ns)

    def send(self, now_ns: int) -> None:
        """Send what is due as long as slots are free, and drop what has waited too long."""
        if self._busy:  # a hit that ends while it begins returns its slot here
            return
        self._busy = True
        try:
            while self._due_ns is not None and self._due_ns <= now_ns:
                due_ns = self._due_ns
                if now_ns - due_ns > self._patience_ns:
                    self._next()
                    self._drop(due_ns, now_ns)
                elif self._free:
                    self._next()
                    self._begin(self._free.popleft(), due_ns)
                else:
                    return  # no timer is needed: the next free slot, or the sweep, calls this again
        finally:
            self._busy = False
        if self._due_ns is not None:
            self._timer.set(self._anchor + self._due_ns)

    def drain(self, now_ns: int) -> None:
        """Let nothing more become due. Hits that were due already still get a slot, or are dropped in time."""
        self._last_ns = now_ns
        if self._due_ns is not None and self._due_ns > now_ns:
            self._due_ns = None
        self.send(now_ns)
        self._timer.stop()

    def end(self, now_ns: int) -> None:
        """Let nothing more become due, and drop what was due and not sent."""
        self._timer.stop()
        while self._due_ns is not None and self._due_ns <= now_ns:
            due_ns = self._due_ns
            self._next()
            self._drop(due_ns, now_ns)
        self._due_ns = None

    def leave(self) -> None:
        """Close the timer's descriptor."""
        self._timer.close()

    def retire(self) -> list[Slot]:
        """Let nothing more become due, and return the free slots."""
        self._timer.stop()
        self._due_ns = None
        idle, self._free = list(self._free), deque()
        return idle

    def _next(self) -> None:
        self._n += 1
        due_ns = self._schedule.due_ns(self._start_ns, self._n)
        self._due_ns = due_ns if self._last_ns is None or due_ns <= self._last_ns else None
