"""When there were too few pods, or none: one function per rule of rules.py, all of one shape.

`window(pod, context, lag_ns)` is None where the rule has nothing to do with the pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.judge.causes.context import FOREVER, Window
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import killed_by_liveness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.causes.context import Context
    from harness.judge.timeline.lifeline import Lifeline


# What the scheduler says when a new pod must wait for what an old one holds, or for room.
_HELD = ("free ports", "anti-affinity", "volume")
_ROOM = ("Insufficient",)


class _Absence(NamedTuple):
    """When a pod was no endpoint though nobody had deleted it, maybe to FOREVER. `ended`: because a container had."""

    from_ns: int
    to_ns: int
    ended: bool


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
    del lag_ns
    left = _left(pod, context)
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
    """D7: while there was no endpoint, and this pod was none though nobody had deleted it and its containers ran."""
    del lag_ns
    return _around(_empty_without(pod, context, ended=False))


def flapped_unheard(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D7: from the next one's coming to the balancer's hearing of it."""
    return _heard_late(_empty_without(pod, context, ended=False), lag_ns)


def nobody_unheard(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D9: from the next one's coming to the balancer's hearing of it."""
    left = _left(pod, context)
    return None if left is None else _unheard(left, context, lag_ns)


def only_unheard(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D1: the same, where there is only one pod."""
    return nobody_unheard(pod, context, lag_ns) if _alone(context) else None


def killed(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A4: while there was no endpoint for the balancer, and this pod was none because its liveness had it killed."""
    return _down(pod, context, lag_ns) if killed_by_liveness(pod) else None


def crashed(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A8: while there was no endpoint for the balancer, and this pod was none because its container had ended."""
    return None if killed_by_liveness(pod) else _down(pod, context, lag_ns)


def _left(pod: Lifeline, context: Context) -> int | None:
    """Return when a pod left the endpoints at last, if it left none behind; None where it flapped or crashed, of which
    other rules speak.
    """
    left = pod.out_of_endpoints_ns
    if left is None or _back(left, context) is None:
        return None
    other = any(away.from_ns == left and not (away.ended and pod.old) for away in _absences(pod))
    return None if other else left


def _alone(context: Context) -> bool:
    return sum(p.old for p in context.timeline.pods) == 1


def _absences(pod: Lifeline) -> list[_Absence]:
    """Return when a pod that nobody had deleted was no endpoint any more.

    A container that ends takes its pod out of the endpoints. One that ends later had no part in it.
    """
    found = []
    for number, (start, stop) in enumerate(pod.endpoints):
        if stop is None or (pod.deleted_ns is not None and stop >= pod.deleted_ns - SLACK):
            continue
        again = next((later for later, _ in pod.endpoints[number + 1 :]), pod.deleted_ns or FOREVER)
        ended = any(start - SLACK <= end <= stop for end in pod.endings_ns)
        found.append(_Absence(stop, again, ended))
    return found


def _empty_without(pod: Lifeline, context: Context, *, ended: bool) -> list[tuple[int, int]]:
    """Return when there was no endpoint, and would have been one if this pod had stayed one, which nobody deleted.

    Whichever pod was the last to leave: a rollout deletes it because it counts on the others.
    """
    if not context.empty or (ended and pod.old):  # what crashes is no new version
        return []
    absences = [away for away in _absences(pod) if away.ended == ended]
    return [
        (left, back)
        for left, back in context.empty
        if any(away.from_ns <= left < away.to_ns for away in absences)
    ]


def _around(stretches: list[tuple[int, int]]) -> Window | None:
    return _within([(left - SLACK, back) for left, back in stretches])


def _down(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    stretches = _empty_without(pod, context, ended=True)
    return _within([(left - SLACK, min(back + lag_ns, FOREVER)) for left, back in stretches])


def _heard_late(stretches: list[tuple[int, int]], lag_ns: int) -> Window | None:
    return _within([(back, back + lag_ns) for _, back in stretches if back < FOREVER])


def _within(stretches: list[tuple[int, int]]) -> Window | None:
    """Return one window for all of these; `stretches` are in order."""
    if not stretches:
        return None
    last, pauses = stretches[0][1], []
    for start, stop in stretches[1:]:
        if start > last:
            pauses.append((last, start))
        last = max(last, stop)
    return Window(begun=(stretches[0][0], last), pauses=tuple(pauses))


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


def without_endpoint(pods: Sequence[Lifeline]) -> tuple[tuple[int, int], ...]:
    """Return from when to when there was no endpoint, after there had been one: to FOREVER if none came back."""
    found: list[tuple[int, int]] = []
    ends: int | None = None  # of all stretches so far; None before the first
    for start, stop in sorted(
        (start, FOREVER if stop is None else stop) for p in pods for start, stop in p.endpoints
    ):
        if ends is not None and start > ends:
            found.append((ends, start))
        ends = stop if ends is None else max(ends, stop)
    return (*found, (ends, FOREVER)) if ends is not None and ends < FOREVER else tuple(found)


def _back(left: int, context: Context) -> int | None:
    """Return when the endpoints, empty from `left` on, had one again (FOREVER: never); None if they were not empty."""
    return next((back for since, back in context.empty if since == left), None)


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
