"""How close it was: of every protection that a rollout put to work, how much was used and how much was left.

A clean run with a hundredth of a second to spare is a clean run by luck; one with twenty seconds to spare is slow for
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.advice.draft import AS_IT_IS
from harness.judge.timeline.ending import hook_could_not_run, hook_outlasts_grace, killed_at_grace
from harness.judge.wording import lasting
from harness.model import NEVER, Mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.judge.advice.advice import Decided
    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord

_VALUES = {"preStop": "prestop", "grace": "grace"}  # protections whose value the advice may decide
POINTS = 12  # of the curve, at most
_STEP_NS = NS // 2  # its points are a multiple of this apart
_NEVER_DELETED = 1 << 62


@dataclass(frozen=True, slots=True)
class Margin:
    """One protection. `used_ns` of `of_ns` were needed, by `pod`, which came closest; None where it cannot be told."""

    what: str  # preStop | grace | readiness | keep-alive
    sentence: str
    pod: str = ""
    used_ns: int | None = None
    of_ns: int | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a preStop of `pre_stop_ns` would have lost: requests that reached a terminating pod later than that."""

    pre_stop_ns: int
    lost: int


def margins(
    run: RunRecord, timeline: Timeline, measured: Measured | None, *, until_goaway: bool = False
) -> tuple[Margin, ...]:
    """Say of each protection how much of it the rollout used.

    `until_goaway`: clients keep their connections, and calls come on them until the server ends these by GOAWAY. So
    how late the last one came says nothing of a preStop.
    """
    if measured is None or not timeline.triggered:
        return ()
    going = [pod for pod in timeline.pods if pod.old and pod.deleted_ns is not None]
    found = [
        None if until_goaway else _pre_stop(going, measured),
        _grace(going),
        _readiness(timeline, measured),
        _keep_alive(run),
    ]
    return tuple(line for line in found if line is not None)


def with_advised(lines: Iterable[Margin], decided: Decided) -> tuple[Margin, ...]:
    """Put what is advised behind each protection that it changes."""
    advised = {what: decided.values.get(name, AS_IT_IS) for what, name in _VALUES.items()}
    return tuple(
        (
            line
            if advised.get(line.what, AS_IT_IS).endswith(AS_IT_IS)
            else replace(line, sentence=f"{line.sentence}; advised: {advised[line.what]}")
        )
        for line in lines
    )


