"""What polls of target groups tell, as events of a recording. Pure.

A state is asked for, not announced: a change happened somewhere between the poll before, which still showed the old
state, and the one that shows the new one. Both moments are kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.model import ClusterEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Object = dict[str, Any]

TARGET, GROUP = "Target", "TargetGroup"  # kinds of events
ARN = re.compile(r"arn:aws[\w-]*:elasticloadbalancing:([\w-]+):\d{12}:targetgroup/([\w-]+)/[0-9a-f]+")
_CHECK = {
    "interval_s": "HealthCheckIntervalSeconds",
    "timeout_s": "HealthCheckTimeoutSeconds",
    "healthy": "HealthyThresholdCount",
    "unhealthy": "UnhealthyThresholdCount",
}


def region_of(arn: str) -> str:
    """Return the region of a target group's ARN. Raises ValueError."""
    match = ARN.fullmatch(arn)
    if not match:
        raise ValueError(f"{arn!r} is not the ARN of a target group")
    return match[1]


def name_of(arn: str) -> str:
    """Return a target group's name: what is kept of its ARN, which has the account's number."""
    match = ARN.fullmatch(arn)
    return match[2] if match else "?"


def arns_of(bindings: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the ARNs that TargetGroupBindings (elbv2.k8s.aws) name."""
    found = (str((one.get("spec") or {}).get("targetGroupARN") or "") for one in bindings)
    return tuple(dict.fromkeys(arn for arn in found if ARN.fullmatch(arn)))


def by_address(described: Mapping[str, Any]) -> bool:
    """Tell whether a group's targets are pods by their addresses, not nodes."""
    return described.get("TargetType") == "ip"


def group_event(arn: str, described: Mapping[str, Any], t_ns: int) -> ClusterEvent:
    """Return a target group as the first event about it."""
    own, above = described.get("Attributes") or {}, described.get("LoadBalancerAttributes") or {}
    settings = {
        "target_type": str(described.get("TargetType") or ""),
        "deregistration_delay_s": _whole(own.get("deregistration_delay.timeout_seconds")),
        "slow_start_s": _whole(own.get("slow_start.duration_seconds")),
        "idle_timeout_s": _whole(above.get("idle_timeout.timeout_seconds")),
        "check": {name: _whole(described.get(key)) for name, key in _CHECK.items()},
    }
    name = name_of(arn)
    return ClusterEvent(
        t_ns, "LISTED", GROUP, "", name, name, {"metadata": {"name": name}, "settings": settings}
    )


def states(health: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], tuple[str, str]]:
    """Return state and reason by address and port, from AWS' TargetHealthDescriptions."""
    found = {}
    for one in health:
        target, now = one.get("Target") or {}, one.get("TargetHealth") or {}
        key = (str(target.get("Id") or ""), int(target.get("Port") or 0))
        found[key] = (str(now.get("State") or "unknown"), str(now.get("Reason") or ""))
    return found


def changes(
    group: str,
    before: Mapping[tuple[str, int], tuple[str, str]] | None,
    now: Mapping[tuple[str, int], tuple[str, str]],
    t_ns: int,
    before_ns: int,
) -> Iterator[ClusterEvent]:
    """Yield an event for each target whose state is another than at the poll before (None: there was none).

    `before_ns` is when that poll was asked for: the change came after it. A target that left the group is "gone".
    """
    for key in sorted({*(before or {}), *now}):
        was = (before or {}).get(key)
        state, reason = now.get(key, ("gone", ""))
        if was == (state, reason):
            continue
        change = (
            "LISTED"
            if before is None
            else "ADDED"
            if was is None
            else "DELETED"
            if key not in now
            else "MODIFIED"
        )
        address, port = key
        name = f"{address}:{port}"
        target = {"group": group, "address": address, "port": port, "state": state, "reason": reason}
        if before is not None:
            target["after_ns"] = before_ns
        yield ClusterEvent(
            t_ns, change, TARGET, "", name, f"{group}/{name}", {"metadata": {"name": name}, "target": target}
        )


def _whole(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 8 else None
