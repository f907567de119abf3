"""Which failed hits a retrying client would have hidden: those whose slot's next hit succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import may_be_masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.model import RunRecord

_PLACE = 1 << 40  # more than a piece has rows


def masked(hits: AllHits, run: RunRecord, from_ns: int, to_ns: int) -> int:
    """Count those that ended within these moments: `may_be_masked`, and the slot's next hit, begun within 1 s,
    succeeded.
    """
    candidates = hits.lost.where(may_be_masked(hits.lost, run))
    if not len(candidates):
        return 0
    # The next hit of a slot begins within a second of the last candidate, and takes as long as the longest at most.
    longest_ns = hits.longest_ns
    first_ns = int(candidates.done_ns.min())
    until_ns = int(candidates.done_ns.max()) + NS + longest_ns
    columns = ("slot", "conn_hits", "first_byte_ns", "target")
    waiting: dict[int, NDArray[np.int64]] = {}  # by worker: slot and end of those whose next hit has not come
    found = 0
    for piece in hits.pieces(*columns, since_ns=first_ns, until_ns=until_ns):
        may = may_be_masked(piece, run)
        workers = piece.frame["worker"].to_numpy()
        for worker in sorted({*waiting, *np.unique(workers[may]).tolist()}):
            low, high = np.searchsorted(workers, [worker, worker + 1]).tolist()
            before = waiting.pop(worker, np.zeros((0, 2), dtype=np.int64))
            before = before[before[:, 1] >= int(piece.done_ns.min()) - NS - longest_ns]
            ends_ns, left = _followed(piece, slice(low, high), may, before)
            found += int(((ends_ns >= from_ns) & (ends_ns < to_ns)).sum())
            if len(left):
                waiting[worker] = left
    return found


def _followed(
    piece: Hits, rows: slice, may: NDArray[np.bool_], before: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when those ended whose next hit is in this piece and succeeded soon, and those that still wait.

    `rows` are those of one worker, `before` those that wait from earlier pieces.
    """
    order = np.arange(rows.start, rows.stop)
    order = order[np.argsort(piece.done_ns[rows], kind="stable")]
    slots = piece.frame["slot"].to_numpy()[order].astype(np.int64)
    mine = np.flatnonzero(may[order])
    slot = np.concatenate([before[:, 0], slots[mine]])
    ended = np.concatenate([before[:, 1], piece.done_ns[order[mine]]])
    since = np.concatenate([np.zeros(len(before), dtype=np.int64), mine + 1])
    by_slot = np.argsort(slots.astype(np.uint16), kind="stable")
    keys = slots[by_slot] * _PLACE + by_slot
    at = np.searchsorted(keys, slot * _PLACE + since)
    known = np.append(slots[by_slot], -1)[at] == slot
    follower = order[by_slot[at[known]]]
    good = piece.good[follower] & (piece.begun_ns[follower] - ended[known] <= NS)
    return ended[known][good], np.column_stack([slot[~known], ended[~known]])
