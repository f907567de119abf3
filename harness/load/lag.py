"""How late a ready socket is served: a timer of the kernel's own, in the same epoll set as the connections.

An event loop's timers are rounded to milliseconds and run apart from its sockets. A timerfd becomes readable at a
known nanosecond, as a response would, so the delay until it is read is what every measured time has on top.
"""

from __future__ import annotations

import ctypes
import os
import time

_PERIOD_NS = 10_000_000
_NS = 1_000_000_000
_ABSOLUTE = 1


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Schedule(ctypes.Structure):
    _fields_ = (("every", _Moment), ("first", _Moment))


class Lag:
    """Samples the delay a hundred times a second."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create came with Python 3.13
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._due_ns = 0
        self._seen: list[int] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at each sample."""
        return int(self._fd)

    def start(self) -> None:
        """Let the samples begin."""
        self._due_ns = time.monotonic_ns() + _PERIOD_NS
        schedule = _Schedule(_Moment(0, _PERIOD_NS), _Moment(*divmod(self._due_ns, _NS)))
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(schedule), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def look(self) -> None:
        """Take a sample; called when the descriptor is readable."""
        now_ns = time.monotonic_ns()
        try:
            expired = int.from_bytes(os.read(self._fd, 8), "little")
        except BlockingIOError:
            return
        for _ in range(expired):  # those that were missed waited too, from their own due time on
            self._seen.append(now_ns - self._due_ns)
            self._due_ns += _PERIOD_NS

    def take(self) -> tuple[int, int]:
        """Return p99 and maximum of the samples since the last call, in nanoseconds."""
        seen, self._seen = sorted(self._seen), []
        return (seen[(len(seen) - 1) * 99 // 100], seen[-1]) if seen else (0, 0)
