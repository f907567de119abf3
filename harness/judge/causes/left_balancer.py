"""When the balancer had certainly let go of a pod that was still listening: what fails afterwards was not sent there.

A balancer gives each of its k targets every k-th request, in the mean. A pod that listens on and is sent none of the
next SURE * k requests is no target any more: at random that has a chance of e^-SURE, in turn none. From about SIGTERM
on, only an unbroken row of good answers counts: a failed request may have been sent to this very pod, which may close
its listener long before it exits (gunicorn does), and whose end is heard of later than it comes. Told only of paths
where each request may go to any pod, and where answers name their pod.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline

SURE = 10
LATE_NS = 200_000_000  # a request so long after SIGTERM that is answered: the app goes on listening


def departures(hits: Hits, timeline: Timeline, numbers: Numbers) -> dict[str, int]:
    """Return by uid from when on a pod was no target any more; pods of which that is not known are left out."""
    since_ns: dict[str, int] = {}
    traffic = {pod.pod: pod for pod in numbers.pods}
    rows: _Row | None = None
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
        if rows is None:
            rows = _Row.since(timeline.zero_ns, hits)
        targets = sum(
            other.in_endpoints_ns is not None
            and other.in_endpoints_ns <= until
            and (other.gone_ns is None or other.gone_ns > last)
            for other in timeline.pods
        )
        count = SURE * max(targets, 1)
        sure = [
            t
            for t, limit in (
                (rows.unbroken(last, count), until),
                (rows.any(last, count), min(until, stopped) - SLACK),
            )
            if t is not None and t < limit
        ]
        if sure:
            since_ns[pod.uid] = min(sure)
    return since_ns


@dataclass(frozen=True, slots=True)
class _Row:
    """When each request was begun, in order, and which of them failed."""

    begun_ns: NDArray[np.int64]
    failed: NDArray[np.int64]  # their places

    @classmethod
    def since(cls, t_ns: int, hits: Hits) -> _Row:
        rows = np.flatnonzero(hits.begun_ns >= t_ns)
        rows = rows[np.argsort(hits.begun_ns[rows], kind="stable")]
        return cls(hits.begun_ns[rows], np.flatnonzero(hits.failed[rows]))

    def any(self, after_ns: int, count: int) -> int | None:
        """Return when the request was begun that follows on the first `count` begun after a moment."""
        enough = int(np.searchsorted(self.begun_ns, after_ns, side="right")) + count
        return int(self.begun_ns[enough]) if enough < len(self.begun_ns) else None

    def unbroken(self, after_ns: int, count: int) -> int | None:
        """Return when the request was begun that follows on the first `count` in a row that succeeded, all begun
        after a moment.
        """
        first = int(np.searchsorted(self.begun_ns, after_ns, side="right"))
        breaks = self.failed[np.searchsorted(self.failed, first) :]
        starts = np.append(first, breaks + 1)
        ends = np.append(breaks, len(self.begun_ns))
        enough = np.flatnonzero(ends - starts > count)
        return int(self.begun_ns[starts[enough[0]] + count]) if len(enough) else None
