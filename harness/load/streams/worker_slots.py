"""The slots of a worker that holds streams, put together from its assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load.dial import Dialler
from harness.load.streams.ledger import Ledger
from harness.load.streams.slots import StreamSlots
from harness.recording.streams import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.messages import Assignment
    from harness.load.request import PreparedRequest
    from harness.load.rows.writing import ConnectionRows, HitRows


def of(
    assignment: Assignment,
    request: PreparedRequest,
    first_at: Callable[[int, int], int],
    rows: HitRows,
    connections: ConnectionRows,
) -> StreamSlots:
    """Make them. `first_at(start, slot)` says when a slot connects first."""
    plan, anchor_ns = assignment.plan, assignment.clock.monotonic_ns
    path = assignment.directory / FOLDER / f"{assignment.worker}.arrow"
    ledger = Ledger(plan, rows, connections, anchor_ns, path, assignment.worker)
    return StreamSlots(plan, assignment.slots, request, first_at, Dialler(plan), ledger, anchor_ns)
