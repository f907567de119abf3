"""When the balancer had certainly let go of a pod that was still listening: what fails afterwards was not sent there.

A balancer gives each of its k targets every k-th request, in the mean. A pod that listens on and is sent none of the
next SURE * k requests is no target any more: at random that has a chance of e^-SURE, in turn none. From about SIGTERM
on, only an unbroken row of good answers counts: a failed request may have been sent to this very pod, which may close
its listener long before it exits (gunicorn does), and whose end is heard of later than it comes. Told only of paths
where each request may go to any pod, and where answers name their pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline

SURE = 10
LATE_NS = 200_000_000  # a request so long after SIGTERM that is answered: the app goes on listening


def departures(hits: AllHits, timeline: Timeline, numbers: Numbers) -> dict[str, int]:
    """Return by uid from when on a pod was no target any more; pods of which that is not known are left out."""
    traffic = {pod.pod: pod for pod in numbers.pods}
    failed_ns = np.sort(hits.failed.begun_ns)
    after: dict[str, _After] = {}
    for pod in timeline.pods:
        seen, stopped = traffic.get(pod.name), stop_ns(pod)
        if seen is None or seen.last_good_begun_ns is None or stopped is None:
            continue
        last = seen.last_good_begun_ns
        until = stopped
        if pod.exited_ns is not None:
            short = pod.exited_ns + SLACK < stopped  # its hook did not last as long as it says
            until = pod.exited_ns if short or last > stopped + LATE_NS else stopped
        if until <= last:
            continue
        targets = sum(
            other.in_endpoints_ns is not None
            and other.in_endpoints_ns <= until
            and (other.gone_ns is None or other.gone_ns > last)
            for other in timeline.pods
        )
        first_ns = max(last, timeline.zero_ns - 1)
        count = SURE * max(targets, 1)
        after[pod.uid] = _After(first_ns, until, min(until, stopped) - SLACK, count, failed_ns)
    return _since(hits, after)


def _since(hits: AllHits, after: Mapping[str, _After]) -> dict[str, int]:
    if not after:
        return {}
    first = min(one.after_ns for one in after.values())
    last = max(one.until_ns for one in after.values())
    for piece in hits.pieces(since_ns=first, until_ns=last):
        for one in after.values():
            one.add(piece)
    if any(one.again() for one in after.values()):
        for piece in hits.pieces(since_ns=first, until_ns=last):
            for one in after.values():
                one.look(piece)
    found = ((uid, one.since_ns()) for uid, one in after.items())
    return {uid: t_ns for uid, t_ns in found if t_ns is not None}


class _After:
    """The requests begun after a pod's last one: when so many had been begun, and so many in a row without a failure.

    Both are told of until a moment: `until_ns` of those in a row, `early_ns` of any. `failed_ns`: when each request
    that failed was begun, in order.
    """

    def __init__(
        self, after_ns: int, until_ns: int, early_ns: int, count: int, failed_ns: NDArray[np.int64]
    ) -> None:
        self.after_ns, self.until_ns = after_ns, until_ns
        self._early_ns, self._count = early_ns, count
        low, high = np.searchsorted(failed_ns, [after_ns, until_ns], side="right").tolist()
        self._breaks = failed_ns[low:high]
        self._in_a_row = np.zeros(len(self._breaks) + 1, dtype=np.int64)  # between two breaks
        self._any, self._row = _First(count), _First(count)
        self._wanted: int | None = None  # the first row that is long enough

    def add(self, piece: Hits) -> None:
        """Count a piece."""
        rows = self._rows(piece)
        weights = None if piece.weight is None else piece.weight[rows]
        self._any.add(piece.begun_ns[rows], weights)
        rows = rows[~piece.failed[rows]]
        weights = None if piece.weight is None else piece.weight[rows]
        places = self._places(piece.begun_ns[rows])
        self._in_a_row += np.bincount(places, weights, len(self._in_a_row)).astype(np.int64)

    def again(self) -> bool:
        """Say whether the pieces must be looked at once more."""
        enough = np.flatnonzero(self._in_a_row > self._count)
        self._wanted = int(enough[0]) if len(enough) else None
        return bool(self._wanted)

    def look(self, piece: Hits) -> None:
        """Find when the row that is long enough was."""
        if self._wanted:
            rows = self._rows(piece)
            rows = rows[~piece.failed[rows]]
            rows = rows[self._places(piece.begun_ns[rows]) == self._wanted]
            self._row.add(piece.begun_ns[rows], None if piece.weight is None else piece.weight[rows])

    def since_ns(self) -> int | None:
        """Return the earlier of both moments; None where neither came in time."""
        any_ns = self._any.at()
        # Before the first break all are in a row.
        row_ns = None if self._wanted is None else self._row.at() if self._wanted else any_ns
        sure = [
            t_ns
            for t_ns, limit in ((row_ns, self.until_ns), (any_ns, self._early_ns))
            if t_ns is not None and t_ns < limit
        ]
        return min(sure, default=None)

    def _rows(self, piece: Hits) -> NDArray[np.int64]:
        return np.flatnonzero((piece.begun_ns > self.after_ns) & (piece.begun_ns < self.until_ns))

    def _places(self, begun_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        if not len(self._breaks):
            return np.zeros(len(begun_ns), dtype=np.int64)
        return np.searchsorted(self._breaks, begun_ns, side="right")


class _First:
    """The moment that follows on the first `count` of many."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._moments = self._weights = np.zeros(0, dtype=np.int64)

    def add(self, moments_ns: NDArray[np.int64], weights: NDArray[np.int64] | None) -> None:
        """Take moments in any order."""
        if len(moments_ns) > self._count:  # more cannot be among the first
            latest = np.partition(moments_ns, self._count)[self._count]
            few = np.flatnonzero(moments_ns <= latest)
            moments_ns, weights = moments_ns[few], None if weights is None else weights[few]
        weights = np.ones(len(moments_ns), dtype=np.int64) if weights is None else weights
        moments = np.concatenate([self._moments, moments_ns])
        order = np.argsort(moments, kind="stable")[: self._count + 1]
        self._moments, self._weights = moments[order], np.concatenate([self._weights, weights])[order]

    def at(self) -> int | None:
        """Return it; None if there are not so many."""
        enough = np.flatnonzero(np.cumsum(self._weights) > self._count)
        return int(self._moments[enough[0]]) if len(enough) else None
