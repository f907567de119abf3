"""Which pod sends what, and how many rows of good hits each may send back. Pure.

The slots are dealt over all worker processes of all pods, as they are over those of one machine, and the hits of a
rate are dealt over the slots. So connections and rate are divided exactly, remainders included, and a worker has the
same number everywhere: in its pod, in the recording and in what is said of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.load import messages
from harness.recording.bounds import MOST_WORKERS

if TYPE_CHECKING:
    from pathlib import Path

    from harness.clock import Clock
    from harness.load.messages import Assignment
    from harness.model import LoadPlan

GOOD_ROWS = 50_000  # a second over all pods that are sent back as they are; of more, some stand for all
LEAST_GOOD_ROWS = 50  # a second that each worker may send, however many there are


def divided(plan: LoadPlan, pods: int, clock: Clock, directory: Path) -> list[list[Assignment]]:
    """Return each pod's assignments, one for each of its worker processes. `plan.workers` is for one pod.

    Raises UsageError if there is not a connection for each worker, or there are more workers than a recording holds.
    """
    workers = pods * plan.workers
    if workers > plan.concurrency:
        each = f" of {plan.workers} workers" if plan.workers > 1 else ""
        raise UsageError(
            f"{plan.concurrency} connections are too few for {pods} pods{each}: each worker needs one; "
            f"raise -c to at least {workers}, or lower --pods"
        )
    if workers > MOST_WORKERS:
        raise UsageError(
            f"{pods} pods of {plan.workers} workers are {workers:,} workers, and a recording holds {MOST_WORKERS:,}; "
            "lower --pods or --workers"
        )
    whole = messages.assignments(replace(plan, workers=workers), clock, directory)
    return [whole[pod::pods] for pod in range(pods)]


def good_rows(workers: int) -> int:
    """Return how many rows of good hits a second one of so many workers may send back."""
    return max(LEAST_GOOD_ROWS, GOOD_ROWS // workers)


def report_every_s(pods: int) -> float:
    """Return how often a pod reports: as a worker does while there are few, and once a second when there are many."""
    return min(1.0, max(0.25, pods / 32))
