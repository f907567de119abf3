"""What of the failures since the trigger the baseline explains, and what is beyond it.

Each family of failures (a status, or the ways in which one thing shows itself on the wire) is judged by itself. One
that did not fail in the baseline has no background: all of it is beyond. One that did is tested for an excess
(excess.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.excess import NONE, UNLIKE, Excess, Stretch, at_pods, excesses_of
from harness.judge.numbers.hits import OWN_FAULT, kind_name
from harness.judge.numbers.piecewise.gaps import Around
from harness.judge.numbers.summary import longest_outage
from harness.judge.numbers.usual import hung, usual
from harness.judge.timeline.timeline import Span
from harness.model import Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.numbers.summary import Outage, Part
    from harness.judge.timeline.timeline import Timeline

USUAL_OUTAGES = 2  # one before the trigger may be chance: of one alone nobody knows how often they come
FEW_FAILED = 3  # in a stretch as long as the baseline's longest wait fewer of them may be chance
OUTAGE_NS = NS  # a stretch without a good answer is an outage when it is longer, and unlike the baseline's
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
    outage: Outage | None = None  # nothing but failures since the trigger, unlike what was usual before it
    outages_before: int = (
        0  # stretches of the baseline that were nearly as long, and in which requests failed
    )
    apart: int = 0  # failed since the trigger for a known reason that works without a rollout, too

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
        """Return what is left of it in some phases. A burst or a pod's failures are of the phase in which they
        begin.
        """
        spans = {part.name: (part.from_ns, part.to_ns) for part in parts if part.name in {"during", "after"}}
        families = tuple(_within(family, spans) for family in self.families)
        outage = self.outage
        if outage and not any(a < outage.to_ns and outage.from_ns < b for a, b in spans.values()):
            outage = None
        return replace(self, families=families, outage=outage)


def background(
    hits: AllHits,
    lost: Hits,
    timeline: Timeline,
    of_pods: NDArray[np.bool_] | None = None,
    requests_of_pods: int = 0,
    apart: Callable[[Hits], NDArray[np.bool_]] | None = None,
) -> Background:
    """Compare `lost`, the failed hits since the trigger, with the baseline.

    `of_pods` marks those of them that a cause ties to a pod that is known; `requests_of_pods` counts all requests
    to pods that came or went, good ones too; 0 where that is not known. `apart` says which hits have a known reason
    that works without a rollout, too: they are background, and count nowhere.
    """
    spans = [timeline.baseline, timeline.phase(Phase.DURING), timeline.phase(Phase.AFTER)]
    requests = [0, 0, 0]
    for piece in hits.pieces():
        answered = piece.good | piece.failed
        for number, span in enumerate(spans):
            if span:
                requests[number] += piece.count(answered & _ended(piece, span))
    late = hung(hits, lost, timeline)
    known_reason = apart(lost) if apart else np.zeros(len(lost), dtype=bool)
    late &= ~known_reason
    early = late | known_reason
    failed = hits.failed
    failed = failed.where(~apart(failed)) if apart else failed
    of_baseline = failed.where(_ended(failed, spans[0])) if spans[0] else None
    families = {
        family: left for family, mask in _by_family(lost.kind).items() if (left := mask & ~early).any()
    }
    before = (
        _failed_before(of_baseline, lost.where(late), spans[0])
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
        excesses += at_pods(family, base, lost.done_ns[pods], requests_of_pods, 1 / dirty)
        beyond = mask & _beyond(lost.done_ns, excesses, pods)
        is_background |= mask & ~beyond
        counted = _counted(excesses, beyond, pods)
        found.append(
            FamilyBackground(family, len(base), requests[0], seen, counted, tuple(excesses), by_phase)
        )
    ranked = tuple(sorted(found, key=lambda one: (-one.seen, one.family)))
    outage, alike = _outage(hits, lost, timeline) if dirty else (None, 0)
    return Background(
        ranked,
        spans[0].length_ns if spans[0] else 0,
        is_background,
        int(late.sum()),
        outage,
        alike,
        int(known_reason.sum()),
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


def _beyond(
    done_ns: NDArray[np.int64], excesses: Iterable[Excess], pods: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    mask = np.zeros(len(done_ns), dtype=bool)
    for one in excesses:
        mask |= pods if one.what == "pods" else (done_ns >= one.from_ns) & (done_ns <= one.to_ns)
    return mask


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


def _outage(hits: AllHits, lost: Hits, timeline: Timeline) -> tuple[Outage | None, int]:
    """Find a stretch without a good answer that no background explains: where most requests fail, failures are no
    sign. Return with it how many were nearly as long before the trigger.

    That nobody asked for as long before, or that one good answer took as long, makes no outage usual.
    """
    ours = np.isin(lost.kind, [code for mask in _codes(lost.kind).values() for code in mask])
    asked = Span(timeline.zero_ns, max(timeline.load.to_ns, timeline.zero_ns))
    around = Around(np.sort(np.minimum(lost.done_ns[ours], asked.to_ns)), asked.from_ns, asked.to_ns)
    for piece in hits.pieces(until_ns=asked.to_ns):
        around.add(piece.done_ns[piece.good & (piece.done_ns <= asked.to_ns)])
    found = longest_outage(around)
    if found is None or found.to_ns - found.from_ns <= OUTAGE_NS:
        return None, 0
    before, lasts_ns = usual(hits, timeline), found.to_ns - found.from_ns
    alike = _outages_before(hits, timeline, max(lasts_ns // UNLIKE, OUTAGE_NS))
    unlike = lasts_ns > UNLIKE * max(before.wait_ns, before.slowest_ns)
    unknown = alike < USUAL_OUTAGES and (alike > 0 or found.failed >= FEW_FAILED)
    return (found if unlike or unknown else None), alike


def _outages_before(hits: AllHits, timeline: Timeline, least_ns: int) -> int:
    """Count the stretches of the baseline in which requests failed, and none was answered well for so long."""
    span = timeline.baseline
    if span is None:
        return 0
    failed = hits.failed
    around = Around(np.sort(failed.done_ns[_ended(failed, span)]), span.from_ns, span.to_ns)
    for piece in hits.pieces(since_ns=span.from_ns, until_ns=span.to_ns):
        around.add(piece.done_ns[piece.good & _ended(piece, span)])
    begins, ends = around.stretches()
    long = ends - begins > least_ns
    return len(np.unique(begins[long]))


def _failed_before(failed: Hits, early: Hits, span: Span) -> dict[str, NDArray[np.int64]]:
    """Return by family when requests failed in the baseline: those that hung in it count from when they began."""
    found = {family: failed.done_ns[mask] for family, mask in _by_family(failed.kind).items()}
    early = early.where(early.begun_ns >= span.from_ns)
    for family, mask in _by_family(early.kind).items():
        found[family] = np.concatenate((found.get(family, NONE), early.begun_ns[mask]))
    return {family: np.sort(moments) for family, moments in found.items()}


def _ended(hits: Hits, span: Span) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (hits.done_ns >= span.from_ns) & (hits.done_ns < span.to_ns)
    return mask
