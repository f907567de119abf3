"""Which pod a connection leads to, where a connection leads to one pod: through a Service, not through an L7 balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits

LEAST = 20  # connections that must have been seen to lead to one pod, before that is believed of the others
SHARE = 0.98


def pods_of_connections(hits: Hits, lost: Hits) -> NDArray[np.object_] | None:
    """Return the pod that each lost hit's connection leads to ("" where it named none).

    None where connections are shared by pods, as behind a balancer that picks a pod for each request; and where too few
    named a pod twice to tell.
    """
    if not len(lost):
        return None
    reused = hits.good & (hits.frame["conn_hits"].to_numpy() > 0)
    column = hits.frame["pod"].cat
    codes = column.codes.to_numpy()
    empty = next((code for code, word in enumerate(column.categories) if not word), -1)
    named = (codes >= 0) & (codes != empty) & hits.good
    if not (named & reused).any():
        return None
    keys = _keys(lost)
    mine = np.unique(keys)
    rows = np.flatnonzero(named)
    every = _keys(hits)[named]  # not of a copy of all columns
    # Few connections are enough to tell what kind of path this is: those that lost something, and the first ones.
    sample = np.union1d(mine, np.unique(every[: 50 * LEAST]))
    inside = np.isin(every, sample)
    every, pods = every[inside], codes[rows[inside]]
    order = np.lexsort((pods, every))
    every, pods = every[order], pods[order]
    starts = np.flatnonzero(np.diff(every, prepend=every[:1] - 1))
    sizes = np.diff([*starts, len(every)])
    first, last = pods[starts], pods[starts + sizes - 1]
    twice = sizes > 1
    if int(twice.sum()) < LEAST or float((first == last)[twice].mean()) < SHARE:
        return None
    pod_of = {
        int(key): int(code)
        for key, code, same in zip(every[starts], first, first == last, strict=True)
        if same
    }
    return np.array(
        [str(column.categories[pod_of[key]]) if key in pod_of else "" for key in keys.tolist()], dtype=object
    )


def _keys(hits: Hits) -> NDArray[np.int64]:
    """Return a number for each hit's connection that no other worker's has."""
    worker = hits.frame["worker"].to_numpy().astype(np.int64)
    return worker * (1 << 32) + hits.frame["conn"].to_numpy().astype(np.int64)
