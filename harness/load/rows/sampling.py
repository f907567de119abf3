"""Rows of good hits that stand for more than themselves, where there are too many to keep. Pure.

Rows are taken within strata: one second of one target and pod, one status, on a new or a used connection. In each, the
weights add up to its number of hits. The first, the last and the slowest few stand for themselves; the others are put
in order of their latency and cut into runs, and the middle one of each stands for its run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from harness.clock import NS
from harness.model import OUTCOME_CODE, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STANDS_FOR = "stands_for"
_SLOWEST = 3


def representative(
    batch: pa.RecordBatch, keep: int, expect: Sequence[tuple[int, int]] = ((200, 299),)
) -> pa.RecordBatch:
    """Return the rows of a worker's batch that represent all of it, with `stands_for` as the last column.

    A stratum of at most `keep` good hits stays as it is; of a larger one about `keep` rows remain. Every other hit
    stays. Rows stay in order.
    """
    good = good_hits(batch, expect)
    weights = np.ones(batch.num_rows, np.int64)
    stays = ~good
    rows = np.flatnonzero(good)
    if len(rows):
        took = (batch["done_ns"].to_numpy() - batch["due_ns"].to_numpy())[rows]
        key = strata(batch)[rows]
        order = np.lexsort((took, key))
        for stratum in np.split(rows[order], np.flatnonzero(np.diff(key[order])) + 1):
            _choose(stratum, batch["done_ns"].to_numpy(), keep, stays, weights)
    kept = np.flatnonzero(stays)
    columns = [column.take(pa.array(kept)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.array(weights[kept].astype(np.uint32))], names=[*batch.schema.names, STANDS_FOR]
    )


def good_hits(batch: pa.RecordBatch, expect: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Say which hits were answered as expected."""
    status = batch["status"].to_numpy()
    fine = np.zeros(len(status), np.bool_)
    for low, high in expect:
        fine |= (status >= low) & (status <= high)
    good: NDArray[np.bool_] = fine & (batch["outcome"].indices.to_numpy() == OUTCOME_CODE[Outcome.RESPONSE])
    return good


def strata(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return a number for each hit that is the same for all hits of a stratum, and for no other."""
    parts = [
        batch["done_ns"].to_numpy() // NS,
        batch["target"].to_numpy().astype(np.int64),
        batch["pod"].indices.to_numpy().astype(np.int64),
        batch["status"].to_numpy().astype(np.int64),
        (batch["conn_hits"].to_numpy() > 0).astype(np.int64),
    ]
    if not batch.num_rows:
        return np.zeros(0, np.int64)
    _, numbers = np.unique(np.stack(parts), axis=1, return_inverse=True)
    found: NDArray[np.int64] = numbers.reshape(-1)
    return found


def _choose(
    stratum: NDArray[np.int64],
    done: NDArray[np.int64],
    keep: int,
    stays: NDArray[np.bool_],
    weights: NDArray[np.int64],
) -> None:
    """Mark the rows of one stratum, which are in order of latency, that stay, and for how many each stands."""
    if len(stratum) <= keep:
        stays[stratum] = True
        return
    alone = np.zeros(len(stratum), np.bool_)
    alone[[int(done[stratum].argmin()), int(done[stratum].argmax())]] = True
    alone[-_SLOWEST:] = True
    stays[stratum[alone]] = True
    rest = stratum[~alone]
    for run in np.array_split(rest, max(1, min(keep - int(alone.sum()), len(rest)))):
        if len(run):
            middle = run[len(run) // 2]
            stays[middle], weights[middle] = True, len(run)
