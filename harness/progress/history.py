"""What is remembered of the snapshots of a run: the rate and the latencies of the last seconds, failures by second."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.model import LATENCY_STEPS, LiveCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.run.observing import Snapshot

RATE_OVER_NS = 2 * NS
LAST_NS = 5 * NS  # the "last seconds" that latencies are of
_CELLS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(slots=True)
class History:
    """Takes snapshots, in order."""

    failed: list[int] = field(default_factory=list)  # failed hits by second of the run's clock
    _kept: deque[tuple[int, LiveCounts]] = field(default_factory=deque)

    def take(self, now: Snapshot) -> None:
        """Remember a snapshot."""
        before = self._kept[-1][1] if self._kept else LiveCounts()
        self._kept.append((now.elapsed_ns, now.counts))
        while len(self._kept) > 2 and now.elapsed_ns - self._kept[1][0] >= LAST_NS:
            self._kept.popleft()
        second = now.elapsed_ns // NS
        self.failed += [0] * (second + 1 - len(self.failed))
        self.failed[second] += max(0, now.counts.failed - before.failed)

    def rate(self) -> float:
        """Return the hits per second that ended in the last seconds."""
        if len(self._kept) < 2:
            return 0.0
        end_ns, last = self._kept[-1]
        begin_ns, first = next(
            one for one in reversed(self._kept) if end_ns - one[0] >= RATE_OVER_NS or one is self._kept[0]
        )
        return (last.completed - first.completed) * NS / max(end_ns - begin_ns, 1)

    def percentiles(self, *shares: float) -> tuple[int, ...] | None:
        """Return percentiles of the good hits' latencies in the last seconds, in ns; None if none ended."""
        if not self._kept:
            return None
        first, last = self._kept[0][1].latencies, self._kept[-1][1].latencies
        if len(self._kept) == 1:
            first = {}
        return percentiles({step: n - first.get(step, 0) for step, n in last.items()}, shares)


def percentiles(steps: Mapping[int, int], shares: Sequence[float]) -> tuple[int, ...] | None:
    """Return percentiles, in ns, of latencies counted by step; None if there are none."""
    found = sorted((step, n) for step, n in steps.items() if n > 0)
    if not found:
        return None
    below = list(accumulate(n for _, n in found))
    at = (found[bisect_left(below, share * below[-1])][0] for share in shares)
    return tuple(round(2 ** ((step + 0.5) / LATENCY_STEPS)) for step in at)


def cells(failed: Sequence[int], most: int) -> tuple[list[int], int]:
    """Return failures by cell, at most so many cells, and how many seconds a cell stands for."""
    width = next((s for s in _CELLS_S if len(failed) <= s * most), -(-len(failed) // max(1, most)))
    return [sum(failed[n : n + width]) for n in range(0, len(failed), width)], width
