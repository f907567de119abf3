"""When the balancer had certainly let go of a pod that was still listening: what fails afterwards was not sent there.

A balancer gives each of its k targets every k-th request, in the mean. A pod that listens on and is sent none of the next
SURE * k requests is no target any more: at random that has a chance of e^-SURE, in turn none. Told only of paths where each
request may go to any pod, and where answers name their pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns

if TYPE_CHECKING:
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline

SURE = 10
LATE_NS = 200_000_000  # a request so long after SIGTERM that is answered: the app goes on listening


def departures(hits: Hits, timeline: Timeline, numbers: Numbers) -> dict[str, int]:
    """Return by uid from when on a pod was no target any more; pods of which that is not known are left out."""
    since_ns: dict[str, int] = {}
    traffic = {pod.pod: pod for pod in numbers.pods}
    begun = None
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
        if begun is None:
            begun = np.sort(hits.begun_ns[hits.begun_ns >= timeline.zero_ns])
        targets = sum(
            other.in_endpoints_ns is not None
            and other.in_endpoints_ns <= until
            and (other.gone_ns is None or other.gone_ns > last)
            for other in timeline.pods
        )
        first = int(np.searchsorted(begun, last, side="right"))
        enough = first + SURE * max(targets, 1)
        if enough < len(begun) and begun[enough] < until:
            since_ns[pod.uid] = int(begun[enough])
    return since_ns
