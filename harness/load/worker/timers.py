"""Kernel timers that become readable like a socket, and the lag that one of them measures: how late a socket is read.

An event loop's own timers are rounded to milliseconds and handled apart from its sockets. A timerfd becomes readable
at a known nanosecond, like a response, so the delay until it is read is the error of every time that is measured.
"""

from __future__ import annotations

import ctypes
import os
import time

from harness.clock import NS

_ABSOLUTE = 1
# Each sample wakes the worker up. At forty a second, this costs two workers at a low rate little.
_PERIOD_NS = 25_000_000


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Schedule(ctypes.Structure):
    _fields_ = (("every", _Moment), ("first", _Moment))


class KernelTimer:
    """A timerfd. Times are on the raw monotonic clock."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create came with Python 3.13
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._schedule = _Schedule()
        self._given = ctypes.byref(self._schedule)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the timer expires."""
        return int(self._fd)

    def set(self, at_ns: int, every_ns: int = 0) -> None:
        """Expire at this time (at once if it is past), and then again every `every_ns`, if not 0."""
        every, first = self._schedule.every, self._schedule.first
        every.seconds, every.nanoseconds = divmod(every_ns, NS)
        first.seconds, first.nanoseconds = divmod(max(at_ns, 1), NS)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._given, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def stop(self) -> None:
        """Do not expire any more."""
        self._libc.timerfd_settime(self._fd, 0, ctypes.byref(_Schedule()), None)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def expirations(self) -> int:
        """Return how often it has expired since the last call."""
        try:
            return int.from_bytes(os.read(self._fd, 8), "little")
        except BlockingIOError:
            return 0


class Lag:
    """Samples the delay forty times a second."""

    def __init__(self) -> None:
        self._timer = KernelTimer()
        self._due_ns = 0
        self._seen: list[int] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at each sample."""
        return self._timer.fileno()

    def start(self) -> None:
        """Begin to sample."""
        self._due_ns = time.monotonic_ns() + _PERIOD_NS
        self._timer.set(self._due_ns, _PERIOD_NS)

    def take_sample(self) -> None:
        """Take a sample. Called when the descriptor is readable."""
        now_ns = time.monotonic_ns()
        for _ in range(
            self._timer.expirations()
        ):  # a missed one was late, too, counted from its own due time
            self._seen.append(now_ns - self._due_ns)
            self._due_ns += _PERIOD_NS

    def take(self) -> tuple[int, int]:
        """Return p99 and maximum of the samples since the last call, in nanoseconds."""
        seen, self._seen = sorted(self._seen), []
        return (seen[(len(seen) - 1) * 99 // 100], seen[-1]) if seen else (0, 0)
