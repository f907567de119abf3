"""Rows of good hits that stand for more than themselves, where there are too many to keep. Pure.

Rows are taken within strata: one second of one target, one pod, on a new or a used connection. In each the weights add
up to its number of hits. The first, the last and the slowest few stand for themselves; the others are put in order of
their latency and cut into runs, and the middle one of each stands for its run, so percentiles stay where they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from harness.clock import NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

STANDS_FOR = "stands_for"
_SLOWEST = 3
_OWN = _SLOWEST + 2


def representative(batch: pa.RecordBatch, keep: int) -> pa.RecordBatch:
    """Return about `keep` rows of a batch of good hits, with their weights in a last column `stands_for`."""
    rows, weights = _chosen(batch, keep)
    taken = batch.take(pa.array(rows))
    return pa.RecordBatch.from_arrays(
        [*taken.columns, pa.array(weights.astype(np.uint32))],
        schema=batch.schema.append(pa.field(STANDS_FOR, pa.uint32())),
    )


def _chosen(batch: pa.RecordBatch, keep: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = batch.num_rows
    if n <= keep:
        return np.arange(n), np.ones(n, np.int64)
    done, due = batch.column("done_ns").to_numpy(), batch.column("due_ns").to_numpy()
    pods = batch.column("pod").indices.to_numpy().astype(np.int64)
    targets = batch.column("target").to_numpy().astype(np.int64)
    key = ((done // NS - done.min() // NS) * (int(targets.max()) + 1) + targets) * (
        int(pods.max()) + 1
    ) + pods
    key = key * 2 + (batch.column("conn_hits").to_numpy() > 0)
    order = np.lexsort((done - due, key))
    edges = np.flatnonzero(np.diff(key[order])) + 1
    rows, weights = [], []
    for stratum in np.split(order, edges):
        some, counts = _of_a_stratum(stratum, done, max(1, keep * len(stratum) // n))
        rows.append(some)
        weights.append(counts)
    chosen, stand_for = np.concatenate(rows), np.concatenate(weights)
    in_order = np.argsort(chosen)
    return chosen[in_order], stand_for[in_order]


def _of_a_stratum(
    by_latency: NDArray[np.int64], done: NDArray[np.int64], keep: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if len(by_latency) <= max(keep, _OWN + 1):
        return by_latency, np.ones(len(by_latency), np.int64)
    ends = done[by_latency]
    own = np.zeros(len(by_latency), np.bool_)
    own[[int(ends.argmin()), int(ends.argmax())]] = True
    own[-_SLOWEST:] = True
    others = by_latency[~own]
    runs = np.linspace(0, len(others), max(1, keep - int(own.sum())) + 1).astype(np.int64)
    middles = others[(runs[:-1] + runs[1:] - 1) // 2]
    return (
        np.concatenate([by_latency[own], middles]),
        np.concatenate([np.ones(int(own.sum()), np.int64), np.diff(runs)]),
    )
