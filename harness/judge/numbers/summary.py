"""Hits -> numbers: by phase, by exact status and outcome, by second. Every definition stands here once.

Requests: hits that ended after the warm-up, good or failed; what was cut at the end of the load is neither.
Latency: from when the slot wanted to send to the last byte; one block per kind of ending, because a 1 ms 502
    must not improve p50. Percentiles by bombardier's rank, floor(p * n + 0.5).
Rates: requests over time, while new hits were sent. Deviation and maximum are of whole seconds.
Bad second: a second (counted from the trigger) in which at least one hit failed.
Outage: from the end of one good response to the end of the next, all slots together, when a hit failed in
    between. 200 slots of which one fails make an outage of a millisecond; all of them failing for a second
    make one of a second. It ends with the load at the latest: nobody asks for anything after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import kind_code, nonzero, ranked
from harness.judge.numbers.piecewise.bins import SecondRow, Seconds, added
from harness.judge.numbers.piecewise.gaps import Around
from harness.judge.numbers.piecewise.masked import masked
from harness.judge.numbers.piecewise.ranks import Ranks, deviation
from harness.judge.numbers.reuse import ByConnection, by_connection
from harness.judge.numbers.traffic import Pods, PodTraffic, Reach, WorkerRows, Workers
from harness.model import GRPC_OK, Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.timeline import Span, Timeline
    from harness.model import RunRecord

PERCENTILES = (50, 75, 90, 95, 99)

_GRPCS = 200  # the HTTP status of all answers of gRPC


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of one group of hits, in ns. `percentiles` has the keys "50" to "99"."""

    count: int
    mean_ns: float
    stdev_ns: float
    max_ns: int
    percentiles: dict[str, int]


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per second. Deviation and maximum are None when there was no whole second."""

    mean: float
    stdev: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch without a good response in which at least one hit failed."""

    from_ns: int
    to_ns: int
    failed: int


@dataclass(frozen=True, slots=True)
class Part:
    """The numbers of one stretch of the run: a phase, or the control window."""

    name: str
    from_ns: int
    to_ns: int
    requests: int
    failed: int
    kinds: dict[str, int]
    bad_seconds: int
    latency: Latency | None  # of good responses


@dataclass(frozen=True, slots=True)
class KindNumbers:
    """All failed hits of one kind. Times of ends; latencies from wanting to send to the end."""

    kind: str
    count: int
    first_ns: int
    last_ns: int
    latency: Latency


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything counted and measured. See the module's text for the definitions."""

    requests: int
    good: int
    failed: int
    masked: int
    hard: int
    stalled: int
    cut: int
    cut_oldest_ns: int
    warmup_requests: int
    warmup_failed: int
    elapsed_ns: int
    rates: Rates
    latency: Latency | None  # of good responses
    statuses: dict[str, int]
    outcomes: dict[str, int]
    kinds: tuple[KindNumbers, ...]
    bytes_per_s: float  # both ways, heads included, whole responses only
    bad_seconds: int
    seconds_total: int
    worst_second: SecondRow | None
    outage: Outage | None  # the longest
    failed_time_share: float  # of all time spent in hits
    parts: tuple[Part, ...]
    control: Part | None
    named: int  # responses that named their pod
    pods: tuple[PodTraffic, ...]
    workers: tuple[WorkerRows, ...]
    seconds: tuple[SecondRow, ...]
    baseline: Part | None = None  # all of *before* but a lull
    reach: tuple[Reach, ...] = ()  # by target, of all good answers
    connections: ByConnection | None = None  # on new ones and on reused ones; None in an older judgement

    def part(self, phase: Phase) -> Part | None:
        """Return the numbers of one phase, or None when the run had none of it."""
        return next((part for part in self.parts if part.name == phase.value), None)


