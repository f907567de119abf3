"""The hits of a run by small steps of time: how many of each sort ended in each, and how long they took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import kind_name, nonzero
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.timeline import Span

FINEST_NS = 100_000_000
MOST = 6000  # buckets: three times as many as a wide screen has pixels
MOST_KINDS = 24
OTHER = "other"  # all kinds of failures beyond MOST_KINDS together
_LONGEST_NS = (1 << 48) - 1  # of a latency: three days


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies in ns by bucket, counted from when a hit was due; NEVER where no hit ended."""

    p50_ns: NDArray[np.int64]
    p99_ns: NDArray[np.int64]
    max_ns: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """`count` stretches of `width_ns` from `from_ns` on. A hit is in the one in which it ended.

    `good` counts good answers by class of status ("2xx"), `failed` failed hits by kind ("502", "eof_before_response"),
    the most frequent first. All arrays have `count` entries.

    `held`: of streams. Then `good` is how many were open in the middle of each bucket, in stream-seconds, so that it is
    a number of streams where a number of requests is a rate.
    """

    from_ns: int
    width_ns: int
    count: int
    good: Mapping[str, NDArray[Any]]
    failed: Mapping[str, NDArray[np.int64]]
    good_latency: Latencies
    failed_latency: Latencies
    held: bool = False


def of_streams(found: Buckets, streams: pd.DataFrame) -> Buckets:
    """Return buckets that show how many streams were open."""
    middles = found.from_ns + found.width_ns * np.arange(found.count) + found.width_ns // 2
    begun = np.sort(streams["handshake_ns"].to_numpy())
    ended = np.sort(streams["ended_ns"].to_numpy())
    open_ = np.searchsorted(begun, middles, "right") - np.searchsorted(ended, middles, "right")
    none = Latencies(*(np.full(found.count, NEVER, dtype=np.int64) for _ in range(3)))  # a cut took no time
    return replace(found, good={"open": open_ * (found.width_ns / NS)}, failed_latency=none, held=True)


def width_for(length_ns: int) -> int:
    """Return the width of a bucket: 100 ms, or 1, 2 or 5 times a power of ten of that, so that there are at most
    MOST.
    """
    width_ns = FINEST_NS
    while True:
        for times in (1, 2, 5):
            if -(-length_ns // (width_ns * times)) <= MOST:
                return width_ns * times
        width_ns *= 10


def buckets(hits: AllHits, span: Span) -> Buckets:
    """Sort the hits that ended within `span` into buckets."""
    width_ns = width_for(max(span.length_ns, 1))
    count = max(1, -(-span.length_ns // width_ns))
    classes: dict[int, NDArray[np.int64]] = {}
    good_latency, failed_latency = _Ranking(count), _Ranking(count)

    def place(some: Hits) -> NDArray[np.int64]:
        return np.asarray((some.done_ns - span.from_ns) // width_ns, dtype=np.int64)

    for piece in hits.pieces(since_ns=span.from_ns, until_ns=span.to_ns):
        inside = piece.good & (piece.done_ns >= span.from_ns) & (piece.done_ns < span.to_ns)
        places, rows = place(piece), np.flatnonzero(inside)
        class_ = piece.status // 100
        for code, _ in nonzero(np.bincount(class_[rows])):
            known = classes.setdefault(code, np.zeros(count, dtype=np.int64))
            known += piece.tally(places, inside & (class_ == code), count)
        weights = None if piece.weight is None else piece.weight[rows]
        good_latency.add(places[rows], piece.waited_ns[rows], weights)
    failed = hits.failed
    failed = failed.where((failed.done_ns >= span.from_ns) & (failed.done_ns < span.to_ns))
    places = place(failed)
    failed_latency.add(places, failed.took_ns, None)
    kinds: dict[str, NDArray[np.int64]] = {}
    ordered = sorted(nonzero(np.bincount(failed.kind)), key=lambda pair: (-pair[1], pair[0]))
    for number, (code, _) in enumerate(ordered):
        name = kind_name(code) if number < MOST_KINDS else OTHER
        counted = np.bincount(places[failed.kind == code], minlength=count)
        kinds[name] = kinds[name] + counted if name in kinds else counted
    return Buckets(
        from_ns=span.from_ns,
        width_ns=width_ns,
        count=count,
        good={f"{code}xx": classes[code] for code in sorted(classes)},
        failed=kinds,
        good_latency=good_latency.found(),
        failed_latency=failed_latency.found(),
    )


class _Ranking:
    """Percentiles by bucket, by nearest rank, of latencies that come in pieces: each begins in the last one's bucket,
    or later.
    """

    def __init__(self, count: int) -> None:
        self._found = {share: np.full(count, NEVER, dtype=np.int64) for share in (0.50, 0.99, 1.0)}
        self._left = np.zeros(0, dtype=np.int64)  # of the bucket that may not be complete
        self._left_weights = np.zeros(0, dtype=np.int64)

    def add(
        self, places: NDArray[np.int64], took_ns: NDArray[np.int64], weights: NDArray[np.int64] | None
    ) -> None:
        """Take a piece."""
        if not len(places):
            return
        # One sort of both in one number is faster than a group each.
        keys = np.concatenate([self._left, (places << 48) | np.clip(took_ns, 0, _LONGEST_NS)])
        if weights is None:
            keys.sort()
        else:
            order = np.argsort(keys, kind="stable")
            keys, weights = keys[order], np.concatenate([self._left_weights, weights])[order]
        of = keys >> 48
        complete = int(np.searchsorted(of, of[-1]))
        self._rank(of[:complete], keys[:complete], None if weights is None else weights[:complete])
        self._left = keys[complete:]
        self._left_weights = self._left_weights if weights is None else weights[complete:]

    def found(self) -> Latencies:
        """Return what was found."""
        weights = self._left_weights if len(self._left_weights) else None
        self._rank(self._left >> 48, self._left, weights)
        return Latencies(*self._found.values())

    def _rank(
        self, of: NDArray[np.int64], keys: NDArray[np.int64], weights: NDArray[np.int64] | None
    ) -> None:
        if not len(of):
            return
        begin = np.flatnonzero(np.diff(of, prepend=-1))
        if weights is None:
            sizes = np.diff(np.append(begin, len(of)))
        else:
            sizes, until = np.add.reduceat(weights, begin), np.cumsum(weights)
        for share, found in self._found.items():
            rank = np.clip(np.ceil(share * sizes).astype(np.int64) - 1, 0, sizes - 1)
            at = begin + rank
            if weights is not None:
                before = until[begin] - weights[begin]
                at = np.searchsorted(until, before + rank, side="right")
            found[of[begin]] = keys[at] & _LONGEST_NS
