"""What a load balancer thought of each pod: the states of its address in AWS target groups.

They were polled: a state began after `after_ns`, when another was last asked for and told, and by `t_ns` at the latest.
An address belongs to the pod that had it last before that: a later pod may get it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.judge.timeline.lifeline import Lifeline
    from harness.model import ClusterEvent

_TARGET, _GROUP = "Target", "TargetGroup"
_MOST = 86_400  # a day: AWS allows an hour at most, or a few thousand
_DEFAULT_DELAY_S = 300  # deregistration_delay.timeout_seconds where nobody changed it


@dataclass(frozen=True, slots=True)
class TargetState:
    """A state of a pod's address in a target group: initial | healthy | unhealthy | draining | unused | unavailable |
    gone, ... `after_ns` is None for what the first poll showed.
    """

    group: str
    state: str
    reason: str
    t_ns: int
    after_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group as it was when the run began. None: AWS did not say."""

    name: str
    deregistration_delay_s: int | None = None
    idle_timeout_s: int | None = None
    slow_start_s: int | None = None
    check_interval_s: int | None = None
    unhealthy: int | None = None  # failed checks until a target is given up
    healthy: int | None = None


def target_groups(events: Iterable[ClusterEvent]) -> tuple[TargetGroup, ...]:
    """Return the target groups that a run recorded."""
    found = {}
    for event in events:
        if event.kind == _GROUP:
            said = event.object.get("settings") or {}
            check = said.get("check") or {}
            found[event.name] = TargetGroup(
                event.name,
                _sane(said.get("deregistration_delay_s")),
                _sane(said.get("idle_timeout_s")),
                _sane(said.get("slow_start_s")),
                _sane(check.get("interval_s")),
                _sane(check.get("unhealthy")),
                _sane(check.get("healthy")),
            )
    return tuple(found.values())


def _sane(value: int | None) -> int | None:
    """Return a number as AWS may give it: a recording may be a stranger's."""
    return value if value is not None and 0 <= value <= _MOST else None


def with_targets(pods: Sequence[Lifeline], events: Iterable[ClusterEvent]) -> tuple[Lifeline, ...]:
    """Put the states of targets onto the lifelines of the pods that had their addresses."""
    found: dict[str, list[TargetState]] = {}
    for event in events:
        if event.kind != _TARGET:
            continue
        said = event.object.get("target") or {}
        pod = _whose(pods, str(said.get("address") or ""), event.t_ns)
        if pod is not None:
            after_ns = said.get("after_ns")
            known = after_ns is not None and 0 <= after_ns <= event.t_ns
            state = TargetState(
                str(said.get("group") or ""), str(said.get("state") or "unknown"), str(said.get("reason") or ""),
                event.t_ns, after_ns if known else None,
            )  # fmt: skip
            found.setdefault(pod.uid, []).append(state)
    return tuple(
        replace(pod, targets=tuple(sorted(found[pod.uid], key=lambda one: one.t_ns)))
        if pod.uid in found
        else pod
        for pod in pods
    )


def _whose(pods: Sequence[Lifeline], address: str, t_ns: int) -> Lifeline | None:
    had = [pod for pod in pods if address and pod.address == address and (pod.created_ns or 0) <= t_ns]
    return max(had, key=lambda pod: pod.created_ns or 0, default=None)


def registration_ns(pod: Lifeline) -> int | None:
    """Return how long after it was ready a pod's target was healthy, at most; None where that was not seen."""
    healthy = next((one for one in pod.targets if one.state == "healthy" and one.after_ns is not None), None)
    if healthy is None or pod.ready_ns is None:
        return None
    return max(healthy.t_ns - pod.ready_ns, 0)


def draining_ns(pod: Lifeline) -> int | None:
    """Return how long after its deletion a pod's target was gone from the last of its groups, at most.

    None where that was not seen: the run ended first, or the address is not in a group.
    """
    if pod.deleted_ns is None or not pod.targets:
        return None
    last = {one.group: one for one in pod.targets}
    if any(one.state not in {"gone", "unused"} for one in last.values()):
        return None
    return max(max(one.t_ns for one in last.values()) - pod.deleted_ns, 0)


def drain_begins_ns(pod: Lifeline) -> int | None:
    """Return how long after its deletion a pod's target was seen to drain, at most; None where it was not."""
    if pod.deleted_ns is None:
        return None
    began = [one.t_ns - pod.deleted_ns for one in pod.targets if one.state == "draining"]
    return max(0, *began) if began else None


def delay_s(groups: Iterable[TargetGroup]) -> int | None:
    """Return the longest deregistration delay of these groups, in seconds; None without a group."""
    said = [
        _DEFAULT_DELAY_S if one.deregistration_delay_s is None else one.deregistration_delay_s
        for one in groups
    ]
    return max(said, default=None)
