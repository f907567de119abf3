"""What of the failures since the trigger the baseline explains, and what is beyond it.

Each family of failures (a status, or the ways in which one thing shows itself on the wire) is judged by itself. One that did
not fail in the baseline has no background: all of it is beyond. One that did is looked at in four ways, which share 1 %:

    during   more of its requests failed in *during* than in the baseline
    after    the same, in *after*
    burst    more failures came together, within 0.1, 1 or 5 s, than ever before
    pods     more of the requests to pods that came or went failed, as far as the pod of a failed request is known

What happens by itself often comes in bursts. So each test asks twice: were failures spread evenly, and do they come in
bursts as the baseline's do? What is beyond both FAILs. What is beyond the first only, and unlike what the baseline has shown, is
suspect: the baseline is too short to tell, and the PASS is withheld. How often either happens to a clean rollout is simulated in
tests/judge/test_background.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge import chance
from harness.judge.numbers.hits import OWN_FAULT, kind_name
from harness.judge.numbers.hung import hung
from harness.judge.numbers.summary import longest_outage
from harness.judge.numbers.usual import usual
from harness.judge.timeline.timeline import Span
from harness.model import Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Outage, Part
    from harness.judge.timeline.timeline import Timeline

# The chance that a test FAILs a clean rollout; together 1 %, shared by the families that failed in the baseline.
LEVELS = {"during": 0.004, "after": 0.0015, "burst": 0.0025, "pods": 0.002}
SUSPECT = 0.1  # what is this likely, if failures come in bursts, is background
SUSPECT_AT_PODS = 0.02  # the same of requests to pods that came or went, of which there is one test only
UNLIKE = 4  # a burst of so many times the largest before is not taken for background
WINDOWS_NS = (NS // 10, NS, 5 * NS)
OUTAGE_NS = (
    NS  # a stretch without a good answer is an outage when it is longer than this, and unlike the baseline's
)
BLOCK_NS = 5 * NS
APART_NS = NS  # failures that are further apart than this are counted as separate ones
SPARSE = 0.3  # separate failures are counted in windows short enough to hold so few of them on average
# Which of these a client sees is a matter of microseconds.
_FAMILIES = {
    "closed before the answer": (
        Outcome.WRITE_RESET, Outcome.WRITE_BROKEN_PIPE, Outcome.IDLE_CLOSE_RACE, Outcome.RESET_BEFORE_RESPONSE,
        Outcome.EOF_BEFORE_RESPONSE, Outcome.H2_GOAWAY, Outcome.H2_REFUSED_STREAM, Outcome.H2_RESET_BEFORE_RESPONSE,
    ),
    "cut within the answer": (
        Outcome.RESET_MID_RESPONSE, Outcome.EOF_MID_RESPONSE, Outcome.H2_RESET_MID_RESPONSE,
    ),
    "no answer in time": (Outcome.WRITE_TIMEOUT, Outcome.READ_TIMEOUT_HEADERS, Outcome.READ_TIMEOUT_BODY),
}  # fmt: skip
FAMILY_OF = {outcome.value: family for family, members in _FAMILIES.items() for outcome in members}


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
class FamilyBackground:
    """One family since the trigger: how often it failed, and what of that is held against the rollout."""

    family: str
    before: int  # failed in the baseline
    of_before: int  # of so many requests
    seen: int
    lost: int  # beyond the baseline, or suspect; `seen` less the background otherwise
    excesses: tuple[Excess, ...] = ()
    by_phase: Mapping[str, int] = field(default_factory=dict)  # `seen`, in *during* and in *after*

    @property
    def sure(self) -> bool:
        """Whether something is beyond the baseline for certain."""
        return bool(self.lost) and (not self.before or any(excess.sure for excess in self.excesses))


@dataclass(frozen=True, slots=True)
class Background:
    """All families since the trigger, those with most failures first; and which lost hits are background."""

    families: tuple[FamilyBackground, ...] = ()
    baseline_ns: int = 0
    is_background: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    hung: int = 0  # failed since the trigger, and had hung before it
    outage: Outage | None = None  # nothing but failures since the trigger, for far longer than ever before it

    @property
    def suspected(self) -> int:
        """How many may have been lost, besides those that were for certain."""
        counted = sum(family.lost for family in self.families if not family.sure)
        if self.outage is None or any(family.sure for family in self.families):
            return counted
        return max(counted, self.outage.failed)

    def blames(self, kind: str) -> bool:
        """Tell whether failures of a kind were lost for certain."""
        return any(family.sure and family.family == FAMILY_OF.get(kind, kind) for family in self.families)

    def within(self, parts: Iterable[Part]) -> Background:
        """Return what is left of it in some phases. A burst or a pod's failures are of the phase in which they begin."""
        spans = {part.name: (part.from_ns, part.to_ns) for part in parts if part.name in {"during", "after"}}
        families = tuple(_within(family, spans) for family in self.families)
        outage = self.outage
        if outage and not any(a < outage.to_ns and outage.from_ns < b for a, b in spans.values()):
            outage = None
        return replace(self, families=families, outage=outage)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the run: where it lies, how many requests ended in it, and when one family's failures did (sorted)."""

    from_ns: int
    to_ns: int
    requests: int
    failed_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.failed_ns)


