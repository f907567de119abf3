"""How many pods each ReplicaSet of a Deployment should have now: kube-controller-manager's arithmetic.

Pure. Rounding and order follow pkg/controller/deployment (rolling.go, sync.go, util/deployment_util.go).
A ReplicaSet's `spec.replicas` is the wanted number of pods, its status the actual one.
"""

from __future__ import annotations

import math
from typing import Any

from harness.k8s.amounts import amount

Object = dict[str, Any]

MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"


def fences(deployment: Object) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) in pods. Surge rounds up, unavailable down; if both are 0, one may be
    unavailable.
    """
    spec = deployment["spec"]
    replicas = spec["replicas"]
    if not rolling(deployment) or replicas == 0:
        return 0, 0
    limits = spec["strategy"].get("rollingUpdate") or {}
    surge = amount(limits.get("maxSurge", "25%"), replicas, up=True)
    unavailable = amount(limits.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def rolling(deployment: Object) -> bool:
    """Tell whether the strategy is RollingUpdate."""
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def asked(sets: list[Object]) -> int:
    """Return the sum of spec.replicas."""
    return sum(rs["spec"]["replicas"] for rs in sets)


def available(rs: Object) -> int:
    """Return the number of a ReplicaSet's available pods."""
    return int(rs["status"].get("availableReplicas", 0))


def new_replicas(deployment: Object, sets: list[Object], new: Object | None) -> int:
    """Return how many pods the newest ReplicaSet may have now; `sets` has all of them, `new` included."""
    replicas: int = deployment["spec"]["replicas"]
    have: int = new["spec"]["replicas"] if new else 0
    if not rolling(deployment):
        return replicas
    if have > replicas:
        return replicas
    room = replicas + fences(deployment)[0] - asked(sets)
    if room <= 0:
        return have
    return have + min(room, replicas - have)


def old_replicas(deployment: Object, olds: list[Object], new: Object) -> dict[str, int]:
    """Return which old ReplicaSets to shrink now, and to how many pods (rolling update).

    Unhealthy pods first, then as many healthy ones as may be unavailable.
    """
    if asked(olds) == 0:
        return {}
    replicas = deployment["spec"]["replicas"]
    least = replicas - fences(deployment)[1]
    missing = new["spec"]["replicas"] - available(new)
    may_go = asked([*olds, new]) - least - missing
    if may_go <= 0:
        return {}
    result: dict[str, int] = {}
    by_age = sorted(olds, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]))
    cleaned = 0
    for rs in by_age:
        broken = rs["spec"]["replicas"] - available(rs)
        if broken > 0 and cleaned < may_go:
            take = min(may_go - cleaned, broken)
            result[rs["metadata"]["name"]] = rs["spec"]["replicas"] - take
            cleaned += take
    spare = sum(available(rs) for rs in [*olds, new]) - least
    for rs in by_age:
        have = result.get(rs["metadata"]["name"], rs["spec"]["replicas"])
        take = min(have, spare)
        if take > 0:
            result[rs["metadata"]["name"]] = have - take
            spare -= take
    return result


def scaled(deployment: Object, olds: list[Object], new: Object | None) -> dict[str, int]:
    """Return the size of each ReplicaSet after spec.replicas changed, or while the rollout is paused.

    A single active set gets all pods; a finished rollout empties the old sets; during a rollout the sets share the
    change in proportion to their sizes, and the largest gets the rest.
    """
    replicas = deployment["spec"]["replicas"]
    sets = [*olds, *([new] if new else [])]
    active = [rs for rs in sets if rs["spec"]["replicas"] > 0]
    if len(active) <= 1:
        only = active[0] if active else new
        if only is None or only["spec"]["replicas"] == replicas:
            return {}
        return {only["metadata"]["name"]: replicas}
    if new is not None and _saturated(deployment, new):
        return {rs["metadata"]["name"]: 0 for rs in olds if rs["spec"]["replicas"] > 0}
    if not rolling(deployment):
        return {}
    add = (replicas + fences(deployment)[0] if replicas else 0) - asked(active)
    if add == 0:
        return {}
    active.sort(key=lambda rs: (-rs["spec"]["replicas"], rs["metadata"]["creationTimestamp"]), reverse=False)
    result: dict[str, int] = {}
    added = 0
    for rs in active:
        part = _part(deployment, rs, add, added)
        result[rs["metadata"]["name"]] = rs["spec"]["replicas"] + part
        added += part
    largest = active[0]["metadata"]["name"]
    result[largest] = max(0, result[largest] + add - added)
    return result


def _saturated(deployment: Object, new: Object) -> bool:
    replicas = deployment["spec"]["replicas"]
    desired = (new["metadata"].get("annotations") or {}).get(DESIRED_REPLICAS)
    return new["spec"]["replicas"] == replicas and desired == str(replicas) and available(new) == replicas


def _part(deployment: Object, rs: Object, add: int, added: int) -> int:
    left = add - added
    if left == 0:
        return 0
    replicas = deployment["spec"]["replicas"]
    if replicas == 0:
        return -int(rs["spec"]["replicas"])
    before = int((rs["metadata"].get("annotations") or {}).get(MAX_REPLICAS, 0)) or deployment["status"].get(
        "replicas", 0
    )
    if not before:
        return 0
    size = rs["spec"]["replicas"] * (replicas + fences(deployment)[0]) / before
    fraction: int = math.floor(size + 0.5) - rs["spec"]["replicas"]  # half away from zero, as Go does
    return min(fraction, left) if add > 0 else max(fraction, left)
