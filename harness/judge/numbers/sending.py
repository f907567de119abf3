"""The load's own side of a run: which model sent it, by what it was held up, on which connections, to which targets.

Corrected latency, wrk2's word: from when a hit was due by the clock. Raw: from when it was sent. They differ where
hits had to wait for a free connection, or for the generator; a closed loop has no due times, and so only one of them.
Late: sent, or given a connection of its own to be opened, over 50 ms after it was due. Dropped: due, and never sent,
as no connection was free for 5 s, or until the drain was over. Stall: a second of a worker in which something that
was ready waited over 50 ms for it. What is measured in it is ours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness import masking
from harness.clock import NS
from harness.judge.numbers.hits import by_code, kind_code, ranked
from harness.judge.numbers.summary import Latency, latency_of, latency_ranks
from harness.model import NEVER, STALL_NS, Outcome, WorkerClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.timeline import Span, Timeline
    from harness.model import HealthSample, RunRecord
    from harness.recording.read import Recording

LATE_NS = 50_000_000
LATE_SHARE = 0.05
LAG_LIMIT_NS = 50_000_000  # a generator whose p99 lag is over this is saturated
HOLE_NS = NS  # a stall that leaves a hole in the load
_TARGETS = 50
_PEERS = 20


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """What became of a rate that was asked for. Latencies are of good responses."""

    rate: float
    ramp_ns: int
    due: int
    late: int
    late_max_ns: int
    dropped: int
    dropped_after_ns: int  # the shortest wait of those; 0 without
    corrected: Latency | None
    raw: Latency | None


@dataclass(frozen=True, slots=True)
class TargetNumbers:
    """The numbers of one target of several."""

    name: str  # "GET https://…"
    weight: int
    requests: int
    failed: int
    kinds: dict[str, int]
    latency: Latency | None  # of good responses


@dataclass(frozen=True, slots=True)
class Connections:
    """All connections of a run, the warm-up's too. Medians are None where there was nothing to measure."""

    opened: int
    refused: int  # tried, and not opened: by whatever fault
    connect_ns: int | None  # median
    tls_ns: int | None
    tls_versions: dict[str, int]
    hits: int | None  # median, of those that are closed
    ends: dict[str, int]  # "peer fin" -> how many, of those that were open
    peers: dict[str, int]  # address -> how many were opened to it; the most frequent ones


@dataclass(frozen=True, slots=True)
class Stall:
    """A stretch, mostly one second, in which a worker served what was ready late."""

    worker: int
    from_ns: int
    to_ns: int
    lag_max_ns: int


@dataclass(frozen=True, slots=True)
class Sending:
    """All of it. `targets` is empty where there is one; those with failures come first, then the most asked."""

    open_loop: OpenLoop | None
    targets: tuple[TargetNumbers, ...]
    targets_left_out: int
    connections: Connections | None
    stalls: tuple[Stall, ...]
    stalled_seconds: dict[int, int]  # judged second, numbered as in the summary -> its worst lag in ns
    backed_off: int  # waits of a slot after a failed hit
    samples: dict[str, str]  # outcome -> one raw text
    protocol: str = "HTTP/1.1"
    lag_p99_ns: int | None = None  # the worst second's
    cpu_ns_per_request: int | None = None  # the workers'
    workers_lost: tuple[int, ...] = ()  # the connections that these had open are in no row
    worker_clocks: tuple[WorkerClock, ...] = ()  # of workers in pods


