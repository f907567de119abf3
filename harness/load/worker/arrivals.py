"""The open loop: hits become due by the clock, whatever happened to those before, and take any free slot.

Due times are fixed in advance, and response times count from them: if the service stalls, or no slot is free, the hits
that become due meanwhile wait. A hit without a free slot waits for one; after `patience_ns` it is dropped. A dropped
hit leaves a row that says something about the load, not about the service.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from harness.load.wire.interface import NOTHING_DUE
from harness.load.worker.timers import KernelTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.wire.interface import Pacing
    from harness.load.wire.slot import Slot
    from harness.load.worker.pacer import FixedRate

QUANTUM_NS = 500_000  # between two ticks of the timer, where hits are closer together than that
_AHEAD = 512  # due times computed at once


class Arrivals:
    """One worker's due hits and free slots. All times are on the run's clock, whose zero is `anchor_ns`.

    Due times are computed many at a time. The hot loop looks at its own clock after each batch of events, and sends
    what has become due meanwhile. A timer wakes it up for the next due hit. At a high rate it ticks by itself, every
    QUANTUM_NS, as hits come no further apart later: one wake-up serves several hits, and none has to be set for each.
    """

    def __init__(
        self, schedule: FixedRate, patience_ns: int, anchor_ns: int, pacing: Pacing,
        begin: Callable[[Slot, int], None], drop: Callable[[int, int], None], *, spread: bool = True,
    ) -> None:  # fmt: skip
        self._schedule = schedule
        self.patience_ns = patience_ns
        self._anchor = anchor_ns
        self._pacing = pacing
        self._begin = begin
        self._drop = drop  # called with when the hit was due, and when it was dropped
        self._spread = spread  # take the slot that was idle longest, so that all connections stay in use
        self._free: deque[Slot] = deque()
        self._timer = KernelTimer()
        self._armed_ns = NOTHING_DUE  # when it expires, if that is for one hit
        self.ticking = False
        self._start_ns = 0
        self._n = 0  # of the first hit after those in `_dues`
        self._dues: list[int] = []  # the next ones, the latest first
        self._last_ns = NOTHING_DUE  # hits due after this are not part of the load
        self._busy = False
        pacing.arrivals = self
        # Only an owner that does nothing after a hit may be passed over.
        pacing.free = None if pacing.slow_path or not spread else self._free

    @property
    def waiting(self) -> bool:
        """Whether the load has ended and a hit still waits for a slot."""
        return max(self._last_ns, self._pacing.due_ns) < NOTHING_DUE

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a hit is due."""
        return self._timer.fileno()

    def start(self, at_ns: int) -> None:
        """Count due times from this time on."""
        self._start_ns = at_ns
        self.next()
        self.arm(at_ns - 1)

    def ready(self) -> None:
        """Note that the timer has expired. The hot loop, which calls this, sends what is due."""
        self._armed_ns = NOTHING_DUE
        if self.ticking:  # the kernel sets a timer for the next tick when this one is read
            self._timer.expirations()

    def arm(self, now_ns: int) -> None:
        """Be woken up when the next hit is due. One that is due already waits for a free slot, or for the sweep."""
        due_ns = self._pacing.due_ns
        if self.ticking or not now_ns < due_ns < min(self._armed_ns, NOTHING_DUE):
            return
        if self._dues and self._dues[-1] - due_ns < QUANTUM_NS:
            self._timer.set(self._anchor + due_ns, QUANTUM_NS)
            self.ticking = True
        else:
            self._timer.set(self._anchor + due_ns)
            self._armed_ns = due_ns

    def next(self) -> int:
        """Go on to the next hit, and return when the first one was due."""
        if not self._dues:
            self._dues = self._schedule.dues_ns(self._start_ns, self._n, _AHEAD)[::-1]
            self._n += _AHEAD
        first_ns, due_ns = self._pacing.due_ns, self._dues.pop()
        self._pacing.due_ns = due_ns if due_ns <= self._last_ns else NOTHING_DUE
        return first_ns

    def free(self, slot: Slot, now_ns: int) -> None:
        """Take back a slot that has become free."""
        if self._spread:
            self._free.append(slot)
        else:
            self._free.appendleft(slot)
        if self._pacing.due_ns <= now_ns:
            self.send(now_ns)

    def send(self, now_ns: int) -> None:
        """Send what is due as long as slots are free, and drop what has waited too long."""
        if self._busy:  # a hit that ends while it begins returns its slot here
            return
        self._busy = True
        try:
            while (due_ns := self._pacing.due_ns) <= now_ns:
                if not self._free and now_ns - due_ns <= self.patience_ns:
                    return
                self.send_first(now_ns)
        finally:
            self._busy = False
        self.arm(now_ns)

    def send_first(self, now_ns: int) -> None:
        """Send the first hit on the first free slot, or drop it if it has waited too long."""
        due_ns = self.next()
        if now_ns - due_ns > self.patience_ns:
            self._drop(due_ns, now_ns)
        else:
            self._begin(self._free.popleft(), due_ns)

    def drain(self, now_ns: int) -> None:
        """Let nothing more become due. Hits that were due already still get a slot, or are dropped in time."""
        self._last_ns = now_ns
        if self._pacing.due_ns > now_ns:
            self._pacing.due_ns = NOTHING_DUE
        self.send(now_ns)
        self._stop()

    def end(self, now_ns: int) -> None:
        """Let nothing more become due, and drop what was due and not sent."""
        self._stop()
        while self._pacing.due_ns <= now_ns:
            self._drop(self.next(), now_ns)
        self._pacing.due_ns = NOTHING_DUE

    def leave(self) -> None:
        """Close the timer's descriptor."""
        self._timer.close()

    def retire(self) -> list[Slot]:
        """Let nothing more become due, and return the free slots."""
        self._stop()
        self._pacing.due_ns, self._pacing.arrivals, self._pacing.free = NOTHING_DUE, None, None
        idle, self._free = list(self._free), deque()
        return idle

    def _stop(self) -> None:
        self._timer.stop()
        self.ticking = False
