"""What has just happened to a pod of the workload, in one word, for those who watch a run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cluster.rollout.view import is_going, is_own, is_ready

if TYPE_CHECKING:
    from harness.cluster.rollout.view import View
    from harness.model import ClusterEvent

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PodNews:
    """what: created | ready | not ready | restarted | deleted (its deletion began) | gone."""

    t_ns: int
    pod: str
    what: str


def pod_news(view: View, event: ClusterEvent) -> tuple[PodNews, ...]:
    """Say what an event that the view has not yet taken in means for a pod of the workload; mostly nothing.

    A pod that a first or a new list shows is no news by itself.
    """
    if event.kind != "Pod" or not is_own(view, event.object):
        return ()
    changes = _changes(view.pods.get(event.uid), event.object, event.change)
    return tuple(PodNews(event.t_ns, event.name, what) for what in changes)


def _changes(was: Object | None, now: Object, change: str) -> list[str]:
    if change == "DELETED":
        return ["gone"]
    found = []
    if was is None:
        if change == "LISTED":
            return []
        found.append("created")
    if is_going(now) and not (was and is_going(was)):
        found.append("deleted")
    if _restarts(now) > _restarts(was or {}):
        found.append("restarted")
    if not is_going(now) and is_ready(now) is not bool(was and is_ready(was)):
        found.append("ready" if is_ready(now) else "not ready")
    return found


def _restarts(pod: Object) -> int:
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return sum(int(one.get("restartCount") or 0) for one in statuses)
