"""Whether one family of failures went beyond its baseline: four tests, which share 1 %.

during   more of its requests failed in *during* than in the baseline after    the same, in *after* burst    more
failures came together, within 0.1, 1 or 5 s, than ever before pods     more of the requests to pods that came or went
failed, as far as the pod of a failed request is known

What happens by itself often comes in bursts. So each test asks twice: were failures spread evenly, and do they come
in bursts as the baseline's do? What is beyond both FAILs. What is beyond the first only, and unlike what the baseline
has shown, is suspect: the baseline is too short to tell, and the PASS is withheld. How often either happens to a
clean rollout is simulated in tests/judge/test_background.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge import chance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

# The chance that a test FAILs a clean rollout; together 1 %, shared by the families that failed in the baseline.
LEVELS = {"during": 0.004, "after": 0.0015, "burst": 0.0025, "pods": 0.002}
SUSPECT = 0.1  # what is this likely, if failures come in bursts, is background
SUSPECT_AT_PODS = 0.02  # the same of requests to pods that came or went, of which there is one test only
UNLIKE = 4  # a burst of so many times the largest before is not taken for background
WINDOWS_NS = (NS // 10, NS, 5 * NS)
BLOCK_NS = 5 * NS
APART_NS = NS  # failures that are further apart than this are counted as separate ones
SPARSE = 0.3  # separate failures are counted in windows short enough to hold so few of them on average
NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Excess:
    """One way in which one family went beyond its baseline. `sure` tells a FAIL from a suspicion."""

    family: str
    what: str  # a key of LEVELS
    seen: int
    expected: float  # at the baseline's rate
    p: float  # of the weaker of its two tests
    sure: bool
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the run: where it lies, how many requests ended in it, and when one family's failures did (sorted)."""

    from_ns: int
    to_ns: int
    requests: int
    failed_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.failed_ns)


def excesses_of(
    family: str, before: Stretch, since: Mapping[str, Stretch], share: float = 1.0
) -> list[Excess]:
    """Test one family that failed in the baseline: *during* and *after* by themselves, and for bursts.

    `share` is what this family gets of the levels.
    """
    excesses: list[Excess] = []
    every = (before, *since.values())
    spread = chance.dispersion(((part.failed_ns, part.from_ns, part.to_ns) for part in every), BLOCK_NS)
    for what, part in since.items():
        even, bursty = _rates(before, part, spread)
        level = LEVELS[what] * share
        if even < level and bursty < SUSPECT:
            expected = len(before) * part.requests / before.requests
            excesses.append(
                Excess(
                    family,
                    what,
                    len(part),
                    expected,
                    max(even, bursty),
                    bursty < level,
                    part.from_ns,
                    part.to_ns,
                )
            )
    return excesses + _bursts(family, before, tuple(since.values()), LEVELS["burst"] * share)


def _rates(before: Stretch, part: Stretch, spread: float) -> tuple[float, float]:
    """Return p of a higher rate: if failures are spread evenly, and if they come in bursts."""
    even = chance.share_p(len(part), part.requests, len(before), before.requests)
    if spread == 1.0:
        return even, even
    scaled = chance.share_p(len(part) / spread, part.requests, len(before) / spread, before.requests)
    apart_ns = min(APART_NS, int(SPARSE * (before.to_ns - before.from_ns) / len(before)))
    times = [len(_starts(points.failed_ns, apart_ns)) for points in (part, before)]
    return even, max(scaled, chance.share_p(times[0], part.requests, times[1], before.requests))


def _bursts(family: str, before: Stretch, since: Sequence[Stretch], level: float) -> list[Excess]:
    """Find the windows that hold more failures than the baseline explains, one excess for each."""
    points = np.sort(np.concatenate([part.failed_ns for part in since])) if since else NONE
    if not len(points):
        return []
    total = len(points) + len(before)
    whole_ns = sum(part.to_ns - part.from_ns for part in (before, *since))
    level /= len(WINDOWS_NS)
    found: list[Excess] = []
    for window_ns in WINDOWS_NS:
        usual = _sizes(before.failed_ns, window_ns)
        starts = _starts(points, window_ns)
        sizes = np.diff([*starts, len(points)])
        expected = len(before) * window_ns / (before.to_ns - before.from_ns)
        for size in np.unique(sizes).tolist():
            even = chance.burst_p(size, total, window_ns / whole_ns)
            bursty = chance.larger_burst_p(size, usual, len(starts))
            if even < level and (bursty < SUSPECT or size >= UNLIKE * max(usual)):
                found += [
                    Excess(
                        family,
                        "burst",
                        size,
                        expected,
                        max(even, bursty),
                        bursty < level,
                        from_ns,
                        from_ns + window_ns,
                    )
                    for from_ns in points[np.array(starts)[sizes == size]].tolist()
                ]
    return _distinct(found)


def at_pods(
    family: str, before: Stretch, failed_ns: NDArray[np.int64], requests: int, share: float
) -> list[Excess]:
    """Compare the requests of pods that came or went with the baseline's."""
    seen = len(failed_ns)
    if not seen or not requests:
        return []
    requests = max(requests, seen)
    p = chance.share_p(seen, requests, len(before), before.requests)
    if p >= SUSPECT_AT_PODS:
        return []
    expected = len(before) * requests / before.requests
    sure = p < LEVELS["pods"] * share
    return [Excess(family, "pods", seen, expected, p, sure, int(failed_ns.min()), int(failed_ns.max()))]


def _distinct(bursts: Iterable[Excess]) -> list[Excess]:
    """Of bursts that overlap keep the one with most failures; of those the shortest."""
    kept: list[Excess] = []
    for one in sorted(
        bursts, key=lambda excess: (-excess.seen, excess.to_ns - excess.from_ns, excess.from_ns)
    ):
        if not any(other.from_ns <= one.to_ns and one.from_ns <= other.to_ns for other in kept):
            kept.append(one)
    return kept


def _starts(points: NDArray[np.int64], window_ns: int) -> list[int]:
    """Cut sorted points into windows, each beginning with the first point that the last one does not hold."""
    starts: list[int] = []
    index = 0
    while index < len(points):
        starts.append(index)
        index = int(np.searchsorted(points, points[index] + window_ns, side="right"))
    return starts


def _sizes(points: NDArray[np.int64], window_ns: int) -> list[int]:
    sizes: list[int] = np.diff([*_starts(points, window_ns), len(points)]).tolist()
    return sizes
