"""How long it is from one good answer to the next, from moments that come in pieces, each piece later than the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NONE = 1 << 62  # later than every moment


class Around:
    """For each of some moments, in order: the last good answer until it, and the first one after it.

    `low` and `high` stand where there is none. Pieces may come in any order.
    """

    def __init__(self, moments_ns: NDArray[np.int64], low: int, high: int) -> None:
        self._moments = moments_ns
        self._low, self._high = low, high
        self._before = np.full(len(moments_ns), -_NONE, dtype=np.int64)
        self._after = np.full(len(moments_ns), _NONE, dtype=np.int64)

    def add(self, good_ns: NDArray[np.int64]) -> None:
        """Take the ends of good answers, in any order."""
        if not len(good_ns) or not len(self._moments):
            return
        first, last = int(good_ns.min()), int(good_ns.max())
        begin, end = np.searchsorted(self._moments, [first, last]).tolist()
        np.minimum(self._after[:begin], first, out=self._after[:begin])
        np.maximum(self._before[end:], last, out=self._before[end:])
        if begin < end:  # between the first and the last
            good_ns = np.sort(good_ns)
            at = np.searchsorted(good_ns, self._moments[begin:end], side="right")
            inside = slice(begin, end)
            self._before[inside] = np.maximum(self._before[inside], good_ns[at - 1])
            self._after[inside] = np.minimum(self._after[inside], good_ns[at])

    def stretches(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each moment where the stretch without a good answer begins and ends."""
        return (
            np.where(self._before == -_NONE, self._low, self._before),
            np.where(self._after == _NONE, self._high, self._after),
        )


class LongestWait:
    """The longest time from one moment to the next one, in pieces that follow each other in time."""

    def __init__(self, from_ns: int) -> None:
        self._last = from_ns
        self.longest_ns = 0

    def add(self, moments_ns: NDArray[np.int64]) -> None:
        """Take the moments of the next piece, in any order."""
        if len(moments_ns):
            ordered = np.sort(moments_ns)
            self._took(int(ordered[0]))
            if len(ordered) > 1:
                self.longest_ns = max(self.longest_ns, int(np.diff(ordered).max()))
            self._last = int(ordered[-1])

    def until(self, end_ns: int) -> int:
        """Return the longest, up to the end."""
        self._took(end_ns)
        return self.longest_ns

    def _took(self, to_ns: int) -> None:
        self.longest_ns = max(self.longest_ns, to_ns - self._last)
