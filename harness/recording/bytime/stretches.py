"""A run in stretches of time, each with so many hits that it fits into memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.model import NEVER
from harness.recording.bounds import LONGEST_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.bytime.index import Batch


@dataclass(frozen=True, slots=True)
class Stretch:
    """The hits that ended from `from_ns` to before `to_ns`, and the first and last moments at which one was due."""

    from_ns: int
    to_ns: int
    first_due_ns: int
    last_due_ns: int


def cut(batches: Sequence[Batch], most: int) -> tuple[Stretch, ...]:
    """Cut a run into as few stretches as have about `most` hits each; one if there are none.

    Hits are taken to be spread evenly over the time of their batch.
    """
    first = np.array([batch.first_done_ns for batch in batches], dtype=np.int64)
    last = np.array([batch.last_done_ns for batch in batches], dtype=np.int64)
    sizes = np.array([batch.rows for batch in batches], dtype=np.int64)
    pieces = -(-sizes // max(most // 8, 1))  # of each batch: a stretch may end within one
    number = np.arange(int(pieces.sum())) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begins = np.repeat(first, pieces) + np.repeat((last - first) // np.maximum(pieces, 1), pieces) * number
    order = np.argsort(begins, kind="stable")
    seen = np.cumsum(np.repeat(sizes / np.maximum(pieces, 1), pieces)[order])
    total = int(sizes.sum())
    wanted = [most * (n + 1) for n in range(-(-total // most) - 1)]
    inner = begins[order[np.minimum(np.searchsorted(seen, wanted), len(order) - 1)]] if wanted else begins[:0]
    edges = [NEVER, *np.unique(inner).tolist(), LONGEST_NS + 1]
    due = np.array([[batch.first_due_ns, batch.last_due_ns] for batch in batches], dtype=np.int64)
    found = []
    for from_ns, to_ns in pairwise(edges):
        inside = (last >= from_ns) & (first < to_ns)
        if inside.any() or len(edges) == 2:
            least, most_ = (int(due[inside, 0].min()), int(due[inside, 1].max())) if inside.any() else (0, 0)
            found.append(Stretch(int(from_ns), int(to_ns), least, most_))
    return tuple(found)


def whole(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """Return the one stretch that holds all of these; () for none."""
    if not stretches:
        return ()
    return (
        Stretch(
            min(one.from_ns for one in stretches),
            max(one.to_ns for one in stretches),
            min(one.first_due_ns for one in stretches),
            max(one.last_due_ns for one in stretches),
        ),
    )
