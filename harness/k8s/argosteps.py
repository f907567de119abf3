"""What happens in the course of an Argo Rollout's update, told from two states of the object.

The controller writes its status after it has acted: a Service was switched, or a weight was set, just before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from harness.k8s import argo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Happening(NamedTuple):
    """One thing that happened. kind: step | weight | paused | resumed | active | preview | stable | aborted |
    degraded | restarted.
    """

    kind: str
    words: str


def happenings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Happening]:
    """Yield what happened to a Rollout between two of its states, in the order in which a reader expects it."""
    was, now = before.get("status") or {}, after.get("status") or {}
    yield from _canary(before, after)
    yield from _blue_green(was.get("blueGreen") or {}, now.get("blueGreen") or {}, after)
    yield from _pauses(before, after)
    if now.get("stableRS") and now.get("stableRS") != was.get("stableRS"):
        yield Happening("stable", f"ReplicaSet {now['stableRS']} is the stable one")
    if now.get("restartedAt") and now.get("restartedAt") != was.get("restartedAt"):
        yield Happening("restarted", "all pods restarted")
    if now.get("abort") and not was.get("abort"):
        yield Happening("aborted", argo.standing(after).message)
    elif now.get("phase") == argo.DEGRADED != was.get("phase") and not now.get("abort"):
        yield Happening("degraded", f"degraded: {argo.standing(after).message}")


def _canary(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Happening]:
    index, total = argo.step_index(after), len(argo.steps(after))
    if total and index is not None and index != argo.step_index(before):
        yield Happening("step", argo.step_place(after) or f"all {total} steps done")
    weight = argo.weight(after)
    if weight is not None and weight != argo.weight(before):
        yield Happening("weight", f"{weight} % of the traffic to new pods")


def _blue_green(
    was: Mapping[str, Any], now: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Happening]:
    strategy = ((after.get("spec") or {}).get("strategy") or {}).get("blueGreen") or {}
    for kind in ("preview", "active"):
        field, service = f"{kind}Selector", str(strategy.get(f"{kind}Service") or "")
        if now.get(field) and now.get(field) != was.get(field):
            yield Happening(
                kind, f"{kind} Service {f'{service} ' if service else ''}switched to {now[field]}"
            )


def _pauses(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Happening]:
    was, now = argo.pause(before), argo.pause(after)
    if now is not None and now != was:
        yield Happening("paused", f"paused {now.words}")
    elif was is not None and now is None and not (after.get("status") or {}).get("abort"):
        yield Happening("resumed", "goes on after the pause")
