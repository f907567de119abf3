"""A timer of the kernel's own that is ready like a socket: it goes off at a known nanosecond, not at a rounded millisecond."""

from __future__ import annotations

import ctypes
import os
import time

_NS = 1_000_000_000
_ABSOLUTE = 1


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Schedule(ctypes.Structure):
    _fields_ = (("every", _Moment), ("first", _Moment))


class Alarm:
    """A timerfd. Moments are on the raw monotonic clock."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create came with Python 3.13
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the alarm goes off."""
        return int(self._fd)

    def set(self, at_ns: int, every_ns: int = 0) -> None:
        """Go off at this moment (at once when it is past), and then again after each `every_ns`, if not 0."""
        schedule = _Schedule(_Moment(*divmod(every_ns, _NS)), _Moment(*divmod(max(at_ns, 1), _NS)))
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(schedule), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def stop(self) -> None:
        """Do not go off any more."""
        self._libc.timerfd_settime(self._fd, 0, ctypes.byref(_Schedule()), None)

    def gone_off(self) -> int:
        """Return how often it has gone off since this was last asked."""
        try:
            return int.from_bytes(os.read(self._fd, 8), "little")
        except BlockingIOError:
            return 0
