"""When a slot's next hit is due. Pure: the time is an argument.

The closed loop: each slot has one hit in flight and sends the next when that one has ended. After a failed hit the slot
waits for the rest of a usual cycle, so that fast 502s do not multiply the rate; after a failed connect it waits 50 ms,
doubling to 1 s.

The open loop: hits are due at fixed times.
"""

from __future__ import annotations

from math import gcd, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# The first hits of a run are spread over this time: a burst of a few hundred SYNs overflows the backlog of a
# small server, and slots that start in step stay in step, which distorts every latency that is measured.
SPREAD_NS = 500_000_000
CONNECT_WAIT_NS = 50_000_000
CONNECT_WAIT_MAX_NS = 1_000_000_000


class ClosedLoop:
    """One worker's pacer. With `backoff=False` it sends on whatever comes back, as most load testers do."""

    __slots__ = ("_backoff", "_concurrency", "cycle_ns")

    def __init__(self, concurrency: int, *, backoff: bool) -> None:
        self._concurrency = concurrency
        self._backoff = backoff
        self.cycle_ns = 0  # the median cycle of the baseline; 0 until it is known

    def first_ns(self, start_ns: int, slot: int) -> int:
        """Return when the slot (numbered over all workers) sends its first hit."""
        return start_ns + SPREAD_NS * slot // self._concurrency

    def after_hit_ns(self, due_ns: int, done_ns: int, *, failed: bool) -> int:
        """Return when the slot may send again after a hit that reached a server."""
        if failed and self._backoff:
            return max(done_ns, due_ns + self.cycle_ns)
        return done_ns

    def after_failed_connect_ns(self, done_ns: int, in_a_row: int) -> int:
        """Return when the slot may try again; `in_a_row` counts its failed connects, this one included."""
        if not self._backoff:
            return done_ns
        return done_ns + min(CONNECT_WAIT_NS << min(in_a_row - 1, 10), CONNECT_WAIT_MAX_NS)


class FixedRate:
    """The open loop: `rate` hits per second over all workers, evenly spaced; with a ramp, rising evenly from 0 to that.

    Hits are dealt to `of` places in turn, and this worker sends those of its `own` places. With one place per slot, a
    worker's share of the hits is its share of the slots.
    """

    __slots__ = ("_of", "_own", "_ramp_s", "_rate")

    def __init__(self, rate: float, own: Sequence[int] = (0,), of: int = 1, ramp_ns: int = 0) -> None:
        self._rate = rate
        self._own = own  # ascending
        self._of = of
        self._ramp_s = ramp_ns / 1e9

    def due_ns(self, start_ns: int, n: int) -> int:
        """Return when this worker's n-th hit (from 0) is due."""
        rounds, at = divmod(n, len(self._own))
        hit = rounds * self._of + self._own[at]
        on_the_ramp = self._rate * self._ramp_s / 2
        if hit < on_the_ramp:  # rate * t^2 / (2 * ramp) hits have become due by t
            return start_ns + round(sqrt(2 * hit * self._ramp_s / self._rate) * 1e9)
        return start_ns + round((self._ramp_s + (hit - on_the_ramp) / self._rate) * 1e9)

    def dues_ns(self, start_ns: int, n: int, count: int) -> list[int]:
        """Return the same for `count` hits from the n-th on, which costs less than one by one."""
        rounds, at = np.divmod(np.arange(n, n + count), len(self._own))
        hits = rounds * self._of + np.array(self._own)[at]
        on_the_ramp = self._rate * self._ramp_s / 2
        seconds = self._ramp_s + (hits - on_the_ramp) / self._rate
        if on_the_ramp:
            rising = hits < on_the_ramp
            seconds[rising] = np.sqrt(2 * hits[rising] * self._ramp_s / self._rate)
        dues: list[int] = (start_ns + np.rint(seconds * 1e9).astype(np.int64)).tolist()
        return dues


def turns(weights: Sequence[int]) -> list[int]:
    """Return one round of targets, by index: each as often as its weight says, spread as evenly as possible."""
    parts = gcd(*weights)
    # Of a target's n turns, the k-th belongs in the middle of the k-th of n equal parts of the round.
    places = [
        ((turn + 0.5) / (weight // parts), index)
        for index, weight in enumerate(weights)
        for turn in range(weight // parts)
    ]
    return [index for _, index in sorted(places)]