def background(
    hits: Hits,
    lost: Hits,
    timeline: Timeline,
    of_pods: NDArray[np.bool_] | None = None,
    requests_of_pods: int = 0,
) -> Background:
    """Compare `lost`, the failed hits since the trigger, with the baseline.

    `of_pods` marks those of them that a cause ties to a pod that is known; `requests_of_pods` counts all requests
    to pods that came or went, good ones too; 0 where that is not known.
    """
    answered = hits.good | hits.failed
    spans = [timeline.baseline, timeline.phase(Phase.DURING), timeline.phase(Phase.AFTER)]
    requests = [int((answered & _ended(hits, span)).sum()) if span else 0 for span in spans]
    early = hung(hits, lost, timeline)
    of_baseline = hits.where(hits.failed & _ended(hits, spans[0])) if spans[0] else None
    families = {
        family: left for family, mask in _by_family(lost.kind).items() if (left := mask & ~early).any()
    }
    before = (
        _failed_before(of_baseline, lost.where(early), spans[0])
        if of_baseline is not None and spans[0]
        else {}
    )
    dirty = sum(family in before for family in families)
    known = np.zeros(len(lost), dtype=bool) if of_pods is None else of_pods
    is_background = early.copy()
    found: list[FamilyBackground] = []
    for family, mask in families.items():
        seen = int(mask.sum())
        by_phase = {
            phase: int((mask & _ended(lost, span)).sum())
            for phase, span in zip(("during", "after"), spans[1:], strict=True)
            if span
        }
        if of_baseline is None or spans[0] is None or family not in before:
            found.append(FamilyBackground(family, 0, requests[0], seen, seen, by_phase=by_phase))
            continue
        base = Stretch(spans[0].from_ns, spans[0].to_ns, requests[0], before[family])
        since = {
            what: Stretch(span.from_ns, span.to_ns, n, np.sort(lost.done_ns[mask & _ended(lost, span)]))
            for what, span, n in zip(("during", "after"), spans[1:], requests[1:], strict=True)
            if span
        }
        excesses = excesses_of(family, base, since, share=1 / dirty)
        pods = mask & known
        excesses += _of_pods(family, base, lost.done_ns[pods], requests_of_pods, 1 / dirty)
        beyond = mask & _beyond(lost.done_ns, excesses, pods)
        is_background |= mask & ~beyond
        counted = _counted(excesses, beyond, pods)
        found.append(
            FamilyBackground(family, len(base), requests[0], seen, counted, tuple(excesses), by_phase)
        )
    ranked = tuple(sorted(found, key=lambda one: (-one.seen, one.family)))
    return Background(
        ranked,
        spans[0].length_ns if spans[0] else 0,
        is_background,
        int(early.sum()),
        _outage(hits, lost, timeline) if dirty else None,
    )


