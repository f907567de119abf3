"""When there were too few pods, or none: one function per rule of rules.py, all of one shape.

`window(pod, context, lag_ns)` is None where the rule has nothing to do with the pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.causes.context import FOREVER, Window
from harness.judge.timeline.clocks import SLACK

if TYPE_CHECKING:
    from harness.judge.causes.context import Context
    from harness.judge.timeline.lifeline import Lifeline

# What the scheduler says when a new pod must wait for what an old one holds, or for room.
_HELD = ("free ports", "anti-affinity", "volume")
_ROOM = ("Insufficient",)


def short_of_pods(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D2: in flight while fewer pods were ready than before; handed out with the pod that had just gone."""
    left = pod.out_of_endpoints_ns
    if not pod.old or left is None:
        return None
    olds = sum(p.old for p in context.timeline.pods)
    entered = sorted(
        p.in_endpoints_ns for p in context.timeline.pods if not p.old and p.in_endpoints_ns is not None
    )
    gone = sorted(
        p.out_of_endpoints_ns for p in context.timeline.pods if p.old and p.out_of_endpoints_ns is not None
    )
    there = olds - sum(t <= left for t in gone) + sum(t <= left for t in entered)
    if there >= olds:
        return None
    back = next((t for t in entered if t > left), FOREVER)
    return Window(begun=(-FOREVER, back + lag_ns if back < FOREVER else FOREVER), ended=(left, FOREVER))


def recreate(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D3: one window for the whole rollout, handed out with the first old pod."""
    olds = [p.deleted_ns for p in context.timeline.pods if p.old and p.deleted_ns is not None]
    if context.surroundings.strategy != "Recreate" or not olds or pod.deleted_ns != min(olds):
        return None
    back = [p.in_endpoints_ns for p in context.timeline.pods if not p.old and p.in_endpoints_ns is not None]
    return Window(begun=(min(olds) - SLACK, min(back) + lag_ns if back else FOREVER))


def no_endpoint(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D9: from this pod's leaving, if it was the last endpoint, to the next one's coming."""
    left = pod.out_of_endpoints_ns
    del lag_ns
    return None if left is None else _nobody_since(left, context)


def only_endpoint(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D1: the same, where there is only one pod."""
    return no_endpoint(pod, context, lag_ns) if _alone(context) else None


def nowhere_to_run(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D6: the same, while a new pod finds no node: it needs what the old one holds (a port, a volume, a place
    apart).
    """
    return _unscheduled(pod, context, lag_ns, _HELD)


def no_room(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D5: the same, while a new pod finds no node with room: pods that are ending still take theirs."""
    return _unscheduled(pod, context, lag_ns, _ROOM)


def flapped(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D7: the same, where the pod was not deleted when it left."""
    del lag_ns
    return _around([_nobody_since(stop, context) for stop in _flaps(pod)])


def flapped_unheard(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D7: from the next one's coming to the balancer's hearing of it."""
    return _around([_unheard(stop, context, lag_ns) for stop in _flaps(pod)])


def nobody_unheard(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D9: from the next one's coming to the balancer's hearing of it."""
    left = pod.out_of_endpoints_ns
    return None if left is None else _unheard(left, context, lag_ns)


def only_unheard(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D1: the same, where there is only one pod."""
    return nobody_unheard(pod, context, lag_ns) if _alone(context) else None


def _alone(context: Context) -> bool:
    return sum(p.old for p in context.timeline.pods) == 1


def _flaps(pod: Lifeline) -> list[int]:
    """Return when a pod left the endpoints although nobody had deleted it."""
    return [
        stop
        for _, stop in pod.endpoints
        if stop is not None and (pod.deleted_ns is None or stop < pod.deleted_ns - SLACK)
    ]


def _around(windows: list[Window | None]) -> Window | None:
    found = [window for window in windows if window is not None]
    if not found:
        return None
    return Window(begun=(min(w.begun[0] for w in found), max(w.begun[1] for w in found)))


def _unscheduled(pod: Lifeline, context: Context, lag_ns: int, words: tuple[str, ...]) -> Window | None:
    waiting = [
        note
        for other in context.timeline.pods
        if not other.old
        for note in [other.noted("FailedScheduling")]
        if note is not None and any(word in note.message for word in words)
    ]
    window = no_endpoint(pod, context, lag_ns) if waiting else None
    return None if window is None else Window(begun=(window.begun[0], min(window.begun[1] + lag_ns, FOREVER)))


def _back(left: int, context: Context) -> int | None:
    """Return when the endpoints, empty from `left` on, had one again (FOREVER: never); None if they were not empty."""
    others = [stretch for p in context.timeline.pods for stretch in p.endpoints]
    if any(start <= left and (stop is None or stop > left) for start, stop in others):
        return None
    return min((start for start, _ in others if start > left), default=FOREVER)


def _nobody_since(left: int, context: Context) -> Window | None:
    back = _back(left, context)
    return None if back is None else Window(begun=(left - SLACK, back))


def _unheard(left: int, context: Context, lag_ns: int) -> Window | None:
    back = _back(left, context)
    return None if back is None or back == FOREVER else Window(begun=(back, back + lag_ns))


def never(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """E1: known by its outcome, not by its time."""
    del pod, context, lag_ns
    return None
