"""Where calls went over time, which pods none could reach, and how servers ended connections. Pure.

A gRPC client keeps its connection, and a Service chooses a pod for a connection, not for a call. So a pod that came
later gets no call until connections are opened anew: after one has ended, or is as old as the server allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.causes.connections import SHARE, connection_keys
from harness.model import NEVER, Outcome

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline

WINDOWS = 8  # in which shares are shown
PATIENCE_NS = 10 * NS  # a pod without a call for so long, from when it was ready, is left out
HEARD_NS = NS  # after which whoever chooses a pod for a connection may know of it
LEAST = 20  # calls meanwhile, before that is said
RENEWED_LEAST = 3  # connections that the server ended before the trigger, before that is its habit
SHORTEST_AGE_S, LONGEST_AGE_S, SHORTEST_GRACE_S = 30, 300, 5
CALLS_IN_AN_AGE = 10  # the longest call's length is at most this part of the advised age


@dataclass(frozen=True, slots=True)
class PodCalls:
    """The calls that answers of one pod name, and its share of all such calls in each window."""

    pod: str
    old: bool
    ready_ns: int | None  # when it came into the endpoints
    first_ns: int | None  # when the first of its answers came
    calls: int
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CallNumbers:
    """What became of calls and connections. Connections: those that carried calls, and ended since the trigger."""

    from_ns: int
    window_ns: int
    pods: tuple[PodCalls, ...] = ()
    left_out: tuple[
        str, ...
    ] = ()  # pods that were ready, and got no call: no connection was opened meanwhile
    left_out_ns: int = 0  # for so long, the longest of them
    connections: int = 0  # that were open at the trigger
    goaway: int = 0  # ended by the server, which had said so before
    unannounced: int = 0  # ended by the server or the network, without
    unannounced_lost: int = 0  # ... of these, under a call
    turned_away: int = 0  # calls that GOAWAY or REFUSED_STREAM left out: not processed, safe to send again
    renewed_ns: int = 0  # the median age at which the server ends connections by itself; 0: it does not
    age_s: int = 0  # the advised maximum age; 0: none is advised
    grace_s: int = 0  # and how long calls may then take to finish


def call_numbers(connections: pd.DataFrame, hits: AllHits, timeline: Timeline) -> CallNumbers:
    """Count them."""
    zero, end = timeline.zero_ns, max(timeline.load.to_ns, timeline.zero_ns + 1)
    window_ns = max(1, -(-(end - timeline.load.from_ns) // WINDOWS))
    pods, longest_ns = _shares(hits, timeline, window_ns)
    left_out, for_ns = _left_out(connections, hits, timeline)
    carried = connections[((connections["hits"] > 0) & (connections["connect_ns"] != NEVER)).to_numpy()]
    how, by = carried["how"].astype(str).to_numpy(), carried["closed_by"].astype(str).to_numpy()
    closed, opened = carried["closed_ns"].to_numpy(), carried["opened_ns"].to_numpy()
    since = (closed >= zero) if timeline.triggered else np.ones(len(carried), dtype=bool)
    announced = how == "goaway"
    broken = np.isin(by, ["peer", "network"]) & ~announced & since & (closed < end)
    failed = hits.failed
    lost_on = np.unique(connection_keys(failed.frame))
    turned = [Outcome.H2_GOAWAY.value, Outcome.H2_REFUSED_STREAM.value]
    kinds = failed.counts(failed.done_ns >= timeline.load.from_ns)
    ages = (closed - opened)[announced & (closed < zero if timeline.triggered else closed < end)]
    advised = bool(left_out)
    age_s = min(LONGEST_AGE_S, max(SHORTEST_AGE_S, CALLS_IN_AN_AGE * -(-longest_ns // NS))) if advised else 0
    return CallNumbers(
        from_ns=timeline.load.from_ns,
        window_ns=window_ns,
        pods=pods,
        left_out=left_out,
        left_out_ns=for_ns,
        connections=int(((opened < zero) & (closed >= zero)).sum()) if timeline.triggered else len(carried),
        goaway=int((announced & since).sum()),
        unannounced=int(broken.sum()),
        unannounced_lost=int(np.isin(connection_keys(carried), lost_on)[broken].sum()),
        turned_away=sum(kinds.get(kind, 0) for kind in turned),
        renewed_ns=int(np.median(ages)) if len(ages) >= RENEWED_LEAST else 0,
        age_s=age_s,
        grace_s=max(SHORTEST_GRACE_S, 2 * -(-longest_ns // NS)) if advised else 0,
    )


def _shares(hits: AllHits, timeline: Timeline, window_ns: int) -> tuple[tuple[PodCalls, ...], int]:
    """Return how many calls each pod answered, in all and by window, and how long the longest good call took."""
    begin, words = timeline.load.from_ns, hits.words
    size = len(words)
    counts = np.zeros((size + 1, WINDOWS), dtype=np.int64)  # the last is no name at all
    first = np.full(size + 1, NEVER, dtype=np.int64)
    longest = 0
    for piece in hits.pieces("pod", since_ns=begin):
        codes = piece.frame["pod"].cat.codes.to_numpy().astype(np.int64)
        codes = np.where(codes < 0, size, codes)
        window = np.clip((piece.done_ns - begin) // window_ns, 0, WINDOWS - 1)
        counted = piece.good | piece.failed
        counts += piece.tally(codes * WINDOWS + window, counted, (size + 1) * WINDOWS).reshape(-1, WINDOWS)
        longest = max(longest, int(piece.took_ns[piece.good].max(initial=0)))
        for code in np.unique(codes[counted]).tolist():
            moment = int(piece.done_ns[counted & (codes == code)].min())
            first[code] = moment if first[code] == NEVER else min(first[code], moment)
    named = np.array([*map(bool, words), False])
    total = counts[named].sum(axis=0)
    load = timeline.load
    known = {
        pod.name: pod
        for pod in timeline.pods
        if any(
            one.from_ns < load.to_ns and (one.to_ns is None or one.to_ns > load.from_ns)
            for one in pod.endpoints
        )
    }
    found = []
    for name in sorted({*known, *(word for word in words if word)}):
        code = words.index(name) if name in words else size
        own = counts[code] if code < size else np.zeros(WINDOWS, dtype=np.int64)
        pod = known.get(name)
        found.append(
            PodCalls(
                pod=name,
                old=pod.old if pod else False,
                ready_ns=pod.in_endpoints_ns if pod else None,
                first_ns=int(first[code]) if code < size and first[code] != NEVER else None,
                calls=int(own.sum()),
                shares=tuple(
                    round(float(n / of), 3) if of else 0.0 for n, of in zip(own, total, strict=True)
                ),
            )
        )
    return (tuple(found) if total.any() else ()), longest


def _left_out(connections: pd.DataFrame, hits: AllHits, timeline: Timeline) -> tuple[tuple[str, ...], int]:
    """Return the pods that were ready for long, and got no call, since nobody opened a connection meanwhile.

    Nothing where no answer names its pod: then nobody knows where calls went. A pod that is passed over by new
    connections is not pinned away from: whoever chooses did not choose it.
    """
    words = hits.words
    if not any(words):
        return (), 0
    opened = connections["opened_ns"].to_numpy()[(connections["connect_ns"] != NEVER).to_numpy()]
    spans = {pod.name: span for pod in timeline.pods if (span := _ready(pod, timeline, opened)) is not None}
    if not spans:
        return (), 0
    named = np.array([*map(bool, words), False])  # the last is no name at all
    own = dict.fromkeys(spans, 0)
    others = dict.fromkeys(spans, 0)
    for piece in hits.pieces("pod", since_ns=min(begin for begin, _ in spans.values())):
        codes = piece.frame["pod"].cat.codes.to_numpy()
        for name, (begin, end) in spans.items():
            inside: NDArray[np.bool_] = (piece.done_ns >= begin) & (piece.done_ns < end) & named[codes]
            mine = codes == words.index(name) if name in words else np.zeros(len(piece), dtype=bool)
            own[name] += piece.count(mine)
            others[name] += piece.count(inside & piece.good & ~mine)
    left = tuple(name for name in spans if not own[name] and others[name] >= LEAST)
    if not left or not _pinned(hits):
        return (), 0
    return left, max((spans[name][1] - spans[name][0] for name in left), default=0)


def _pinned(hits: AllHits) -> bool:
    """Whether each connection leads to one pod. A proxy that speaks HTTP/2 chooses one for each call."""
    named = np.array([*map(bool, hits.words), False])
    lowest: dict[int, int] = {}
    highest: dict[int, int] = {}
    for piece in hits.pieces("conn", "pod"):
        codes = piece.frame["pod"].cat.codes.to_numpy().astype(np.int64)
        rows = np.flatnonzero(piece.good & named[codes])
        keys, place = np.unique(connection_keys(piece.frame.take(rows)), return_inverse=True)
        low, high = np.full(len(keys), len(hits.words)), np.full(len(keys), -1)
        np.minimum.at(low, place, codes[rows])
        np.maximum.at(high, place, codes[rows])
        for key, least, most in zip(keys.tolist(), low.tolist(), high.tolist(), strict=True):
            lowest[key] = min(lowest.get(key, least), least)
            highest[key] = max(highest.get(key, most), most)
    alike = sum(lowest[key] == highest[key] for key in lowest)
    return bool(lowest) and alike >= SHARE * len(lowest)


def _ready(pod: Lifeline, timeline: Timeline, opened: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the time in which a pod was ready, if it is long, under load, and no connection was opened in it."""
    if not pod.endpoints or pod.endpoints[-1].from_ns < timeline.load.from_ns:
        return None
    begin = pod.endpoints[-1].from_ns
    end = min(pod.endpoints[-1].to_ns or timeline.load.to_ns, timeline.load.to_ns)
    if end - begin < PATIENCE_NS or ((opened >= begin + HEARD_NS) & (opened < end)).any():
        return None
    return begin, end
