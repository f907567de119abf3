"""Hits counted by small whole numbers, piece by piece: by the second, above all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import kind_name, nonzero, started_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits


@dataclass(frozen=True, slots=True)
class SecondRow:
    """One second, numbered from the zero of the timeline (second 0 begins with the trigger)."""

    second: int
    started: int
    completed: int  # good and failed
    failed: dict[str, int]  # by kind


class Bins:
    """Counts by a whole number, which may be below 0."""

    def __init__(self) -> None:
        self.first = 0
        self.counts = np.zeros(0, dtype=np.int64)

    @property
    def end(self) -> int:
        """The number after the last one that there is room for."""
        return self.first + len(self.counts)

    def make_room(self, first: int, end: int) -> None:
        """Let counts reach from `first` to before `end`, at least."""
        if not len(self.counts):
            self.first, self.counts = first, np.zeros(end - first, dtype=np.int64)
        elif first < self.first or end > self.end:
            whole = np.zeros(max(end, self.end) - min(first, self.first), dtype=np.int64)
            at = self.first - min(first, self.first)
            whole[at : at + len(self.counts)] = self.counts
            self.first, self.counts = min(first, self.first), whole

    def add(self, hits: Hits, numbers: NDArray[np.int64], mask: NDArray[np.bool_]) -> None:
        """Count the hits of the rows for which `mask` is true."""
        if not len(numbers):
            return
        first, end = int(numbers.min()), int(numbers.max()) + 1
        self.make_room(first, end)
        self.counts[first - self.first : end - self.first] += hits.tally(numbers - first, mask, end - first)


class Seconds:
    """Hits by second from a moment, warm-up included."""

    def __init__(self, zero_ns: int) -> None:
        self._zero_ns = zero_ns
        self._completed, self._started = Bins(), Bins()

    def add(self, hits: Hits) -> None:
        """Count a piece."""
        self._completed.add(hits, (hits.done_ns - self._zero_ns) // NS, hits.good | hits.failed)
        started = (started_ns(hits) - self._zero_ns) // NS
        self._started.add(hits, started, np.ones(len(hits), dtype=bool))

    def rows(self, failed: Hits) -> tuple[SecondRow, ...]:
        """Return all seconds; one in which nothing happened is a row of zeros."""
        if not len(self._completed.counts):
            return ()
        first, end = (
            min(self._completed.first, self._started.first),
            max(self._completed.end, self._started.end),
        )
        for bins in (self._completed, self._started):
            bins.make_room(first, end)
        lost: list[dict[str, int]] = [{} for _ in range(end - first)]
        seconds = (failed.done_ns - self._zero_ns) // NS - first
        for code, _ in nonzero(np.bincount(failed.kind)):
            for index, count in nonzero(np.bincount(seconds[failed.kind == code])):
                lost[index][kind_name(code)] = count
        counted = zip(self._started.counts.tolist(), self._completed.counts.tolist(), lost, strict=True)
        return tuple(SecondRow(first + n, *one) for n, one in enumerate(counted))


def added(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up counts of different lengths."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total
