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
from harness.judge.numbers.hits import (
    Hits,
    kind_code,
    kind_name,
    masked,
    ranked,
    started_ns,
    tally,
    waited_ns,
)
from harness.judge.numbers.reuse import ByConnection, by_connection
from harness.judge.numbers.traffic import PodTraffic, Reach, WorkerRows, by_pod, by_target, by_worker
from harness.model import Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.judge.timeline.timeline import Span, Timeline
    from harness.model import RunRecord

PERCENTILES = (50, 75, 90, 95, 99)


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
class SecondRow:
    """One second, numbered from the zero of the timeline (second 0 begins with the trigger)."""

    second: int
    started: int
    completed: int  # good and failed
    failed: dict[str, int]  # by kind


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


def summarise(hits: Hits, run: RunRecord, timeline: Timeline) -> Numbers:
    """Count and measure. Text stays out: what a number means is said in the module's docstring."""
    inside = (hits.done_ns >= timeline.judged.from_ns) & (hits.done_ns < timeline.judged.to_ns)
    early = hits.done_ns < timeline.judged.from_ns
    took = waited_ns(hits)  # no copies of the whole: a long run has millions of hits
    good, failed, cut = hits.good & inside, hits.failed & inside, hits.cut & inside
    hidden = int((masked(hits, run) & inside).sum())
    seconds = by_second(hits, timeline)
    bad = set(((hits.done_ns[failed] - timeline.zero_ns) // NS).tolist())
    worst = [row for row in seconds if row.second in bad]
    starts = ((row, timeline.zero_ns + row.second * NS) for row in seconds)
    whole = [row for row, start in starts if timeline.load.from_ns <= start <= timeline.load.to_ns - NS]
    while_loaded = (good | failed) & (hits.done_ns < timeline.load.to_ns)
    whole_responses = (hits.status > 0) & inside
    elapsed_ns = timeline.load.length_ns
    spent = float(took[good | failed].sum())
    carried = while_loaded & whole_responses
    size = sum(int(hits.frame[name].to_numpy().sum(where=carried)) for name in ("bytes_in", "bytes_out"))
    failures = int(failed.sum())
    named, pods = by_pod(hits)
    return Numbers(
        requests=int(good.sum()) + failures,
        good=int(good.sum()),
        failed=failures,
        masked=hidden,
        hard=failures - hidden,
        stalled=0 if run.stream else int(((took > run.stalled_ns) & inside).sum()),
        cut=int(cut.sum()),
        cut_oldest_ns=int(took[cut].max(initial=0)),
        warmup_requests=int(((hits.good | hits.failed) & early).sum()),
        warmup_failed=int((hits.failed & early).sum()),
        elapsed_ns=elapsed_ns,
        rates=_rates(int(while_loaded.sum()), elapsed_ns, [row.completed for row in whole]),
        latency=measure(took[good]),
        statuses=ranked({str(code): n for code, n in tally(hits.status[whole_responses])}),
        outcomes=_outcomes(hits, failed),
        kinds=_kinds(hits, took, failed),
        bytes_per_s=size * NS / elapsed_ns if elapsed_ns else 0.0,
        bad_seconds=len(bad),
        seconds_total=-(-timeline.judged.length_ns // NS),
        worst_second=max(worst, key=lambda row: (sum(row.failed.values()), -row.second), default=None),
        # What comes on a stream now and then is no answer that somebody waits for.
        outage=None
        if run.stream
        else longest_outage(hits.done_ns[good], hits.done_ns[failed], timeline.load),
        failed_time_share=float(took[failed].sum()) / spent if spent else 0.0,
        parts=tuple(
            part(hits, phase.value, spans, timeline)
            for phase in Phase
            if (spans := tuple(p.span for p in timeline.phases if p.phase is phase))
        ),
        control=part(hits, "control", (timeline.control,), timeline) if timeline.control else None,
        baseline=part(hits, "baseline", (timeline.baseline,), timeline) if timeline.baseline else None,
        named=named,
        pods=pods,
        workers=by_worker(hits),
        seconds=seconds,
        reach=by_target(hits, frozenset(pod.name for pod in timeline.pods)),
        connections=by_connection(hits, inside, timeline.zero_ns if timeline.triggered else None),
    )


def measure(took_ns: NDArray[np.int64]) -> Latency | None:
    """Measure a group of latencies; None for an empty one. The deviation is the sample's (n - 1)."""
    count = len(took_ns)
    if not count:
        return None
    ranks = {p: min(max(int(p / 100 * count + 0.5), 1), count) for p in PERCENTILES}
    parted = np.partition(took_ns, sorted({rank - 1 for rank in ranks.values()}))
    return Latency(
        count=count,
        mean_ns=float(took_ns.mean()),
        stdev_ns=float(took_ns.std(ddof=1)) if count > 1 else 0.0,
        max_ns=int(took_ns.max()),
        percentiles={str(p): int(parted[rank - 1]) for p, rank in ranks.items()},
    )


def part(hits: Hits, name: str, spans: Sequence[Span], timeline: Timeline) -> Part:
    """Return the numbers of the hits that ended in one stretch of the run, or in several of one name."""
    inside = np.zeros(len(hits), dtype=bool)
    for span in spans:
        inside |= (hits.done_ns >= span.from_ns) & (hits.done_ns < span.to_ns)
    failed = inside & hits.failed
    good = inside & hits.good
    return Part(
        name=name,
        from_ns=spans[0].from_ns,
        to_ns=spans[-1].to_ns,
        requests=int(good.sum() + failed.sum()),
        failed=int(failed.sum()),
        kinds=hits.counts(failed),
        bad_seconds=len(np.unique((hits.done_ns[failed] - timeline.zero_ns) // NS)),
        latency=measure(waited_ns(hits)[good]),
    )


def by_second(hits: Hits, timeline: Timeline) -> tuple[SecondRow, ...]:
    """Count by second, warm-up included; a second in which nothing happened is a row of zeros."""
    if not len(hits):
        return ()
    counted = hits.good | hits.failed
    done = ((hits.done_ns - timeline.zero_ns) // NS).astype(np.int32)
    begun = ((started_ns(hits) - timeline.zero_ns) // NS).astype(np.int32)
    first = int(min(done.min(), begun.min()))
    size = int(max(done.max(), begun.max())) - first + 1
    completed = np.bincount(done[counted] - first, minlength=size)
    started = np.bincount(begun - first, minlength=size)
    failed: list[dict[str, int]] = [{} for _ in range(size)]
    for code, _ in tally(hits.kind[hits.failed]):
        of_kind = np.bincount(done[hits.failed & (hits.kind == code)] - first, minlength=size)
        for index in np.flatnonzero(of_kind):
            failed[index][kind_name(code)] = int(of_kind[index])
    return tuple(
        SecondRow(first + index, int(started[index]), int(completed[index]), failed[index])
        for index in range(size)
    )


def longest_outage(good_ns: NDArray[np.int64], failed_ns: NDArray[np.int64], span: Span) -> Outage | None:
    """Find the longest stretch of the load between two good responses in which a hit failed. Takes when hits ended.

    `span` ends with the load: what ends later was still out then, and nobody asked for anything more.
    """
    failed, good_ns = np.sort(np.minimum(failed_ns, span.to_ns)), good_ns[good_ns <= span.to_ns]
    if not len(failed):
        return None
    # Only the good responses around failures matter: from the last one before the first to the first after the last.
    before, after_ = good_ns[good_ns <= failed[0]], good_ns[good_ns > failed[-1]]
    low = int(before.max()) if len(before) else span.from_ns
    high = int(after_.min()) if len(after_) else span.to_ns
    between = good_ns[(good_ns > failed[0]) & (good_ns <= failed[-1])]
    edges = np.concatenate(([low], np.sort(between), [high]))
    after = np.searchsorted(edges, failed, side="right")
    after = np.clip(after, 1, len(edges) - 1)
    lengths = edges[after] - edges[after - 1]
    longest = int(after[int(np.argmax(lengths))])
    return Outage(int(edges[longest - 1]), int(edges[longest]), int((after == longest).sum()))


def _rates(completed: int, elapsed_ns: int, whole_seconds: list[int]) -> Rates:
    rows = np.array(whole_seconds, dtype=float)
    return Rates(
        mean=completed * NS / elapsed_ns if elapsed_ns else 0.0,
        stdev=float(rows.std(ddof=1)) if len(rows) > 1 else None,
        max=float(rows.max()) if len(rows) else None,
    )


def _kinds(hits: Hits, took: NDArray[np.int64], failed: NDArray[np.bool_]) -> tuple[KindNumbers, ...]:
    found = []
    for name, count in hits.counts(failed).items():
        mask = failed & (hits.kind == kind_code(name))
        latency = measure(took[mask])
        if latency is not None:
            done = hits.done_ns[mask]
            found.append(KindNumbers(name, count, int(done.min()), int(done.max()), latency))
    return tuple(found)


def _outcomes(hits: Hits, failed: NDArray[np.bool_]) -> dict[str, int]:
    counts = hits.counts(failed & (hits.status == 0))
    return {name: n for name, n in counts.items() if name != Outcome.RESPONSE}
