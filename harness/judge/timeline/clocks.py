"""Whose clock wrote a time stamp, and how far it is from ours. All stamps are whole seconds, cut off.

The API server's clock writes creationTimestamp and deletionTimestamp; each node's own writes when containers started
and finished and when pods turned ready. Offsets are what to take off a stamp (ns since 1970) to get run time; a
moment that is mapped so lies at most 1 s too early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.k8s.timestamps import since_epoch_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.model import ClusterEvent, RunRecord


SLACK = NS  # a moment taken from a stamp is up to this much too early


def server_offset_ns(run: RunRecord, events: Sequence[ClusterEvent]) -> int:
    """Return the offset of the API server's clock.

    Whatever was created while we watched bears a server second that began before we heard of it; the latest of those
    bounds is the tightest, and as late as the watch was. Where the run measured how far the server's clock is from
    ours, that bounds it from both sides. Without any of these, both clocks are taken to agree.
    """
    bounds = [
        stamp - event.t_ns
        for event in events
        if event.change == "ADDED" and not event.missed
        for stamp in [since_epoch_ns((event.object.get("metadata") or {}).get("creationTimestamp"))]
        if stamp is not None
    ]
    if run.server_clock_ns is None:
        return max(bounds, default=run.wall_ns)
    low, high = (run.wall_ns + bound for bound in run.server_clock_ns)
    return min(max([*bounds, low]), high)


def node_offsets_ns(events: Sequence[ClusterEvent], server_offset: int) -> dict[str, int]:
    """Return the offset of each node's clock: the server's, unless what the node wrote contradicts that.

    A node cannot have written of a moment after we heard of it, nor of a container's start before its pod was
    created. Where the server's clock would have it so, the node's is taken from what we heard the soonest.
    """
    low: dict[str, int] = {}
    high: dict[str, int] = {}
    seen: dict[tuple[str, str], set[int]] = {}
    for event in events:
        if event.kind != "Pod":
            continue
        node = str((event.object.get("spec") or {}).get("nodeName") or "")
        known = seen.setdefault((node, event.uid), set())
        created = since_epoch_ns((event.object.get("metadata") or {}).get("creationTimestamp"))
        for stamp, started in _of_the_node(event.object.get("status") or {}):
            if started and created is not None:
                least = stamp + NS - (created - server_offset)
                high[node] = min(high.get(node, least), least)
            if stamp not in known and event.change != "LISTED" and not event.missed:
                low[node] = max(low.get(node, stamp - event.t_ns), stamp - event.t_ns)
            known.add(stamp)
    return {
        node: server_offset if bound <= server_offset <= high.get(node, server_offset) + NS else bound
        for node, bound in low.items()
    }


def _of_the_node(status: dict[str, Any]) -> Iterator[tuple[int, bool]]:
    """Yield each stamp that a node wrote into a pod's status, and whether it is a container's start."""
    for container in status.get("containerStatuses") or []:
        state = container.get("state") or {}
        for phase in ("running", "terminated"):
            for field in ("startedAt", "finishedAt"):
                stamp = since_epoch_ns((state.get(phase) or {}).get(field))
                if stamp is not None:
                    yield stamp, field == "startedAt"
    for condition in status.get("conditions") or []:
        stamp = since_epoch_ns(condition.get("lastTransitionTime"))
        if condition.get("type") == "Ready" and stamp is not None:
            yield stamp, False
