"""A picture's buckets, joined to as many columns as a panel has room for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.report import looks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from harness.judge.picture.buckets import Buckets, Latencies
    from harness.judge.timeline.timeline import Span


@dataclass(frozen=True, slots=True)
class Columns:
    """`edges_ns` has one entry more than the others. Requests per second, or streams; `failed` by the names of
    looks.FAILURES.
    """

    edges_ns: NDArray[np.int64]
    good: NDArray[np.float64]
    failed: Mapping[str, NDArray[np.float64]]

    @property
    def all_failed(self) -> NDArray[np.float64]:
        """Failed requests per second, of all kinds."""
        none = np.zeros(len(self.good))
        return sum(self.failed.values(), start=none)


@dataclass(frozen=True, slots=True)
class LatencyColumns:
    """Latencies in ms by column, NaN where nothing ended. `width_ns`: of the buckets whose percentiles they are."""

    middles_ns: NDArray[np.int64]
    width_ns: int
    p50: NDArray[np.float64]  # of joined buckets, the median one
    p99: NDArray[np.float64]  # the highest one
    most: NDArray[np.float64]
    failed: NDArray[np.float64]  # the slowest failed request


def rates(buckets: Buckets, span: Span, most: int) -> Columns:
    """Return the requests per second within a span, in at most `most` columns of whole buckets; of streams, how many
    were open, and how many were lost in each column.
    """
    starts, edges_ns = _columns(buckets, span, most)
    seconds = np.diff(edges_ns) / NS

    def rate(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.add.reduceat(counts[: starts[-1]], starts[:-1]) / seconds)

    good = sum((rate(counts) for counts in buckets.good.values()), start=np.zeros(len(seconds)))
    failed: dict[str, NDArray[np.float64]] = {}
    for name in looks.FAILURES:
        mine = [rate(counts) for kind, counts in buckets.failed.items() if looks.group(kind) == name]
        total = sum(mine, start=np.zeros(len(seconds))) * (seconds if buckets.held else 1.0)
        if total.any():
            failed[name] = total
    return Columns(edges_ns, good, failed)


def latencies(buckets: Buckets, span: Span, most: int) -> LatencyColumns:
    """Return the latencies within a span, in at most `most` columns of whole buckets."""
    starts, edges_ns = _columns(buckets, span, most)
    good, failed = buckets.good_latency, buckets.failed_latency
    return LatencyColumns(
        middles_ns=(edges_ns[:-1] + edges_ns[1:]) // 2,
        width_ns=buckets.width_ns,
        p50=_joined(good, "p50_ns", starts, np.median),
        p99=_joined(good, "p99_ns", starts, np.max),
        most=_joined(good, "max_ns", starts, np.max),
        failed=_joined(failed, "max_ns", starts, np.max),
    )


def _columns(buckets: Buckets, span: Span, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return in which bucket each column begins, the end of the last one too, and the same in ns."""
    first = max(0, (span.from_ns - buckets.from_ns) // buckets.width_ns)
    last = min(buckets.count, -(-(span.to_ns - buckets.from_ns) // buckets.width_ns))
    first = min(first, buckets.count - 1)
    last = max(last, first + 1)
    each = max(1, -(-(last - first) // most))
    starts = np.append(np.arange(first, last, each), last)
    return starts, buckets.from_ns + starts * buckets.width_ns


def _joined(
    found: Latencies,
    name: str,
    starts: NDArray[np.int64],
    how: Callable[[NDArray[np.int64]], np.number],
) -> NDArray[np.float64]:
    values: NDArray[np.int64] = getattr(found, name)
    joined = []
    for begin, end in pairwise(starts.tolist()):
        some = values[begin:end]
        some = some[some >= 0]
        joined.append(float(how(some)) / 1e6 if len(some) else np.nan)
    return np.array(joined)
