"""One rollout counted from its trigger: what ended when, and how long good answers took. For laying rollouts over
each other.

A stretch of a latency is 1/100 of a power of ten, 2.3 % wide, so that the answers of several rollouts can be counted
together; a latency read back from it is off by 1.2 % at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.model import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.timeline import Timeline

STEP_NS = 100_000_000
MOST_STEPS = 36_000  # on each side of the trigger: an hour
_PHASES = (Phase.BEFORE, Phase.DURING, Phase.AFTER)
_A_DECADE = 100
_LONGEST = 15 * _A_DECADE  # 10 ** 15 ns: eleven days


@dataclass(frozen=True, slots=True)
class Latencies:
    """How many good answers of a phase took how long: `counts[n]` of them about 10 ** ((low + n) / 100) ns."""

    phase: Phase
    low: int
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    def at(self, share: float) -> float:
        """Return the latency in ns that a share of them did not exceed. Raises ValueError if there are none."""
        if not self.total:
            raise ValueError("no answer has no percentile")
        rank = min(max(int(np.ceil(share * self.total)), 1), self.total)
        place = int(np.searchsorted(np.cumsum(self.counts), rank))
        return float(10 ** ((self.low + place + 0.5) / _A_DECADE))


@dataclass(frozen=True, slots=True)
class Aligned:
    """Hits by the step of 100 ms from the trigger in which they ended: `good[n]` in step `first + n`; both as long."""

    first: int  # below 0: before the trigger
    good: NDArray[np.int64]
    failed: NDArray[np.int64]
    latencies: tuple[Latencies, ...]  # of the phases that had good answers


def aligned(hits: AllHits, timeline: Timeline) -> Aligned:
    """Count the hits of a rollout. What ended over an hour from the trigger is left out."""
    span = timeline.judged
    first = int(max((span.from_ns - timeline.zero_ns) // STEP_NS, -MOST_STEPS))
    last = int(min((max(span.to_ns - 1, span.from_ns) - timeline.zero_ns) // STEP_NS, MOST_STEPS))
    count = max(last - first + 1, 0)

    def counted(some: Hits, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        steps = (some.done_ns - timeline.zero_ns) // STEP_NS
        inside = mask & (some.done_ns >= span.from_ns) & (some.done_ns < span.to_ns)
        return some.tally(steps - first, inside & (steps >= first) & (steps <= last), count)

    good = np.zeros(count, dtype=np.int64)
    phases = [(phase, its) for phase in _PHASES if (its := timeline.phase(phase)) is not None]
    found: dict[Phase, list[Latencies]] = {phase: [] for phase, _ in phases}
    for piece in hits.pieces():
        good += counted(piece, piece.good)
        for phase, its in phases:
            mine = piece.good & (piece.done_ns >= its.from_ns) & (piece.done_ns < its.to_ns)
            if mine.any():
                weights = None if piece.weight is None else piece.weight[mine]
                found[phase] = [together([*found[phase], latencies(phase, piece.waited_ns[mine], weights)])]
    lost = hits.failed
    failed = counted(lost, lost.failed)
    return Aligned(first, good, failed, tuple(one for parts in found.values() for one in parts))


def latencies(
    phase: Phase, took_ns: NDArray[np.int64], weights: NDArray[np.int64] | None = None
) -> Latencies:
    """Count latencies in ns; `weights`: how often each occurs. Raises ValueError if there are none."""
    if not len(took_ns):
        raise ValueError("no answer has no latency")
    places = np.floor(np.log10(np.maximum(took_ns, 1).astype(np.float64)) * _A_DECADE).astype(np.int64)
    places = np.minimum(places, _LONGEST)
    low = int(places.min())
    return Latencies(phase, low, np.bincount(places - low, weights).astype(np.int64))


def together(parts: Iterable[Latencies]) -> Latencies:
    """Count the answers of several rollouts together. All must be of one phase, and there must be one at least."""
    known = list(parts)
    low = min(one.low for one in known)
    counts = np.zeros(max(one.low + len(one.counts) for one in known) - low, dtype=np.int64)
    for one in known:
        counts[one.low - low : one.low - low + len(one.counts)] += one.counts
    return Latencies(known[0].phase, low, counts)
