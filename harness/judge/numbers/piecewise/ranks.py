"""Percentiles, means and deviations of numbers that come in pieces: exact, and in little memory.

Selection in several passes over data that is not held: Munro and Paterson, "Selection and sorting with limited
storage" (1980). The first pass counts numbers in cells, whose width grows with the number: the leading bits of a
double, as in HdrHistogram (Tene). A later pass counts those in the cell of a wanted rank by the bits that follow,
until a cell is one number wide: two passes for latencies below 134 ms, three for most others. Sums and sums of squares
are whole numbers, so that neither depends on the order of the pieces.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

_CELLS = 1 << 21  # of all groups together
_FEWEST_CELLS = 1 << 13
_MANY = 1 << 30
_FINEST = 10  # bits after the leading one: the first pass tells 1,024 steps of an octave
_DEEPEST = 16
_SMALL = 1 << 32  # the square of what is below fits into 64 bits
_LONGEST_SUM = 1 << 62


class Ranks:
    """The numbers of several groups. Give all of them to `add`, and again as long as `again` says so.

    `wanted` returns the ranks, from 0, that are wanted of a group of so many numbers. Numbers are below 2 ** 52.
    `about` is how many numbers there are: for a few, few cells do.
    """

    def __init__(self, groups: int, wanted: Callable[[int], Iterable[int]], about: int = _MANY) -> None:
        self.counts = np.zeros(groups, dtype=np.int64)
        self.totals, self.squares = [0] * groups, [0] * groups
        self.largest = np.full(groups, -_LONGEST_SUM, dtype=np.int64)
        self._least = _LONGEST_SUM
        self._wanted = wanted
        self._most = min(max(8 * about, _FEWEST_CELLS), _CELLS)
        self._bits = min(max(int(math.log2(self._most / 54 / max(groups, 1))), 0), _FINEST)
        self._cells = (53 << self._bits) + 2
        self._seen = np.zeros((groups, self._cells), dtype=np.int64)
        self._levels: list[_Level] = []
        self._open: dict[
            tuple[int, int], tuple[int, int]
        ] = {}  # (group, rank): place in the level, rank in there
        self._found: dict[tuple[int, int], int] = {}

    def add(self, group: int, values: NDArray[np.int64], weights: NDArray[np.int64] | None = None) -> None:
        """Take numbers of one group. `weights`: how often each occurs."""
        if not len(values):
            return
        cells = self._cell(values)
        if self._levels:
            self._narrow(group * self._cells + cells, values, weights)
            return
        self._least = min(self._least, int(values.min()))
        counted = _counted(cells, weights, self._cells)
        self._seen[group] += counted
        self.counts[group] += counted.sum()
        self.largest[group] = max(self.largest[group], values.max())
        self.totals[group] += _total(values, weights)
        self.squares[group] += _squares(values, weights)

    def again(self) -> bool:
        """End a pass over all numbers; say whether another is needed."""
        if not self._levels:
            return self._start()
        level = self._levels[-1]
        cumulated = np.cumsum(level.seen, axis=1)
        found: dict[tuple[int, int], tuple[int, int, int]] = {}
        for key, (place, rank) in self._open.items():
            cell = int(np.searchsorted(cumulated[place], rank, side="right"))
            below = int(cumulated[place, cell - 1]) if cell else 0
            found[key] = place, cell, rank - below
        return self._descend(found, level.low, level.shift, level.width)

    def at(self, group: int, rank: int) -> int:
        """Return the number of a wanted rank."""
        return self._found[group, rank]

    def _start(self) -> bool:
        found: dict[tuple[int, int], tuple[int, int, int]] = {}
        for group in np.flatnonzero(self.counts).tolist():
            cumulated = np.cumsum(self._seen[group])
            for rank in self._wanted(int(self.counts[group])):
                cell = int(np.searchsorted(cumulated, rank, side="right"))
                found[group, rank] = group, cell, rank - (int(cumulated[cell - 1]) if cell else 0)
        places = sorted({(group, cell) for group, cell, _ in found.values()})
        low = np.array([self._edge(cell) for _, cell in places], dtype=np.int64)
        width = np.array([self._edge(cell + 1) for _, cell in places], dtype=np.int64) - low
        table = np.full(self._seen.size, -1, dtype=np.int32)
        for number, (group, cell) in enumerate(places):
            table[group * self._cells + cell] = number
        self._seen = self._seen[:0]
        return self._next(found, {place: n for n, place in enumerate(places)}, low, width, table)

    def _descend(
        self,
        found: dict[tuple[int, int], tuple[int, int, int]],
        low: NDArray[np.int64],
        shift: NDArray[np.int64],
        cells: int,
    ) -> bool:
        places = sorted({(place, cell) for place, cell, _ in found.values()})
        of = np.array([place for place, _ in places], dtype=np.int64)
        cell = np.array([cell for _, cell in places], dtype=np.int64)
        table = np.full(len(low) * cells, -1, dtype=np.int32)
        table[of * cells + cell] = np.arange(len(places))
        numbers = {place: n for n, place in enumerate(places)}
        return self._next(found, numbers, low[of] + (cell << shift[of]), 1 << shift[of], table)

    def _next(
        self,
        found: dict[tuple[int, int], tuple[int, int, int]],
        numbers: dict[tuple[int, int], int],
        low: NDArray[np.int64],
        width: NDArray[np.int64],
        table: NDArray[np.int32],
    ) -> bool:
        """Note what is known by now, and make room to count what is not."""
        self._open = {}
        for key, (place, cell, rank) in found.items():
            number = numbers[place, cell]
            if width[number] <= 1:
                self._found[key] = int(low[number])
            else:
                self._open[key] = number, rank
        if not self._open:
            return False
        self._levels.append(_Level(table, low, width, self._most))
        return True

    def _cell(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cell of each number: 0 for what is below 1, else by the leading bits of its double."""
        bits = np.maximum(values, 0).astype(np.float64).view(np.int64)
        bits >>= 52 - self._bits
        bits -= (1023 << self._bits) - 1
        return np.maximum(bits, 0, out=bits)

    def _edge(self, cell: int) -> int:
        """Return the least whole number of a cell."""
        if not cell:
            return self._least
        octave, step = divmod(cell - 1, 1 << self._bits)
        return -(-(((1 << self._bits) + step) << octave) >> self._bits)

    def _narrow(
        self, cells: NDArray[np.int64], values: NDArray[np.int64], weights: NDArray[np.int64] | None
    ) -> None:
        """Count the numbers that lie in the cells of the last level."""
        for level in self._levels:
            place = level.table[cells]
            inside = np.flatnonzero(place >= 0)
            place, values = place[inside].astype(np.int64), values[inside]
            weights = None if weights is None else weights[inside]
            if not len(place):
                return
            cells = place * level.width + ((values - level.low[place]) >> level.shift[place])
        low, high = int(place.min()), int(place.max()) + 1
        counted = _counted(cells - low * level.width, weights, (high - low) * level.width)
        level.seen[low:high] += counted.reshape(-1, level.width)


