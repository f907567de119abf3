"""Hits on new connections and on reused ones, judged apart: they fail for different reasons.

New: the first hit of its connection, or one whose connection could not be opened. Reused: its connection had carried
hits before (the column conn_hits). A hit that could not be given a connection for want of a port or a descriptor here
is neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.numbers.hits import OWN_FAULT, kind_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits


@dataclass(frozen=True, slots=True)
class Carried:
    """The hits on one sort of connection, good or failed. `since_trigger`: how many of the failed ended after the
    trigger.
    """

    requests: int = 0
    failed: int = 0
    since_trigger: int = 0
    kinds: dict[str, int] = field(default_factory=dict)  # of the failed


@dataclass(frozen=True, slots=True)
class ByConnection:
    """Both sorts, of the hits that are judged."""

    new: Carried = Carried()
    reused: Carried = Carried()


def by_connection(hits: Hits, inside: NDArray[np.bool_], trigger_ns: int | None) -> ByConnection:
    """Count both sorts among the hits for which `inside` is true. `trigger_ns`: None without a trigger."""
    reused = hits.frame["conn_hits"].to_numpy() > 0
    good, failed = hits.good & inside, hits.failed & inside
    if failed.any():
        failed &= ~np.isin(hits.kind, [kind_code(name) for name in OWN_FAULT])
    return ByConnection(
        *(_carried(hits, good & sort, failed & sort, trigger_ns) for sort in (~reused, reused))
    )


def _carried(
    hits: Hits, good: NDArray[np.bool_], failed: NDArray[np.bool_], trigger_ns: int | None
) -> Carried:
    lost = int(failed.sum())
    late = int((hits.done_ns[failed] >= trigger_ns).sum()) if lost and trigger_ns is not None else 0
    return Carried(int(good.sum()) + lost, lost, late, hits.counts(failed) if lost else {})
