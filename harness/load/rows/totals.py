"""What a worker counts of its own rows while the load goes on: totals, latencies, and the first failure of each kind.

Counted from whole columns, four times a second. The hot path knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.model import LATENCY_STEPS, NEVER
from harness.recording.answers import NONE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MOST_TIMED = 4096  # latencies looked at per count: enough for a p99, and cheap at any rate


@dataclass(frozen=True, slots=True)
class First:
    """The first failed hit of one kind: when it ended, its answer's index, and the pod that its answer names."""

    t_ns: int
    answer: int = NONE
    pod: str = ""


@dataclass(slots=True)
class Totals:
    """What a worker has counted so far, without hits in flight."""

    completed: int = 0
    failed: int = 0
    last_failed_ns: int = NEVER
    statuses: dict[int, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)  # as LiveCounts has them
    firsts: dict[str, First] = field(default_factory=dict)  # by kind: a status, or an outcome

    def time(self, took_ns: NDArray[np.int64]) -> None:
        """Count the latencies of good hits. Of very many, evenly spaced ones stand for all."""
        if not len(took_ns):
            return
        some = took_ns[:: -(-len(took_ns) // _MOST_TIMED)]
        steps = np.bincount((np.log2(np.maximum(some, 1)) * LATENCY_STEPS).astype(np.int64))
        for step in np.flatnonzero(steps).tolist():
            self.latencies[step] = self.latencies.get(step, 0) + int(steps[step])

    def told(self, in_flight: int, now_ns: int) -> dict[str, Any]:
        """Return LiveCounts that fit JSON; `messages.counts` reads them back."""
        return {
            "t_ns": now_ns,
            "started": self.completed + in_flight,
            "completed": self.completed,
            "failed": self.failed,
            "in_flight": in_flight,
            "last_failed_ns": self.last_failed_ns,
            "statuses": self.statuses,
            "outcomes": self.outcomes,
            "latencies": self.latencies,
        }

    def failed_first(self, kind: str, first: First) -> None:
        """Keep the first failed hit of a kind. Rows come in the order of their ends, but for those of one count."""
        known = self.firsts.get(kind)
        if known is None or first.t_ns < known.t_ns:
            self.firsts[kind] = first


class CycleMedian:
    """The median of very many durations in little memory: a histogram with bins 2 % wide."""

    BINS_PER_OCTAVE = 32

    __slots__ = ("_bins", "_count")

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self._count = 0

    def add(self, durations_ns: ArrayLike) -> None:
        """Add durations, in nanoseconds."""
        bins = self._bins
        durations = np.asarray(durations_ns, np.int64)
        found = (np.log2(np.maximum(durations, 1)) * self.BINS_PER_OCTAVE).astype(np.int64)
        for bin_, count in zip(
            *(part.tolist() for part in np.unique(found, return_counts=True)), strict=True
        ):
            bins[bin_] = bins.get(bin_, 0) + count
        self._count += len(durations)

    def value_ns(self) -> int:
        """Return the median to within 2 %; 0 if there are no durations."""
        below = 0
        for bin_, count in sorted(self._bins.items()):
            below += count
            if below * 2 >= self._count:
                return int(2 ** ((bin_ + 0.5) / self.BINS_PER_OCTAVE))
        return 0
