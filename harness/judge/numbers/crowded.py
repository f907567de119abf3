"""Whether those that got an answer waited for it too: where pods are too few, all requests queue, not only those that
fail.

A request that got no answer in time while others were answered as quickly as ever was not in a queue: it waited for a
dead pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits

_BUCKET_NS = 100_000_000
_SHARE = (
    16  # a queue in which one request gets no answer keeps others waiting for at least this part of that time
)


def crowded(
    hits: AllHits, lost: Hits, candidates: NDArray[np.bool_], usual_ns: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each of the candidates whether good answers that came meanwhile may show a queue, and whether they do.

    `lost` are the failed hits, of which `candidates` are those to look at; the others are True and False. They may
    show one where none came at all; they do where one took at least half as long as the candidate waited, and twice
    as long as any before the trigger (`usual_ns`; 0: not known).
    """
    may, surely = np.ones(len(lost), dtype=bool), np.zeros(len(lost), dtype=bool)
    rows = np.flatnonzero(candidates)
    if not len(rows):
        return may, surely
    took_ns = lost.done_ns[rows] - lost.begun_ns[rows]
    begun, done = (
        lost.begun_ns[rows] - took_ns,
        lost.done_ns[rows] + took_ns,
    )  # a queue does not come and go at once
    start, end = int(begun.min()), int(done.max())
    took = np.zeros((end - start) // _BUCKET_NS + 1, dtype=np.int64)
    for piece in hits.pieces(since_ns=start, until_ns=end):
        good = piece.good & (piece.done_ns >= start) & (piece.done_ns <= end)
        np.maximum.at(took, (piece.done_ns[good] - start) // _BUCKET_NS, piece.took_ns[good])
    longest = _longest(took, (begun - start) // _BUCKET_NS, (done - start) // _BUCKET_NS)
    may[rows] = (longest == 0) | (longest * _SHARE >= took_ns)
    surely[rows] = (2 * longest >= took_ns) & (longest > 2 * usual_ns) & bool(usual_ns)
    return may, surely


def _longest(
    values: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the largest value of each stretch, ends included: the larger of two stretches of a power of two that
    cover it.
    """
    levels = [values]
    while 2 ** len(levels) <= len(values):
        half = 2 ** (len(levels) - 1)
        levels.append(np.maximum(levels[-1][:-half], levels[-1][half:]))
    level = np.floor(np.log2(last - first + 1)).astype(np.int64)
    largest = np.zeros(len(first), dtype=np.int64)
    for number in np.unique(level).tolist():
        mask = level == number
        table = levels[number]
        largest[mask] = np.maximum(table[first[mask]], table[last[mask] - 2**number + 1])
    return largest
