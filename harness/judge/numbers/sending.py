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
from harness.judge.numbers.summary import Latency, measure
from harness.model import NEVER, STALL_NS, Outcome, WorkerClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.timeline.timeline import Timeline
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


def sending(recording: Recording, hits: Hits, timeline: Timeline) -> Sending:
    """Take a run's load apart."""
    run = recording.run
    judged = timeline.judged
    inside = (hits.done_ns >= judged.from_ns) & (hits.done_ns < judged.to_ns)
    health = recording.health()
    found = stalls(health)
    connections = recording.connections()
    targets = _targets(hits, run, inside) if len(run.targets) > 1 else []
    return Sending(
        open_loop=_open_loop(hits, run, inside, connections),
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


def _open_loop(
    hits: Hits, run: RunRecord, inside: NDArray[np.bool_], connections: pd.DataFrame
) -> OpenLoop | None:
    if run.rate is None:
        return None
    sent: NDArray[np.int64] = hits.frame["sent_ns"].to_numpy()
    waited = np.where(inside & (sent != NEVER), _taken_up(hits, connections) - hits.begun_ns, 0)
    good, dropped = hits.good & inside, (hits.kind == kind_code(Outcome.DROPPED)) & inside
    return OpenLoop(
        rate=run.rate,
        ramp_ns=run.ramp_ns,
        due=int(inside.sum()),
        late=int((waited > LATE_NS).sum()),
        late_max_ns=int(waited.max(initial=0)),
        dropped=int(dropped.sum()),
        dropped_after_ns=int((hits.done_ns - hits.begun_ns)[dropped].min()) if dropped.any() else 0,
        corrected=measure(hits.done_ns[good] - hits.begun_ns[good]),
        raw=measure(hits.done_ns[good] - sent[good]),
    )


def _taken_up(hits: Hits, connections: pd.DataFrame) -> NDArray[np.int64]:
    """Return when each hit was taken up: sent, or a connection begun for it, whose opening is the service's time and
    not ours.
    """
    taken: NDArray[np.int64] = hits.frame["sent_ns"].to_numpy().copy()
    first = np.flatnonzero((hits.frame["conn_hits"].to_numpy() == 0) & (hits.frame["conn"].to_numpy() >= 0))
    if not len(first) or not len(connections):
        return taken
    opened = connections["opened_ns"].to_numpy()
    keys = _keys(connections)
    order = np.argsort(keys)
    wanted = _keys(hits.frame.iloc[first])
    at = np.minimum(np.searchsorted(keys[order], wanted), len(order) - 1)
    found = keys[order][at] == wanted  # a crash may have taken the last rows of the connections
    taken[first[found]] = np.minimum(taken[first[found]], opened[order][at[found]])
    return taken


def _keys(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number for each row's connection that no other worker's has."""
    worker: NDArray[np.int64] = frame["worker"].to_numpy().astype(np.int64)
    return worker * (1 << 32) + frame["conn"].to_numpy().astype(np.int64)


def _targets(hits: Hits, run: RunRecord, inside: NDArray[np.bool_]) -> list[TargetNumbers]:
    column = hits.frame["target"].to_numpy().astype(np.int32)
    good = dict(by_code(column, hits.good & inside))
    failed = dict(by_code(column, hits.failed & inside))
    nothing = np.zeros(0, dtype=np.int64)
    found = []
    names = [f"{t.get('method', 'GET')} {masking.url(str(t.get('url', '?')))}" for t in run.targets]
    counted = Counter(names)
    for index, target in enumerate(run.targets):
        mine, lost = good.get(index, nothing), failed.get(index, nothing)
        kinds: dict[str, int] = {}
        if len(lost):
            mask = np.zeros(len(hits), dtype=bool)
            mask[lost] = True
            kinds = hits.counts(mask)
        found.append(
            TargetNumbers(
                # Without the values of their queries several may look alike.
                name=names[index] + (f" (target {index + 1})" if counted[names[index]] > 1 else ""),
                weight=int(target.get("weight", 1)),
                requests=len(mine) + len(lost),
                failed=len(lost),
                kinds=kinds,
                latency=measure(hits.done_ns[mine] - hits.begun_ns[mine]),
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
