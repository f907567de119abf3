"""Around which moments of a pod's start a cause can have lost a hit: one function per rule of rules.py, all of one
shape.

`window(pod, context, lag_ns)` is None where the rule has nothing to do with the pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.causes.context import COLD, FOREVER, Window
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import killed_by_liveness

if TYPE_CHECKING:
    from harness.judge.causes.context import Context
    from harness.judge.timeline.lifeline import Lifeline


def not_listening(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A1: from being an endpoint to listening, which is the first answer, or the end of the run of failures."""
    if pod.old or pod.spec.readiness_probe or pod.in_endpoints_ns is None:
        return None
    opened = pod.in_endpoints_ns
    listening = context.listening_ns(pod)
    if listening is None:
        ends = [context.episode_end(opened), opened + max(lag_ns, 30 * NS)]
        ends += [pod.deleted_ns] if pod.deleted_ns is not None else []
        listening = min(ends)
    return Window(begun=(opened - SLACK, listening))


def bad_answers(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A2: while the new pod is an endpoint. An application may serve some requests and not others for as long."""
    del context, lag_ns
    if pod.old or pod.in_endpoints_ns is None:
        return None
    return Window(
        begun=(pod.in_endpoints_ns - SLACK, pod.deleted_ns if pod.deleted_ns is not None else FOREVER)
    )


def breaks(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A2: from being an endpoint to the first good answer. What breaks later has another reason, such as C2.

    Straight to the pod nobody else can break a connection: there it is the pod's for as long as it lives.
    """
    whole = bad_answers(pod, context, lag_ns)
    serves = context.listening_ns(pod)
    if whole is None or serves is None or context.chain.direct:
        return whole
    begun, ends = whole.begun
    return Window(begun=(begun, min(ends, serves)))


def no_answers(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A2: from being an endpoint to the first good answer, or the end of the run of failures."""
    if pod.old or not pod.spec.readiness_probe or pod.in_endpoints_ns is None:
        return None
    usual = context.lag_ns()
    if lag_ns < (8 if usual is None else 4) * NS:
        return None  # what a usual lag explains is tried first
    warm = context.listening_ns(pod)
    if warm is None:
        warm = context.episode_end(pod.in_endpoints_ns + lag_ns)
    if warm - pod.in_endpoints_ns < COLD + (usual or 0):  # no later than the balancer's own lag
        return None
    return Window(begun=(pod.in_endpoints_ns - SLACK, warm))


def not_registered(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A7: from being an endpoint to the first good answer, or the end of the run of failures."""
    if pod.old or pod.in_endpoints_ns is None:
        return None
    known = context.listening_ns(pod)
    until = known if known is not None else context.episode_end(pod.in_endpoints_ns + lag_ns)
    opened = min(pod.in_endpoints_ns, pod.ready_ns if pod.ready_ns is not None else pod.in_endpoints_ns)
    return Window(begun=(opened - SLACK // 10, until + lag_ns))


def published_early(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C19: as A1, whatever the probe says."""
    if not context.surroundings.published or pod.old:
        return None
    opened = next((t for t in (pod.in_endpoints_ns, pod.started_ns) if t is not None), None)
    listening = context.listening_ns(pod)
    if opened is None:
        return None
    opened = min(opened, pod.started_ns if pod.started_ns is not None else opened)
    return Window(
        begun=(opened - SLACK, listening if listening is not None else opened + max(lag_ns, 30 * NS))
    )


def _restarted(pod: Lifeline) -> Window | None:
    if pod.old or not pod.restarts or pod.in_endpoints_ns is None:
        return None
    ends = pod.deleted_ns if pod.deleted_ns is not None else FOREVER
    return Window(begun=(-FOREVER, ends), ended=(pod.in_endpoints_ns - SLACK, FOREVER))


def killed_starting(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A4: restarted, and the kubelet says its liveness was at fault."""
    del context, lag_ns
    return _restarted(pod) if killed_by_liveness(pod) else None


def crashed(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A8: restarted, and by nobody else."""
    return None if killed_starting(pod, context, lag_ns) else _restarted(pod)


def throttled(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """A5: soon after its first good answers, of a pod with a limit on its processor time."""
    first = context.listening_ns(pod)
    if pod.old or not pod.spec.cpu_limited or first is None or lag_ns < 8 * NS:
        return None
    return Window(begun=(first - SLACK, first + 10 * NS), took=(NS, FOREVER))