def sending(recording: Recording, hits: AllHits, timeline: Timeline) -> Sending:
    """Take a run's load apart."""
    run = recording.run
    judged = timeline.judged
    health = recording.health()
    found = stalls(health)
    connections = recording.connections()
    targets = _targets(hits, run, judged) if len(run.targets) > 1 else []
    return Sending(
        open_loop=_open_loop(hits, run, judged, connections),
        targets=tuple(targets[:_TARGETS]),
        targets_left_out=max(0, len(targets) - _TARGETS),
        connections=_connections(connections),
        stalls=found,
        stalled_seconds=seconds_of(found, timeline),
        backed_off=run.backed_off,
        samples=run.error_samples,
        protocol="HTTP/2" if run.http2 else "HTTP/1.1",
        cpu_ns_per_request=_cost(health),
        workers_lost=run.workers_lost,
        worker_clocks=run.worker_clocks,
        lag_p99_ns=max((s.lag_p99_ns for s in health if s.t_ns > judged.from_ns), default=None),
    )


def _open_loop(hits: AllHits, run: RunRecord, judged: Span, connections: pd.DataFrame) -> OpenLoop | None:
    if run.rate is None:
        return None
    due = many_late = late_max_ns = 0
    opened = _Opened(connections, run.streams)
    ranks, more, first = latency_ranks(2, hits.rows), True, True
    while more:
        for piece in hits.pieces("sent_ns", "conn", "conn_hits"):
            sent: NDArray[np.int64] = piece.frame["sent_ns"].to_numpy()
            inside = _ended(piece, judged)
            good = piece.good & inside
            weights = None if piece.weight is None else piece.weight[good]
            ranks.add(0, piece.took_ns[good], weights)
            ranks.add(1, piece.done_ns[good] - sent[good], weights)
            if first:
                waited = np.where(inside & (sent != NEVER), opened.taken_up(piece) - piece.begun_ns, 0)
                due += piece.count(inside)
                many_late += piece.count(waited > LATE_NS)
                late_max_ns = max(late_max_ns, int(waited.max(initial=0)))
        more, first = ranks.again(), False
    lost = hits.lost
    dropped = lost.took_ns[(lost.kind == kind_code(Outcome.DROPPED)) & _ended(lost, judged)]
    return OpenLoop(
        rate=run.rate,
        ramp_ns=run.ramp_ns,
        due=due,
        late=many_late,
        late_max_ns=late_max_ns,
        dropped=len(dropped),
        dropped_after_ns=int(dropped.min()) if len(dropped) else 0,
        corrected=latency_of(ranks, 0),
        raw=latency_of(ranks, 1),
    )


def _ended(hits: Hits, span: Span) -> NDArray[np.bool_]:
    return np.asarray((hits.done_ns >= span.from_ns) & (hits.done_ns < span.to_ns))


class _Opened:
    """When each connection was begun to be opened; `streams` hits may have waited for that."""

    def __init__(self, connections: pd.DataFrame, streams: int) -> None:
        self._streams = streams
        keys = _keys(connections)
        order = np.argsort(keys)
        self._keys, self._opened_ns = keys[order], connections["opened_ns"].to_numpy()[order]

    def taken_up(self, hits: Hits) -> NDArray[np.int64]:
        """Return when each hit was taken up: sent, or a connection begun for it, whose opening is the service's time
        and not ours.
        """
        taken: NDArray[np.int64] = hits.frame["sent_ns"].to_numpy().copy()
        first = np.flatnonzero(
            (hits.frame["conn_hits"].to_numpy() < self._streams) & (hits.frame["conn"].to_numpy() >= 0)
        )
        if not len(first) or not len(self._keys):
            return taken
        wanted = _keys(hits.frame.take(first))
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found = self._keys[at] == wanted  # a crash may have taken the last rows of the connections
        taken[first[found]] = np.minimum(taken[first[found]], self._opened_ns[at[found]])
        return taken


