"""What the client's own connections tell: to which pod each leads, and that a balancer closed many of them by itself.

A connection leads to one pod through a Service, not through an L7 balancer.

A balancer's reload or restart (C8) closes kept-alive connections with the next answer (`Connection: close`) or by a
FIN; a request that crosses the FIN is lost without any pod's fault. Not taken for one: connections that all had the
same number of hits (a limit of the balancer's), those on which a request had failed, behind a balancer that closes
after an error (HAProxy, Apache), what ended only after a request had waited in vain (HAProxy closes after a connect
timeout), and what happens all the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.balancers.meaning import Meaning
from harness.judge.numbers.hits import FIRST_OUTCOME, kind_code
from harness.judge.wording import at, count
from harness.model import Outcome
from harness.recording.bytime.reading import ROW

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.causes.context import Context
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.timeline import Timeline

LEAST = (
    20  # connections that must have been seen to lead to one pod, before that is believed of the others; and
)
# requests on the other sort of connections, before it is said that those did well
SHARE = 0.98
FIRST = 50 * LEAST  # answers whose connections are looked at
_OF_WORKER = 1 << 32  # numbers of connections

CLOSED_LEAST = 5  # connections within a second, of a balancer that also closes because a pod failed it
CLOSED_FEWEST = 3  # ... of another
CLOSED_SHARE = 0.2  # of those that are open
UNUSUAL = 5  # times as many as in the mean second
ALIKE = 0.8  # of them with one number of hits: a limit
HEARD_NS = 10 * NS  # so long after a change of the endpoints the balancer may take it in
AROUND_NS = NS // 4  # what is lost so long before or after
# How a connection ends under a request when the process behind it does.
_BROKEN = (
    Outcome.RESET_BEFORE_RESPONSE,
    Outcome.EOF_BEFORE_RESPONSE,
    Outcome.IDLE_CLOSE_RACE,
    Outcome.WRITE_RESET,
)


def pods_of_connections(hits: AllHits, lost: Hits) -> NDArray[np.object_] | None:
    """Return the pod that each lost hit's connection leads to ("" where it named none).

    None where connections are shared by pods, as behind a balancer that picks a pod for each request; and where too few
    named a pod twice to tell.
    """
    if not len(lost) or not any(hits.words):
        return None
    named = np.array([*map(bool, hits.words), False])
    first = _first_named(hits, named)
    if first is None:
        return None
    keys = connection_keys(lost.frame)
    # Few connections are enough to tell what kind of path this is: those that lost something, and the first ones.
    sample = np.union1d(keys, first)
    lowest = np.full(len(sample), len(named), dtype=np.int64)
    highest, answers = np.full(len(sample), -1, dtype=np.int64), np.zeros(len(sample), dtype=np.int64)
    for piece in hits.pieces("conn", "pod"):
        codes = piece.frame["pod"].cat.codes.to_numpy().astype(np.int64)
        rows = np.flatnonzero(piece.good & named[codes])
        place = _places(piece, sample)[rows]
        rows, place = rows[place >= 0], place[place >= 0]
        np.minimum.at(lowest, place, codes[rows])
        np.maximum.at(highest, place, codes[rows])
        weights = None if piece.weight is None else piece.weight[rows]
        answers += np.bincount(place, weights, len(sample)).astype(np.int64)
    twice = answers > 1
    if int(twice.sum()) < LEAST or float((lowest == highest)[twice].mean()) < SHARE:
        return None
    words = np.array([*hits.words, ""], dtype=object)
    pods = words[np.where(lowest == highest, lowest, -1)]
    return np.asarray(pods[np.searchsorted(sample, keys)])


def _first_named(hits: AllHits, named: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Return the connections of the first good answers that named a pod; None if no reused connection had one."""
    reused = False
    rows, keys = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for piece in hits.pieces("conn", "conn_hits", "pod", ROW):
        ours = piece.good & named[piece.frame["pod"].cat.codes.to_numpy()]
        reused = reused or bool((ours & (piece.frame["conn_hits"].to_numpy() > 0)).any())
        numbers = piece.frame[ROW].to_numpy() if ROW in piece.frame else np.arange(len(piece))
        if len(rows) == FIRST:
            ours &= numbers < rows[-1]
        some = np.flatnonzero(ours)
        if len(some):
            some = some[np.argsort(numbers[some], kind="stable")[:FIRST]]
            rows = np.concatenate([rows, numbers[some]])
            keys = np.concatenate([keys, connection_keys(piece.frame.take(some))])
            order = np.argsort(rows, kind="stable")[:FIRST]
            rows, keys = rows[order], keys[order]
    return keys if reused else None


