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


def by_connection(
    good_on_new: int, good_on_reused: int, failed: Hits, trigger_ns: int | None
) -> ByConnection:
    """Count both sorts of the hits that are judged. `trigger_ns`: None without a trigger."""
    failed = failed.where(~np.isin(failed.kind, [kind_code(name) for name in OWN_FAULT]))
    reused = failed.frame["conn_hits"].to_numpy() > 0
    return ByConnection(
        _carried(good_on_new, failed.where(~reused), trigger_ns),
        _carried(good_on_reused, failed.where(reused), trigger_ns),
    )


def _carried(good: int, failed: Hits, trigger_ns: int | None) -> Carried:
    late = int((failed.done_ns >= trigger_ns).sum()) if trigger_ns is not None else 0
    kinds = failed.counts(np.ones(len(failed), dtype=bool))
    return Carried(good + len(failed), len(failed), late, kinds)
