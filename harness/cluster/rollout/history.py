"""How many rollouts are left before Kubernetes prunes the oldest revision. Pure.

A Deployment keeps `revisionHistoryLimit` old ReplicaSets (10 where nothing is said), a StatefulSet and a DaemonSet as
many ControllerRevisions; every new pod template makes one more, and the oldest beyond the limit is deleted
(kubernetes.io/docs/concepts/workloads/controllers/deployment/#clean-up-policy). `kubectl rollout undo` goes back only
to what is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.k8s import argo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.scenario.trigger import Trigger

Object = dict[str, Any]

DEFAULT_LIMIT = 10
_UNDO = ("kubectl rollout undo", "kubectl argo rollouts undo")
# What makes a new revision each time. Of a command or somebody else's pipeline nothing is known.
_MAKES_ONE = frozenset({"restart", "apply", "replace", "set-image"})


def revisions_left(
    workload: Object, replicasets: Iterable[Object], trigger: Trigger, rollouts: int
) -> tuple[str, ...]:
    """Say how many revisions are left before the oldest is pruned; () where the trigger makes none.

    `replicasets` are those that the workload's selector matches; for a StatefulSet or DaemonSet there are none, and
    only the limit is stated. Raises UsageError where `rollouts` would prune every revision from before the run.
    """
    kind, name = workload["kind"], workload["metadata"]["name"]
    if trigger.kind not in _MAKES_ONE or (kind, trigger.kind) == (argo.KIND, "restart"):
        return ()
    said = (workload.get("spec") or {}).get("revisionHistoryLimit")
    limit = DEFAULT_LIMIT if said is None else int(said)
    if limit == 0:
        return (
            f"{name} keeps no old revision (revisionHistoryLimit 0): {_UNDO[kind == argo.KIND]} cannot go back",
        )
    if rollouts > limit > 0:
        raise UsageError(
            f"--rollouts {rollouts} would prune every revision of {name} from before the run: it keeps {limit}"
            f" (revisionHistoryLimit); ask for {limit} at most, or raise the limit"
        )
    if kind not in {"Deployment", argo.KIND}:
        return (f"each rollout of {name} makes a revision; the last {limit} are kept (revisionHistoryLimit)",)
    uid = workload["metadata"]["uid"]
    owned = [
        rs
        for rs in replicasets
        if any(ref.get("uid") == uid for ref in rs["metadata"].get("ownerReferences") or ())
    ]
    old = max(len(owned) - 1, 0)  # all but the one that is in use
    left = limit - old
    if left >= rollouts:
        return (
            (
                f"{rollouts} of {left} revisions that are left will be used (revisionHistoryLimit {limit}); after"
                f" that, Kubernetes prunes the oldest of {name}"
            ),
        )
    gone = min(rollouts - max(left, 0), old)
    return (
        (
            f"{name} keeps {limit} old revisions (revisionHistoryLimit) and has {old}: Kubernetes will prune the"
            f" oldest{f' {gone}' if gone > 1 else ''}"
        ),
    )