def _places(hits: Hits, sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of each hit's connection in `sample`, which is in order; -1 where it is not there."""
    found = np.full(len(hits), -1, dtype=np.int64)
    worker = hits.frame["worker"].to_numpy()
    conn = hits.frame["conn"].to_numpy()
    for number in np.unique(worker).tolist():  # the rows of a worker stand together
        low, high = np.searchsorted(worker, [number, number + 1]).tolist()
        first, end = np.searchsorted(sample, [number * _OF_WORKER, (number + 1) * _OF_WORKER]).tolist()
        if first < end:
            of_conn = np.full(int(conn[low:high].max(initial=0)) + 2, -1, dtype=np.int64)  # the last: none
            conns = sample[first:end] - number * _OF_WORKER
            here = np.flatnonzero((conns >= 0) & (conns < len(of_conn) - 1))
            of_conn[conns[here]] = first + here
            found[low:high] = of_conn[conn[low:high]]
    return found


@dataclass(frozen=True, slots=True)
class Reload:
    """One: from the first connection that it closed to the last."""

    from_ns: int
    to_ns: int
    closed: int
    lost: int = 0  # of these, how many lost a request that only the balancer can have lost
    keys: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def own_reloads(lost: Hits, context: Context, connections: Callable[[], pd.DataFrame] | None) -> list[Reload]:
    """Find the reloads of the balancer that the client's connections led to; they are read only where that may tell
    something.
    """
    if connections is None or context.chain.direct or not context.may_be(Meaning.BALANCER).any():
        return []
    closes, longest = context.chain.families[0].closes_after_error, context.in_flight_ns
    return reloads(
        connections(), lost, context.timeline, longest, context.meanings, closes_after_error=closes
    )


def reloads(
    connections: pd.DataFrame,
    lost: Hits,
    timeline: Timeline,
    in_flight_ns: int,
    meanings: NDArray[np.int64],
    *,
    closes_after_error: bool,
) -> list[Reload]:
    """Find them, at changes of the endpoints since the trigger. `lost` are the failed hits.

    What took longer than `in_flight_ns` waited in vain. `meanings`: what each of them may mean. A connection that ended
    under a hit that cannot be the balancer's doing (a pod's cut answer, passed on) is none of its closings.
    `closes_after_error`: the balancer may close because a pod failed it.
    """
    if connections.empty or not timeline.triggered:
        return []
    closed = connections["closed_ns"].to_numpy()
    by, how = connections["closed_by"].astype(str), connections["how"].astype(str)
    ended = ((by == "peer") | (by == "us")) & how.isin(["fin", "goaway"]) & (connections["hits"] > 0)
    keys = connection_keys(connections)
    waited = (lost.kind >= FIRST_OUTCOME) & (lost.done_ns - lost.begun_ns > in_flight_ns)
    own = meanings == int(Meaning.BALANCER)
    passed_on = (lost.kind >= FIRST_OUTCOME) & ((meanings & int(Meaning.BALANCER)) == 0)
    other = np.ones(len(lost), dtype=bool) if closes_after_error else waited | passed_on
    least = CLOSED_LEAST if closes_after_error else CLOSED_FEWEST
    crossed = np.isin(keys, np.unique(connection_keys(lost.frame)[own & ~waited])) & ~ended.to_numpy()
    if not closes_after_error:
        ended |= (by == "peer") & crossed
    mask = ended.to_numpy() & ~np.isin(keys, np.unique(connection_keys(lost.frame)[other]))
    rows = np.flatnonzero(mask & (closed >= timeline.zero_ns))
    if len(rows) < least:
        return []
    rows = rows[np.argsort(closed[rows], kind="stable")]
    moments = closed[rows]
    load_s = max((timeline.load.to_ns - timeline.load.from_ns) / NS, 1.0)
    mean = int(mask.sum()) / load_s
    if not closes_after_error:  # where bursts are small, what is usual is what was there before the trigger
        before_s = max((timeline.zero_ns - timeline.load.from_ns) / NS, 1.0)
        mean = min(mean, max(int((mask & (closed < timeline.zero_ns)).sum()), 1) / before_s)
    opened = np.sort(connections["opened_ns"].to_numpy())
    gone = np.sort(closed)
    carried = connections["hits"].to_numpy()
    changes = endpoint_changes(timeline)
    found: list[Reload] = []
    first = 0
    while first < len(rows):
        last = int(np.searchsorted(moments, moments[first] + NS, side="right"))
        size, start = last - first, int(moments[first])
        there = int(np.searchsorted(opened, start) - np.searchsorted(gone, start))
        # The mean holds the bursts too: of a run of 30 s with three of them it is a tenth of one.
        many = size >= max(least, CLOSED_SHARE * there) and size >= min(UNUSUAL * mean, 0.8 * there)
        heard = any(change - AROUND_NS <= start <= change + HEARD_NS for change in changes)
        _, alike = np.unique(carried[rows[first:last]], return_counts=True)
        if many and heard and alike.max() < max(ALIKE * size, 2):
            found.append(
                Reload(
                    start,
                    int(moments[last - 1]),
                    size,
                    int(crossed[rows[first:last]].sum()),
                    keys[rows[first:last]],
                )
            )
            first = last
        else:
            first += 1
    return found


def lost_to(
    found: list[Reload], lost: Hits, meanings: NDArray[np.int64], in_flight_ns: int
) -> NDArray[np.bool_]:
    """Say which lost hits a reload may have cost: on a connection that ended, at that moment, by the balancer's doing.

    What took longer than `in_flight_ns` is not: a reload cuts what is under way, and does not keep it waiting.
    """
    mask = np.zeros(len(lost), dtype=bool)
    may = ((meanings & int(Meaning.BALANCER)) != 0) & (lost.done_ns - lost.begun_ns <= in_flight_ns)
    for one in found:
        mask |= may & (lost.done_ns >= one.from_ns - AROUND_NS) & (lost.done_ns <= one.to_ns + AROUND_NS)
    return mask


def closings(found: list[Reload], zero_ns: int) -> list[str]:
    """Say of each what was seen."""
    return [
        f"the balancer closed {count(one.closed, 'connection')} {_innocent(one)}{at(one.from_ns, zero_ns)} to "
        f"{at(one.to_ns, zero_ns)}, at a change of the endpoints: a reload or a restart of its own"
        for one in found
    ]


def _innocent(one: Reload) -> str:
    return "" if one.lost else "that had lost nothing, "


def by_reuse(mask: NDArray[np.bool_], lost: Hits, hits: AllHits, *, direct: bool) -> list[str]:
    """Say on which connections the lost hits in `mask` were, where it was one sort alone and the other did well
    meanwhile.

    Meanwhile: what ended from a second before the first of them to a second after the last. `direct`: the connections
    lead to pods, not to a balancer.
    """
    on_reused = lost.frame["conn_hits"].to_numpy()[mask] > 0
    if not (on_reused.all() or not on_reused.any()):
        return []
    moments = lost.done_ns[mask]
    from_ns, to_ns = int(moments.min()) - NS, int(moments.max()) + NS

    def others_of(some: Hits) -> NDArray[np.bool_]:
        other = (some.frame["conn_hits"].to_numpy() > 0) != on_reused[0]
        return np.asarray(other & (some.done_ns >= from_ns) & (some.done_ns <= to_ns))

    if others_of(hits.failed).any():
        return []
    well = 0
    for piece in hits.pieces("conn_hits", since_ns=from_ns, until_ns=to_ns):
        well += piece.count(others_of(piece) & piece.good)
    if well < LEAST:
        return []
    mine, others = ("reused", "new") if on_reused[0] else ("new", "reused")
    number = len(on_reused)
    said = [
        (
            f"{'it' if number == 1 else f'all {number:,}'} failed on {mine} connections;"
            f" {count(well, 'request')} on {others} ones did well meanwhile"
        )
    ]
    broken = [kind_code(outcome.value) for outcome in _BROKEN]
    once = len(np.unique(connection_keys(lost.frame)[mask])) == number
    if direct and on_reused[0] and once and np.isin(lost.kind[mask], broken).all():
        said.append(
            "one for each connection that was open to a pod at its end: kube-proxy moves no open connection to"
            " another pod (kubernetes#123116), so the app has to close it (`Connection: close` after SIGTERM), or the"
            " client ask again"
        )
    return said


def endpoint_changes(timeline: Timeline) -> list[int]:
    """Return when a pod came into the endpoints or left them, since the trigger."""
    moments = (t for pod in timeline.pods for stretch in pod.endpoints for t in stretch if t is not None)
    return sorted(t for t in moments if t >= timeline.zero_ns)


def connection_keys(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number for each row's connection that no other worker's has."""
    worker = frame["worker"].to_numpy().astype(np.int64)
    return worker * _OF_WORKER + frame["conn"].to_numpy().astype(np.int64)
