"""The run's one clock: monotonic nanoseconds since its start, anchored once to wall time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Nanoseconds since the run started.

    `monotonic_ns` and `wall_ns` are two readings of the same instant. Processes on one Linux host share
    CLOCK_MONOTONIC, so a worker that is given the anchor stamps with this very clock.
    """

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def start(cls) -> Clock:
        """Anchor a clock at this moment."""
        return cls(monotonic_ns=time.monotonic_ns(), wall_ns=time.time_ns())

    def now_ns(self) -> int:
        """Return the nanoseconds since the anchor. Never steps back."""
        return time.monotonic_ns() - self.monotonic_ns

    def wall(self, t_ns: int) -> datetime:
        """Return the wall time (UTC) of a moment on this clock, as the anchor has it."""
        return datetime.fromtimestamp((self.wall_ns + t_ns) / NS, tz=UTC)


def seconds(t_ns: int) -> float:
    """Nanoseconds to seconds, for the edges."""
    return t_ns / NS


def nanoseconds(t_s: float) -> int:
    """Seconds to nanoseconds, for the edges."""
    return round(t_s * NS)
