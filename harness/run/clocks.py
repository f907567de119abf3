"""Measures the API server's clock against ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.cluster.offset import OffsetBounds, Reading, bounds, next_send_ns
from harness.errors import ClusterError

if TYPE_CHECKING:
    from harness.cluster.client.api import Api

READINGS = 8  # 22 ms wide at a few ms of round trip; the round trip is the limit


def measure_offset(api: Api) -> OffsetBounds | None:
    """Return bounds of the server's wall clock minus ours, in ns; None when the answers contradict each other. Takes
    some seconds.
    """
    readings: list[Reading] = []
    known: OffsetBounds | None = None
    for _ in range(READINGS):
        trip = min((r.received_ns - r.sent_ns for r in readings), default=0)
        time.sleep(max(0, next_send_ns(time.time_ns(), known, trip) - time.time_ns()) / 1e9)
        sent = time.time_ns()
        try:
            date = api.date()
        except ClusterError:
            continue
        if date:
            readings.append(Reading(sent, time.time_ns(), date))
            known = bounds(readings)
            if known is None:
                return None
    return known