def summarise(hits: AllHits, run: RunRecord, timeline: Timeline) -> Numbers:
    """Count and measure. Text stays out: what a number means is said in the module's docstring."""
    judged, load = timeline.judged, timeline.load
    groups = _groups(timeline)
    ranks = latency_ranks(len(groups), hits.rows)
    counted = _Counted(timeline, run, hits.words)
    every_failed = hits.failed
    failed = every_failed.where(_ended(every_failed, judged))
    around = Around(np.sort(np.minimum(failed.done_ns, load.to_ns)), load.from_ns, load.to_ns)
    for piece in hits.pieces("sent_ns", "bytes_in", "bytes_out", "target", "pod", "conn_hits"):
        good = piece.good & _ended(piece, judged)
        counted.add(piece, good)
        around.add(piece.done_ns[good & (piece.done_ns <= load.to_ns)])
        _rank(ranks, piece, groups)
    while ranks.again():
        for piece in hits.pieces():
            _rank(ranks, piece, groups)
    latency = [latency_of(ranks, number) for number in range(len(groups))]
    parts = {
        name: _part(name, spans, every_failed, timeline, latency[number])
        for number, (name, spans) in enumerate(groups)
    }
    cut = hits.cut
    cut = cut.where(_ended(cut, judged))
    early = every_failed.done_ns < judged.from_ns
    hidden = masked(hits, run, judged.from_ns, judged.to_ns)
    seconds = counted.seconds.rows(every_failed)
    bad = set(((failed.done_ns - timeline.zero_ns) // NS).tolist())
    worst = [row for row in seconds if row.second in bad]
    starts = ((row, timeline.zero_ns + row.second * NS) for row in seconds)
    whole = [row for row, start in starts if load.from_ns <= start <= load.to_ns - NS]
    elapsed_ns = load.length_ns
    failures, good_ones = len(failed), int(ranks.counts[0])
    spent = float(ranks.totals[0] + int(failed.waited_ns.sum()))
    named, pods = counted.pods.traffic()
    return Numbers(
        requests=good_ones + failures,
        good=good_ones,
        failed=failures,
        masked=hidden,
        hard=failures - hidden,
        stalled=0 if run.stream else counted.stalled,
        cut=len(cut),
        cut_oldest_ns=int(cut.waited_ns.max(initial=0)),
        warmup_requests=counted.early + int(early.sum()),
        warmup_failed=int(early.sum()),
        elapsed_ns=elapsed_ns,
        rates=_rates(counted.while_loaded, elapsed_ns, [row.completed for row in whole]),
        latency=latency[0],
        statuses=ranked({_status(code, run.grpc): n for code, n in nonzero(counted.statuses)}),
        outcomes=_outcomes(failed),
        kinds=_kinds(failed),
        bytes_per_s=counted.size * NS / elapsed_ns if elapsed_ns else 0.0,
        bad_seconds=len(bad),
        seconds_total=-(-judged.length_ns // NS),
        worst_second=max(worst, key=lambda row: (sum(row.failed.values()), -row.second), default=None),
        # What comes on a stream now and then is no answer that somebody waits for.
        outage=None if run.stream else longest_outage(around),
        failed_time_share=float(int(failed.waited_ns.sum())) / spent if spent else 0.0,
        parts=tuple(parts[phase.value] for phase in Phase if phase.value in parts),
        control=parts.get("control"),
        baseline=parts.get("baseline"),
        named=named,
        pods=pods,
        workers=counted.workers.rows(),
        seconds=seconds,
        reach=counted.pods.reach(),
        connections=by_connection(
            counted.on_new, counted.on_reused, failed, timeline.zero_ns if timeline.triggered else None
        ),
    )


class _Counted:
    """What is counted of all hits, piece by piece."""

    def __init__(self, timeline: Timeline, run: RunRecord, words: tuple[str, ...]) -> None:
        self._timeline, self._stalled_ns = timeline, run.stalled_ns
        self.seconds = Seconds(timeline.zero_ns)
        self.pods = Pods(words, frozenset(pod.name for pod in timeline.pods))
        self.workers = Workers()
        self.statuses = np.zeros(0, dtype=np.int64)
        self.stalled = self.early = self.while_loaded = self.size = 0
        self.on_new = self.on_reused = 0  # good ones

    def add(self, piece: Hits, good: NDArray[np.bool_]) -> None:
        """Count a piece; `good` are the good ones that are judged."""
        timeline, frame = self._timeline, piece.frame
        inside = _ended(piece, timeline.judged)
        self.seconds.add(piece)
        self.pods.add(piece)
        self.workers.add(piece)
        self.stalled += piece.count((piece.waited_ns > self._stalled_ns) & inside)
        self.early += piece.count(piece.good & (piece.done_ns < timeline.judged.from_ns))
        loaded = (good | (piece.failed & inside)) & (piece.done_ns < timeline.load.to_ns)
        self.while_loaded += piece.count(loaded)
        responses = (piece.status > 0) & inside
        self.statuses = added(self.statuses, piece.tally(piece.status, responses))
        carried = loaded & responses
        for name in ("bytes_in", "bytes_out"):
            size = frame[name].to_numpy()
            self.size += int((size if piece.weight is None else size * piece.weight).sum(where=carried))
        reused = frame["conn_hits"].to_numpy() > 0
        on_reused = piece.count(good & reused)
        self.on_reused += on_reused
        self.on_new += piece.count(good) - on_reused


_Group = tuple[str, tuple["Span", ...]]


def _groups(timeline: Timeline) -> list[_Group]:
    """Return the groups of good hits whose latencies are measured: by the stretches of time in which they ended."""
    found: list[_Group] = [("", (timeline.judged,))]
    for phase in Phase:
        spans = tuple(p.span for p in timeline.phases if p.phase is phase)
        found += [(phase.value, spans)] if spans else []
    for name, span in (("control", timeline.control), ("baseline", timeline.baseline)):
        if span:
            found.append((name, (span,)))
    return found


def _rank(ranks: Ranks, piece: Hits, groups: Sequence[_Group]) -> None:
    first, last = int(piece.done_ns.min(initial=0)), int(piece.done_ns.max(initial=0))
    for number, (_, spans) in enumerate(groups):
        if any(span.from_ns <= last and span.to_ns > first for span in spans):
            inside = np.zeros(len(piece), dtype=bool)
            for span in spans:
                inside |= _ended(piece, span)
            inside &= piece.good
            ranks.add(number, piece.waited_ns[inside], None if piece.weight is None else piece.weight[inside])


def _ended(hits: Hits, span: Span) -> NDArray[np.bool_]:
    return np.asarray((hits.done_ns >= span.from_ns) & (hits.done_ns < span.to_ns))


def _ranks(count: int) -> list[int]:
    """Return the ranks of the percentiles, by bombardier's rule."""
    return [min(max(int(p / 100 * count + 0.5), 1), count) - 1 for p in PERCENTILES]


def latency_ranks(groups: int, about: int) -> Ranks:
    """Return what `about` so many latencies of several groups are given to, so that `latency_of` can tell of each."""
    return Ranks(groups, _ranks, about)


def latency_of(ranks: Ranks, group: int) -> Latency | None:
    """Return the latencies of a group; None for an empty one. The deviation is the sample's (n - 1)."""
    count = int(ranks.counts[group])
    if not count:
        return None
    return Latency(
        count=count,
        mean_ns=ranks.totals[group] / count,
        stdev_ns=deviation(count, ranks.totals[group], ranks.squares[group]),
        max_ns=int(ranks.largest[group]),
        percentiles={str(p): ranks.at(group, r) for p, r in zip(PERCENTILES, _ranks(count), strict=True)},
    )


def measure(took_ns: NDArray[np.int64]) -> Latency | None:
    """Measure one group of latencies that are at hand; None for an empty one."""
    ranks = latency_ranks(1, len(took_ns))
    ranks.add(0, took_ns)
    while ranks.again():
        ranks.add(0, took_ns)
    return latency_of(ranks, 0)


def _part(
    name: str, spans: tuple[Span, ...], failed: Hits, timeline: Timeline, latency: Latency | None
) -> Part:
    """Return the numbers of the hits that ended in one stretch of the run, or in several of one name."""
    inside = np.zeros(len(failed), dtype=bool)
    for span in spans:
        inside |= _ended(failed, span)
    lost = int(inside.sum())
    return Part(
        name=name,
        from_ns=spans[0].from_ns,
        to_ns=spans[-1].to_ns,
        requests=(latency.count if latency else 0) + lost,
        failed=lost,
        kinds=failed.counts(inside),
        bad_seconds=len(np.unique((failed.done_ns[inside] - timeline.zero_ns) // NS)),
        latency=latency,
    )


def longest_outage(around: Around) -> Outage | None:
    """Return the longest stretch of the load between two good responses in which a hit failed.

    `around` has been given the ends of the failed hits in order, each at most the end of the load, and of all good
    ones until then: what ends later was still out then, and nobody asked for anything more.
    """
    begins, ends = around.stretches()
    if not len(begins):
        return None
    longest = int(np.argmax(ends - begins))
    from_ns, to_ns = int(begins[longest]), int(ends[longest])
    return Outage(from_ns, to_ns, int(((begins == from_ns) & (ends == to_ns)).sum()))


def _rates(completed: int, elapsed_ns: int, whole_seconds: list[int]) -> Rates:
    rows = np.array(whole_seconds, dtype=float)
    return Rates(
        mean=completed * NS / elapsed_ns if elapsed_ns else 0.0,
        stdev=float(rows.std(ddof=1)) if len(rows) > 1 else None,
        max=float(rows.max()) if len(rows) else None,
    )


def _kinds(failed: Hits) -> tuple[KindNumbers, ...]:
    found = []
    for name, count in failed.counts(np.ones(len(failed), dtype=bool)).items():
        mask = failed.kind == kind_code(name)
        latency = measure(failed.waited_ns[mask])
        if latency is not None:
            done = failed.done_ns[mask]
            found.append(KindNumbers(name, count, int(done.min()), int(done.max()), latency))
    return tuple(found)


def _status(code: int, grpc: str) -> str:
    """Return a status as reports name it: of a good gRPC call by gRPC's own status."""
    return GRPC_OK if grpc and code == _GRPCS else str(code)


def _outcomes(failed: Hits) -> dict[str, int]:
    counts = failed.counts(failed.status == 0)
    return {name: n for name, n in counts.items() if name != Outcome.RESPONSE}
