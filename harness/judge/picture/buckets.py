"""The hits of a run by small steps of time: how many of each sort ended in each, and how long they took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.numbers.hits import kind_name, tally
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
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
    """

    from_ns: int
    width_ns: int
    count: int
    good: Mapping[str, NDArray[np.int64]]
    failed: Mapping[str, NDArray[np.int64]]
    good_latency: Latencies
    failed_latency: Latencies


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


def buckets(hits: Hits, span: Span) -> Buckets:
    """Sort the hits that ended within `span` into buckets."""
    width_ns = width_for(max(span.length_ns, 1))
    count = max(1, -(-span.length_ns // width_ns))
    inside = (hits.done_ns >= span.from_ns) & (hits.done_ns < span.to_ns)
    good, failed = np.flatnonzero(hits.good & inside), np.flatnonzero(hits.failed & inside)

    def place(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray((hits.done_ns[rows] - span.from_ns) // width_ns, dtype=np.int64)

    def by_code(
        rows: NDArray[np.int64], codes: NDArray[np.int64], names: Mapping[int, str]
    ) -> dict[str, NDArray[np.int64]]:
        columns: dict[str, NDArray[np.int64]] = {}
        places = place(rows)
        for code, name in names.items():
            counted = np.bincount(places[codes == code], minlength=count)
            columns[name] = columns[name] + counted if name in columns else counted
        return columns

    classes = hits.status[good].astype(np.int64) // 100
    kinds = hits.kind[failed].astype(np.int64)
    ordered = sorted(tally(kinds), key=lambda pair: (-pair[1], pair[0]))
    names = {
        code: kind_name(code) if number < MOST_KINDS else OTHER for number, (code, _) in enumerate(ordered)
    }
    return Buckets(
        from_ns=span.from_ns,
        width_ns=width_ns,
        count=count,
        good=by_code(good, classes, {code: f"{code}xx" for code, _ in tally(classes)}),
        failed=by_code(failed, kinds, names),
        good_latency=_latencies(place(good), hits.done_ns[good] - hits.begun_ns[good], count),
        failed_latency=_latencies(place(failed), hits.done_ns[failed] - hits.begun_ns[failed], count),
    )


def _latencies(places: NDArray[np.int64], took_ns: NDArray[np.int64], count: int) -> Latencies:
    """Return percentiles by bucket, by nearest rank: one sort of both in one number is faster than a group each."""
    keys = (places << 48) | np.clip(took_ns, 0, _LONGEST_NS)
    keys.sort()
    sizes = np.bincount(places, minlength=count)
    begin = np.cumsum(sizes) - sizes
    some = sizes > 0

    def ranked(share: float) -> NDArray[np.int64]:
        found = np.full(count, NEVER, dtype=np.int64)
        rank = np.ceil(share * sizes[some]).astype(np.int64) - 1
        found[some] = keys[begin[some] + np.clip(rank, 0, sizes[some] - 1)] & _LONGEST_NS
        return found

    return Latencies(ranked(0.50), ranked(0.99), ranked(1.0))