def _within(family: FamilyBackground, spans: Mapping[str, tuple[int, int]]) -> FamilyBackground:
    seen = sum(family.by_phase.get(phase, 0) for phase in spans)
    excesses = tuple(
        one
        for one in family.excesses
        if one.what in spans
        or (one.what in {"burst", "pods"} and any(a <= one.from_ns < b for a, b in spans.values()))
    )
    lost = min(family.lost, seen) if excesses or not family.before else 0
    return replace(family, seen=seen, lost=lost, excesses=excesses)


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
    points = np.sort(np.concatenate([part.failed_ns for part in since])) if since else _NONE
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


def _of_pods(
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


def _beyond(
    done_ns: NDArray[np.int64], excesses: Iterable[Excess], pods: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    mask = np.zeros(len(done_ns), dtype=bool)
    for one in excesses:
        mask |= pods if one.what == "pods" else (done_ns >= one.from_ns) & (done_ns <= one.to_ns)
    return mask


def _distinct(bursts: Iterable[Excess]) -> list[Excess]:
    """Of bursts that overlap keep the one with most failures; of those the shortest."""
    kept: list[Excess] = []
    for one in sorted(
        bursts, key=lambda excess: (-excess.seen, excess.to_ns - excess.from_ns, excess.from_ns)
    ):
        if not any(other.from_ns <= one.to_ns and one.from_ns <= other.to_ns for other in kept):
            kept.append(one)
    return kept


def _counted(excesses: Sequence[Excess], beyond: NDArray[np.bool_], pods: NDArray[np.bool_]) -> int:
    """Return how many failures are held against the rollout: what is beyond, less what was to be expected there.

    What a cause ties to a pod is never subtracted.
    """
    if not excesses:
        return 0
    phases = [one.expected for one in excesses if one.what in {"during", "after"}]
    bursts = [one.expected for one in excesses if one.what == "burst"]
    expected = sum(phases or bursts)
    return max(1, int((beyond & pods).sum()), round(int(beyond.sum()) - expected))


def _by_family(kinds: NDArray[np.int16]) -> dict[str, NDArray[np.bool_]]:
    """Group hits by family; those that this host itself made fail are left out."""
    return {family: np.isin(kinds, members) for family, members in _codes(kinds).items()}


def _codes(kinds: NDArray[np.int16]) -> dict[str, list[int]]:
    codes: dict[str, list[int]] = {}
    for code in np.unique(kinds).tolist():
        kind = kind_name(code)
        if kind not in OWN_FAULT:
            codes.setdefault(FAMILY_OF.get(kind, kind), []).append(code)
    return codes


def _outage(hits: Hits, lost: Hits, timeline: Timeline) -> Outage | None:
    """Find a stretch without a good answer that no background explains: where most requests fail, failures are no sign."""
    ours = np.isin(lost.kind, [code for mask in _codes(lost.kind).values() for code in mask])
    found = longest_outage(
        hits.done_ns[hits.good], lost.done_ns[ours], Span(timeline.zero_ns, timeline.judged.to_ns)
    )
    before = usual(hits, timeline)
    longest_ns = max(UNLIKE * max(before.wait_ns, before.slowest_ns), OUTAGE_NS)
    return found if found and found.to_ns - found.from_ns > longest_ns else None


def _failed_before(failed: Hits, early: Hits, span: Span) -> dict[str, NDArray[np.int64]]:
    """Return by family when requests failed in the baseline: those that hung in it count from when they began."""
    found = {family: failed.done_ns[mask] for family, mask in _by_family(failed.kind).items()}
    early = early.where(early.begun_ns >= span.from_ns)
    for family, mask in _by_family(early.kind).items():
        found[family] = np.concatenate((found.get(family, _NONE), early.begun_ns[mask]))
    return {family: np.sort(moments) for family, moments in found.items()}


def _ended(hits: Hits, span: Span) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (hits.done_ns >= span.from_ns) & (hits.done_ns < span.to_ns)
    return mask


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


_NONE = np.zeros(0, dtype=np.int64)
