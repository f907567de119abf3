"""How late a ready socket is served: a timer of the kernel's own, in the same epoll set as the connections.

An event loop's timers are rounded to milliseconds and run apart from its sockets. A timerfd becomes readable at a
known nanosecond, as a response would, so the delay until it is read is what every measured time has on top.
Each sample wakes the worker up for itself: at forty a second, two workers at a low rate pay little for them.
"""

from __future__ import annotations

import time

from harness.load.alarm import Alarm

_PERIOD_NS = 25_000_000


class Lag:
    """Samples the delay forty times a second."""

    def __init__(self) -> None:
        self._alarm = Alarm()
        self._due_ns = 0
        self._seen: list[int] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at each sample."""
        return self._alarm.fileno()

    def start(self) -> None:
        """Let the samples begin."""
        self._due_ns = time.monotonic_ns() + _PERIOD_NS
        self._alarm.set(self._due_ns, _PERIOD_NS)

    def look(self) -> None:
        """Take a sample; called when the descriptor is readable."""
        now_ns = time.monotonic_ns()
        for _ in range(
            self._alarm.gone_off()
        ):  # those that were missed waited too, from their own due time on
            self._seen.append(now_ns - self._due_ns)
            self._due_ns += _PERIOD_NS

    def take(self) -> tuple[int, int]:
        """Return p99 and maximum of the samples since the last call, in nanoseconds."""
        seen, self._seen = sorted(self._seen), []
        return (seen[(len(seen) - 1) * 99 // 100], seen[-1]) if seen else (0, 0)
