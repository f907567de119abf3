"""The steps of an Argo Rollout's update, on the run's clock: as its status told of them, when the watch heard of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.k8s import argo
from harness.k8s.argosteps import happenings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import ClusterEvent, RunRecord

_MOST = 500  # of one run: a controller that goes to and fro for hours would fill every report


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """One step of a canary or blue-green update. kind: step | weight | paused | resumed | active | preview | stable |
    aborted | degraded | restarted.
    """

    t_ns: int
    kind: str
    words: str


def delivery_steps(run: RunRecord, events: Sequence[ClusterEvent]) -> tuple[DeliveryStep, ...]:
    """Read them off the events, in time order; () for any other kind of workload."""
    if run.cluster is None or run.cluster.kind != argo.KIND:
        return ()
    found: list[DeliveryStep] = []
    last: dict[str, Any] | None = None
    for event in sorted(events, key=lambda event: event.t_ns):
        if event.kind != argo.KIND or event.uid != run.cluster.uid or event.change == "DELETED":
            continue
        if last is not None and len(found) < _MOST:
            found += [DeliveryStep(event.t_ns, kind, words) for kind, words in happenings(last, event.object)]
        last = event.object
    return tuple(found)