def shorter_pre_stops(hits: AllHits, timeline: Timeline, measured: Measured | None) -> tuple[CurvePoint, ...]:
    """Return what shorter preStops would have lost; empty where answers name no pod, or no hook held traffic off.

    Counts good answers whose request began later after the deletion than the hook would have lasted: an app that stops
    listening at SIGTERM would have refused them.
    """
    going = [pod for pod in timeline.pods if pod.old and pod.deleted_ns is not None and pod.spec.pre_stop_ns]
    if measured is None or not going:
        return ()
    codes = {name: code for code, name in enumerate(hits.words)}
    gone = {codes[pod.name]: pod.deleted_ns for pod in going if pod.name in codes and pod.deleted_ns}
    if not gone:
        return ()
    hook_ns = max(pod.spec.pre_stop_ns or 0 for pod in going)
    late, reach_ns = np.zeros(hook_ns // _STEP_NS + 2, dtype=np.int64), 0  # by steps after the deletion
    deleted = np.full(len(hits.words) + 1, _NEVER_DELETED, dtype=np.int64)
    deleted[list(gone)] = list(gone.values())
    for piece in hits.pieces("pod", since_ns=min(gone.values())):
        after = piece.begun_ns - deleted[piece.frame["pod"].cat.codes.to_numpy()]
        rows = np.flatnonzero(piece.good & (after >= 0))
        reach_ns = max(reach_ns, int(after[rows].max(initial=0)))
        steps = np.minimum(after // _STEP_NS, len(late) - 1)
        mask = np.zeros(len(piece), dtype=bool)
        mask[rows] = True
        late += piece.tally(steps, mask, len(late))
    step = max(_STEP_NS, -(-min(reach_ns, hook_ns) // (POINTS - 2) // _STEP_NS) * _STEP_NS)
    points = []
    for at_ns in range(0, hook_ns + 1, step):
        lost = int(late[at_ns // _STEP_NS :].sum())
        points.append(CurvePoint(at_ns, lost))
        if not lost:
            break
    return tuple(points[:POINTS])


def _pre_stop(going: Sequence[Lifeline], measured: Measured) -> Margin | None:
    by_name = {pod.pod: pod for pod in measured.pods}
    held = [
        (pod.spec.pre_stop_ns - row.reach_ns, pod, row)
        for pod in going
        for row in [by_name[pod.name]]
        if pod.spec.pre_stop_ns and row.reach_ns is not None and not hook_could_not_run(pod)
    ]
    if not held:
        return None
    left, pod, row = min(held, key=lambda item: (item[0], item[1].name))
    hook = lasting(pod.spec.pre_stop_ns or 0)
    if row.censored and hook_outlasts_grace(pod):
        grace = lasting(pod.spec.grace_ns)
        sentence = f"requests still came when the grace period of {grace} cut the preStop of {hook} short"
    elif row.censored:
        sentence = (
            f"requests still came when the preStop of {hook} was over: it is too short, by an unknown time"
        )
    elif left < 0:
        sentence = (
            f"the last request came {lasting(-left)} after the preStop of {hook} was over: the app was still"
            " listening"
        )
    else:
        sentence = (
            f"the last request reached a terminating pod {lasting(row.reach_ns or 0)} into its preStop of {hook}:"
            f" {lasting(left)} to spare"
        )
    return Margin("preStop", sentence, pod.name, row.reach_ns, pod.spec.pre_stop_ns)


def _grace(going: Sequence[Lifeline]) -> Margin | None:
    ended = [
        (pod.spec.grace_ns - (ended_ns - pod.deleted_ns), pod)
        for pod in going
        for ended_ns in [pod.exited_ns if pod.ended_ns is None else pod.ended_ns]
        if ended_ns is not None and pod.deleted_ns is not None
    ]
    if not ended:
        return None
    left, pod = min(ended, key=lambda item: (item[0], item[1].name))
    used, grace = pod.spec.grace_ns - left, lasting(pod.spec.grace_ns)
    if any(killed_at_grace(other) for _, other in ended):
        pod = next(other for _, other in ended if killed_at_grace(other))
        sentence = f"the grace period of {grace} was used up, and SIGKILL ended the pod"
    elif left <= 0:
        sentence = f"the slowest pod took all of its grace period of {grace}, to the second: nothing to spare"
    else:
        sentence = (
            f"the slowest pod took {lasting(used)} of its grace period of {grace} to end: {lasting(left)} to spare"
            " (to the second)"
        )
    return Margin("grace", sentence, pod.name, used, pod.spec.grace_ns)


def _readiness(timeline: Timeline, measured: Measured) -> Margin | None:
    probed = {pod.name: pod for pod in timeline.pods if not pod.old and pod.spec.readiness_probe}
    rows = [row for row in measured.pods if row.pod in probed and row.serve_ns is not None]
    if not rows:
        return None
    row = min(rows, key=lambda found: (found.serve_ns or 0, found.pod))
    took = lasting(row.listen_ns) if row.listen_ns is not None else "?"
    return Margin(
        "readiness",
        f"new pods were ready {took} after their start; the first good answer came {lasting(row.serve_ns or 0)} or"
        " more after that",
        row.pod,
        row.listen_ns,
        None,
    )


def _keep_alive(run: RunRecord) -> Margin:
    began, ended = run.mark(Mark.LULL), run.mark(Mark.TRIGGER)
    if NEVER not in {began, ended} and ended > began:
        return Margin(
            "keep-alive",
            f"idle connections were tested in a lull of {lasting(ended - began)} before the trigger; if the app"
            " closes them sooner than the balancer, idle_close_race or fast 502 show there",
        )
    return Margin(
        "keep-alive",
        "not tested: under a steady load no connection lies idle, so a keep-alive shorter than the balancer's would"
        " not show (--lull tests it)",
    )