class _Level:
    """The cells that wanted ranks fell into, each cut into `width` equal ones. `table` leads from a cell above."""

    def __init__(
        self, table: NDArray[np.int32], low: NDArray[np.int64], sizes: NDArray[np.int64], most: int
    ) -> None:
        self.table, self.low = table, low
        needed = np.array([max(int(size) - 1, 0).bit_length() for size in sizes], dtype=np.int64)
        bits = min(max(int(math.log2(most / len(low))), 4), _DEEPEST, int(needed.max()))
        self.width = 1 << bits
        self.shift = np.maximum(needed - bits, 0)
        self.seen = np.zeros((len(low), self.width), dtype=np.int64)


def deviation(count: int, total: int, squares: int) -> float:
    """Return the deviation of a sample (n - 1) from its exact sums; 0 for one number."""
    return math.sqrt((count * squares - total * total) / (count * (count - 1))) if count > 1 else 0.0


def _counted(cells: NDArray[np.int64], weights: NDArray[np.int64] | None, least: int) -> NDArray[np.int64]:
    if weights is None:
        return np.bincount(cells, minlength=least)
    return np.bincount(cells, weights, least).astype(np.int64)  # whole numbers below 2 ** 53: exact


def _total(values: NDArray[np.int64], weights: NDArray[np.int64] | None) -> int:
    if weights is None and max(abs(int(values.max())), abs(int(values.min()))) < _LONGEST_SUM // len(values):
        return int(values.sum())
    high, low = values >> 26, values & ((1 << 26) - 1)
    return (_dot(high, weights) << 26) + _dot(low, weights)


def _squares(values: NDArray[np.int64], weights: NDArray[np.int64] | None) -> int:
    size = np.abs(values)
    if int(size.max()) >= _SMALL:
        large = size >= _SMALL
        numbers = size[large].tolist()
        times: Sequence[int] = [1] * len(numbers) if weights is None else weights[large].tolist()
        rest = None if weights is None else weights[~large]
        there = int(sum(n * n * w for n, w in zip(numbers, times, strict=True)))
        return there + (_squares(size[~large], rest) if len(numbers) < len(size) else 0)
    square = size.astype(np.uint64) ** 2
    parts = (
        [(square >> np.uint64(16 * n)) & np.uint64(0xFFFF) for n in range(4)] if weights is not None else []
    )
    if weights is None:
        return (int((square >> np.uint64(32)).sum()) << 32) + int((square & np.uint64(0xFFFFFFFF)).sum())
    return sum(_dot(part.astype(np.int64), weights) << (16 * n) for n, part in enumerate(parts))


def _dot(values: NDArray[np.int64], weights: NDArray[np.int64] | None) -> int:
    """Add up numbers below 2 ** 26, times weights of at most 2 ** 24: in two halves, so that no sum overflows."""
    if weights is None:
        return int(values.sum())
    products = values * weights
    return (int((products >> 32).sum()) << 32) + int((products & 0xFFFFFFFF).sum())
