"""Changes of a workload's size during a run: an autoscaler's, somebody else's, or our own.

They explain pods that came or went beside the rollout; by themselves they are no fault of a run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import ClusterEvent, RunRecord

_NEAR_NS = 5 * NS  # an autoscaler tells of what it did at once; its Event may come a little before or after
_NEW_SIZE = re.compile(r"New size: (\d+)")  # kubernetes pkg/controller/podautoscaler/horizontal.go


@dataclass(frozen=True, slots=True)
class Scaling:
    """One change of `spec.replicas`, as we saw it. `by` names an autoscaler whose Event fits, else who wrote it, else
    it is "".
    """

    t_ns: int
    before: int
    after: int
    by: str = ""


def _writer(run: RunRecord, t_ns: int) -> str:
    """Return who set the number of replicas at a moment, where the run has written it down."""
    kinds = {"scaled", "autoscaled"}
    return next((one.who for one in run.changes if one.kind in kinds and one.at_ns == t_ns), "")


def scalings(run: RunRecord, events: Sequence[ClusterEvent]) -> tuple[Scaling, ...]:
    """Read them off the events, in time order."""
    if run.cluster is None:
        return ()
    writes = [
        (event.t_ns, int(match[1]), str(about.get("name") or ""))
        for event in events
        if event.kind == "Event" and event.object.get("reason") == "SuccessfulRescale"
        for about in [event.object.get("involvedObject") or {}]
        for match in [_NEW_SIZE.search(str(event.object.get("message") or ""))]
        if match and about.get("kind", "HorizontalPodAutoscaler") == "HorizontalPodAutoscaler"
    ]
    found: list[Scaling] = []
    size: int | None = None
    for event in events:
        if event.uid != run.cluster.uid:
            continue
        now = (event.object.get("spec") or {}).get("replicas")
        if now is None:  # a DaemonSet has none
            continue
        if size is not None and now != size:
            names = [n for t_ns, new, n in writes if new == now and abs(t_ns - event.t_ns) < _NEAR_NS]
            by = f"HorizontalPodAutoscaler {names[0]}".strip() if names else _writer(run, event.t_ns)
            found.append(Scaling(event.t_ns, size, now, by))
        size = now
    return tuple(found)
