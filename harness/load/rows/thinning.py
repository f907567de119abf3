"""Fewer rows for good hits: some stand for others, so that a recording of many pods stays small.

A stratified, systematic sample (Cochran, Sampling Techniques, chapters 5 and 8). A stratum is what the judge counts
apart: one second, target, pod, status, new or reused connection. The weights of a stratum add up to the number of its
hits, so every count by these is exact. The rows with the first and the last moments and the longest latencies stand
for themselves, so every extreme is exact. The others are put in order of latency, cut into stretches, and the middle
one of each stands for its stretch: a percentile is off by one stretch at most. Every other hit remains a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from harness.clock import NS
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SLOWEST = 3  # of a stratum: each stands for itself
_COLUMN = "stands_for"


def representative(
    batch: pa.RecordBatch, keep: int, expect: Sequence[tuple[int, int]] = ((200, 299),)
) -> pa.RecordBatch:
    """Return the rows of one worker's batch that represent all of it, with `stands_for` as the last column.

    `batch` has the columns of recording.write.HIT_SCHEMA, `stands_for` if some rows already stand for several.
    `expect` are the inclusive ranges of statuses that count as good, as run.json has them. A stratum of at most `keep`
    good hits stays as it is; of a larger one `keep` rows remain, or up to ten where `keep` is smaller, and those that
    follow on a failed hit in its slot (they tell whether asking again would have helped). Rows stay in order. Raises
    ValueError if `keep` is below 1.
    """
    if keep < 1:
        raise ValueError("keep must be at least 1")
    weights = _weights(batch)
    good = good_hits(batch, expect)
    rows = np.flatnonzero(good)
    due, done = (_numbers(batch, name) for name in ("due_ns", "done_ns"))
    took = done - due
    order, changes = _in_strata(batch, rows, took)
    after_failure = _after_failures(_numbers(batch, "slot"), good)
    stays = ~good
    for stratum in np.split(order, np.flatnonzero(changes) + 1):
        if len(stratum) <= keep:
            stays[stratum] = True
            continue
        alone = np.zeros(len(stratum), dtype=bool)  # by place in the stratum, in order of latency
        for moments in (due[stratum], done[stratum]):
            alone[[int(moments.argmin()), int(moments.argmax())]] = True
        alone[-_SLOWEST:] = True
        alone |= after_failure[stratum]
        stays[stratum[alone]] = True
        rest = stratum[~alone]
        for stretch in np.array_split(rest, min(max(keep - int(alone.sum()), 1), len(rest)) or 1):
            if len(stretch):
                middle = stretch[len(stretch) // 2]
                stays[middle], weights[middle] = True, weights[stretch].sum()
    kept = np.flatnonzero(stays)
    columns = {name: batch[name].take(pa.array(kept)) for name in batch.schema.names if name != _COLUMN}
    columns[_COLUMN] = pa.array(weights[kept].astype(np.uint32))
    return pa.record_batch(columns)


def strata_of(batch: pa.RecordBatch, rows: NDArray[np.intp]) -> int:
    """Count the strata that these rows of a batch are in."""
    order, changes = _in_strata(batch, rows, np.zeros(len(batch), dtype=np.int64))
    return int(changes.sum()) + 1 if len(order) else 0


def _in_strata(
    batch: pa.RecordBatch, rows: NDArray[np.intp], took: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return these rows stratum by stratum, the quickest first, and between which two of them a stratum ends."""
    reused = (_numbers(batch, "conn_hits") > 0).astype(np.int64)
    strata = [_numbers(batch, "done_ns") // NS, reused]
    strata += [_codes(batch, name) for name in ("target", "pod", "status", "until_close")]
    order = rows[np.lexsort((took[rows], *(column[rows] for column in strata)))]
    changes = np.zeros(max(len(order) - 1, 0), dtype=bool)
    for column in strata:
        changes |= np.diff(column[order]) != 0
    return order, changes


def good_hits(batch: pa.RecordBatch, expect: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Say which hits were answered as expected."""
    words = batch["outcome"].dictionary.to_pylist()
    whole = np.array([word == Outcome.RESPONSE.value for word in words] or [False])
    status = _numbers(batch, "status")
    expected = np.zeros(len(batch), dtype=bool)
    for low, high in expect:
        expected |= (status >= low) & (status <= high)
    found: NDArray[np.bool_] = whole[_codes(batch, "outcome")] & expected
    return found


def _after_failures(slots: NDArray[np.int64], good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which hits are the next of their slot after one that was not good."""
    order = np.argsort(slots, kind="stable")
    follows = np.zeros(len(slots), dtype=bool)
    follows[order[1:]] = (slots[order[1:]] == slots[order[:-1]]) & ~good[order[:-1]]
    return follows


def _weights(batch: pa.RecordBatch) -> NDArray[np.int64]:
    if _COLUMN in batch.schema.names:
        return _numbers(batch, _COLUMN).copy()
    return np.ones(len(batch), dtype=np.int64)


def _codes(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    """Return numbers that are equal where the values of a column are; 0 for a column that the batch lacks."""
    if name not in batch.schema.names:
        return np.zeros(len(batch), dtype=np.int64)
    column = batch[name]
    if pa.types.is_dictionary(column.type):
        column = column.indices
    found: NDArray[np.int64] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _numbers(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    found: NDArray[np.int64] = batch[name].to_numpy(zero_copy_only=False).astype(np.int64)
    return found