def _keys(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number for each row's connection that no other worker's has."""
    worker: NDArray[np.int64] = frame["worker"].to_numpy().astype(np.int64)
    return worker * (1 << 32) + frame["conn"].to_numpy().astype(np.int64)


def _targets(hits: AllHits, run: RunRecord, judged: Span) -> list[TargetNumbers]:
    ranks, more = latency_ranks(len(run.targets), hits.rows), True
    while more:
        for piece in hits.pieces("target"):
            column = piece.frame["target"].to_numpy().astype(np.int32)
            for number, rows in by_code(column, piece.good & _ended(piece, judged)):
                weights = None if piece.weight is None else piece.weight[rows]
                ranks.add(number, piece.took_ns[rows], weights)
        more = ranks.again()
    failed = hits.failed
    of_target = dict(by_code(failed.frame["target"].to_numpy().astype(np.int32), _ended(failed, judged)))
    nothing = np.zeros(0, dtype=np.int64)
    found = []
    names = [f"{t.get('method', 'GET')} {masking.url(str(t.get('url', '?')))}" for t in run.targets]
    counted = Counter(names)
    for index, target in enumerate(run.targets):
        lost = failed.at(of_target.get(index, nothing))
        latency = latency_of(ranks, index)
        found.append(
            TargetNumbers(
                # Without the values of their queries several may look alike.
                name=names[index] + (f" (target {index + 1})" if counted[names[index]] > 1 else ""),
                weight=int(target.get("weight", 1)),
                requests=(latency.count if latency else 0) + len(lost),
                failed=len(lost),
                kinds=lost.counts(np.ones(len(lost), dtype=bool)),
                latency=latency,
            )
        )
    return sorted(found, key=lambda row: (-row.failed, -row.requests))


def _connections(frame: pd.DataFrame) -> Connections | None:
    if not len(frame):
        return None
    opened = frame[(frame["connect_ns"] != NEVER).to_numpy()]
    secure = opened["tls_ns"].to_numpy()
    ends = opened["closed_by"].astype(str) + " " + opened["how"].astype(str)
    versions = opened["tls_version"].astype(str)
    return Connections(
        opened=len(opened),
        refused=len(frame) - len(opened),
        connect_ns=_median(opened["connect_ns"].to_numpy()),
        tls_ns=_median(secure[secure != NEVER]),
        tls_versions=_counted(versions[(versions != "").to_numpy()]),
        hits=_median(opened["hits"].to_numpy()),
        ends=_counted(ends),
        peers=dict(list(_counted(opened["peer"].astype(str)).items())[:_PEERS]),
    )


def _cost(health: Sequence[HealthSample]) -> int | None:
    completed = sum(sample.completed for sample in health)
    return sum(sample.cpu_ns for sample in health) // completed if completed else None


def _median(values: NDArray[np.integer]) -> int | None:
    return int(np.median(values)) if len(values) else None


def _counted(words: pd.Series[str]) -> dict[str, int]:
    return ranked({str(word): int(n) for word, n in words.value_counts().items()})


def stalls(health: Iterable[HealthSample]) -> tuple[Stall, ...]:
    """Return the stretches in which a worker lagged, in time order. A sample tells of the time since the one before
    it.
    """
    before: dict[int, int] = {}
    found = []
    for sample in sorted(health, key=lambda s: s.t_ns):
        begin = before.get(sample.worker, max(0, sample.t_ns - NS))
        before[sample.worker] = sample.t_ns
        if sample.lag_max_ns > STALL_NS:
            found.append(Stall(sample.worker, begin, sample.t_ns, sample.lag_max_ns))
    return tuple(found)


def seconds_of(found: Sequence[Stall], timeline: Timeline) -> dict[int, int]:
    """Return the judged seconds, numbered as in the summary, that a stall touches, each with its worst lag."""
    worst: dict[int, int] = {}
    first = (timeline.judged.from_ns - timeline.zero_ns) // NS
    last = (min(timeline.judged.to_ns, timeline.load.to_ns + NS) - timeline.zero_ns) // NS
    for stall in found:
        # What is told a few milliseconds into a second is about the one before it.
        low = (stall.from_ns - timeline.zero_ns + NS // 2) // NS
        high = max(low + 1, (stall.to_ns - timeline.zero_ns + NS // 2) // NS)
        for second in range(max(low, first), min(high, last + 1)):
            worst[second] = max(worst.get(second, 0), stall.lag_max_ns)
    return dict(sorted(worst.items()))
