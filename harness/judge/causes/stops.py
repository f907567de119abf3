"""Around which moments of a pod's end a cause can have lost a hit: one function per rule of rules.py, all of one shape.

`window(pod, context, lag_ns)` is None where the rule has nothing to do with the pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.causes.context import AT_ONCE_NS, FOREVER, Window
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import hook_could_not_run, hook_outlasts_grace, killed_at_grace, stop_ns

if TYPE_CHECKING:
    from harness.judge.causes.context import Context
    from harness.judge.timeline.lifeline import Lifeline

HEARD_LATE = SLACK // 4  # a busy API server tells of a deletion so much later than the kubelet acts on it
_ASKS_THE_NEXT = frozenset({"nginx", "ingress-nginx", "unknown"})  # as far as the manifests tell of it


def after_listening(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B1 and C1, one set: from the end of listening to when traffic ends, the lag after leaving the endpoints."""
    stopped = stop_ns(pod)
    if stopped is None or pod.deleted_ns is None:
        return None
    begins = min(stopped, pod.exited_ns if pod.exited_ns is not None else stopped) - SLACK
    seen = context.traffic.get(pod.name)
    if seen and seen.last_good_begun_ns is not None:  # it still took that one
        begins = max(begins, min(seen.last_good_begun_ns, stopped + SLACK))
    leaves = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else pod.deleted_ns
    until = min(max(leaves, pod.deleted_ns) + lag_ns, context.left_ns(pod))
    begins = max(begins, pod.deleted_ns - SLACK)
    return Window(begun=(begins, until)) if begins <= until else None


def hook_missing(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B6: as without a preStop."""
    return after_listening(pod, context, lag_ns) if hook_could_not_run(pod) else None


def hook_short(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B7: a hook whose length nobody knows, and a pod that ended at once nevertheless."""
    if not pod.spec.pre_stop or pod.spec.pre_stop_ns is not None or hook_could_not_run(pod):
        return None
    if pod.exited_ns is None or pod.deleted_ns is None or pod.exited_ns - pod.deleted_ns > 2 * SLACK:
        return None
    return after_listening(pod, context, lag_ns)


def no_hook(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B1: nothing stands between the deletion and SIGTERM."""
    return None if pod.spec.pre_stop else after_listening(pod, context, lag_ns)


def hook_outlasted(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C1: there is a preStop, and it ended before traffic did."""
    if not pod.spec.pre_stop or hook_could_not_run(pod) or hook_outlasts_grace(pod):
        return None
    return after_listening(pod, context, lag_ns)


def pinned(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C3: on connections that stay with the pod although it has left the endpoints, at its end or after it."""
    window = after_listening(pod, context, max(lag_ns, 60 * NS))
    left = pod.out_of_endpoints_ns
    return (
        window
        if window is None or left is None
        else Window(begun=(window.begun[0], FOREVER), ended=(left, FOREVER))
    )


def killed_at_once(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B9: no time to end was given."""
    evicted = pod.noted("Evicted") or pod.noted("TaintManagerEviction")
    if (
        not (pod.deleted_ns is not None and pod.spec.grace_ns == 0)
        and pod.exit_reason != "OOMKilled"
        and not evicted
    ):
        return None
    ended = next((t for t in (pod.deleted_ns, pod.exited_ns, pod.gone_ns) if t is not None), None)
    if ended is None:
        return None
    leaves = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else ended
    del context
    return Window(begun=(-FOREVER, max(leaves, ended) + lag_ns), ended=(ended - SLACK, FOREVER))


def deregistered(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C4: begun before it left the endpoints, cut long after that, while the process was still well."""
    if not context.deregisters:
        return None
    left, stopped = pod.out_of_endpoints_ns, stop_ns(pod)
    if left is None or stopped is None:
        return None
    until = max(stopped, pod.exited_ns - SLACK) if pod.exited_ns is not None else FOREVER
    begun = min(left + lag_ns, context.left_ns(pod))
    return Window(begun=(-FOREVER, begun), ended=(left, until), took=(NS // 5, FOREVER))


def published_late(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C19: as B1, until the address is gone."""
    window = after_listening(pod, context, lag_ns) if context.surroundings.published else None
    gone = pod.gone_ns if pod.gone_ns is not None else FOREVER - lag_ns
    return None if window is None else Window(begun=(window.begun[0], max(window.begun[1], gone + lag_ns)))


def dead_address(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C6: sent there when the process was gone. What was in flight before is cut, not silent."""
    stopped = stop_ns(pod)
    ended = pod.exited_ns if pod.exited_ns is not None else _silent_since(pod, context, stopped)
    if ended is None or pod.deleted_ns is None or pod.uid in context.departed:
        return None
    silent = ended - SLACK // 2
    if stopped is not None and ended <= stopped < ended + SLACK:  # nothing exits before its SIGTERM
        silent = stopped - SLACK // 20
    # Where nobody saw it leave the endpoints, it may have been listed for as long as it was there.
    listed = max(ended, pod.gone_ns) if pod.gone_ns is not None else ended
    leaves = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else listed
    if context.surroundings.published and pod.gone_ns is not None:
        leaves = pod.gone_ns  # it is published for as long as it is there
    return Window(begun=(silent, max(leaves, pod.deleted_ns) + SLACK + lag_ns), ended=(ended, FOREVER))


def _silent_since(pod: Lifeline, context: Context, stopped: int | None) -> int | None:
    """Return the first moment at which a pod may have been gone, where nobody told of its exit: a busy kubelet can
    leave it listed for half a minute after that. Not before SIGTERM, nor before the last request that it took.
    """
    if stopped is None or pod.gone_ns is None:
        return pod.gone_ns
    seen = context.traffic.get(pod.name)
    taken = seen.last_good_begun_ns if seen else None
    return min(max(stopped, taken or stopped), pod.gone_ns)


def _at_exit(pod: Lifeline, context: Context) -> Window | None:
    """In flight when the process ended: begun while it was a target, cut within the second that its exit is known
    to.
    """
    if pod.exited_ns is None or pod.deleted_ns is None:
        return None
    latest = min(pod.exited_ns + 2 * SLACK, pod.gone_ns + SLACK if pod.gone_ns is not None else FOREVER)
    until = min(pod.exited_ns + SLACK, context.left_ns(pod))
    return Window(begun=(-FOREVER, until), ended=(pod.exited_ns - SLACK // 2, latest))


def hook_cut(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B5: in flight at the SIGKILL that ended preStop, or sent there afterwards."""
    window = _at_exit(pod, context) if hook_outlasts_grace(pod) else None
    after = after_listening(pod, context, lag_ns) if window is not None else None
    if window is None or after is None:
        return window
    return Window((window.begun[0], max(window.begun[1], after.begun[1])), (window.ended[0], FOREVER))


def hook_cut_short(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B5: SIGTERM came when the grace period was over, and not when preStop would have been: as without a preStop."""
    return after_listening(pod, context, lag_ns) if hook_outlasts_grace(pod) else None


def _killed_in_flight(pod: Lifeline, context: Context) -> Window | None:
    window = _at_exit(pod, context)
    return None if window is None or not killed_at_grace(pod) or hook_outlasts_grace(pod) else window


def _longer_than_what_is_left(pod: Lifeline, window: Window) -> Window:
    left = max(pod.spec.grace_ns - (pod.spec.pre_stop_ns or 0), 2 * NS)
    return Window(window.begun, window.ended, took=(max(left - 2 * SLACK, 0), FOREVER))


def _ignores_term(context: Context) -> bool:
    """Whether a pod took new requests long after SIGTERM, or was killed though it had not been a target for long."""
    for pod in context.timeline.pods:
        seen, stopped = context.traffic.get(pod.name), stop_ns(pod)
        if seen is None or stopped is None or seen.last_good_begun_ns is None:
            continue
        if seen.last_good_begun_ns > stopped + SLACK // 2:
            return True
    return False


def _acts_on_term(context: Context) -> bool:
    """Whether a pod ended by itself after SIGTERM, well before its grace period was over."""
    return any(
        pod.old and pod.deleted_ns is not None and pod.exited_ns is not None and pod.exit_code != 137
        and pod.exited_ns - pod.deleted_ns < pod.spec.grace_ns - SLACK
        for pod in context.timeline.pods
    )  # fmt: skip


def grace_too_short(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B4: in flight at SIGKILL, longer than what preStop left of the grace period; and other pods acted on SIGTERM."""
    del lag_ns
    window = _killed_in_flight(pod, context)
    return _longer_than_what_is_left(pod, window) if window is not None and _acts_on_term(context) else None


def grace_used_up(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B4 or B3: the same, and nothing tells whether the app would have ended by itself after the longest request."""
    del lag_ns
    window = _killed_in_flight(pod, context)
    if window is None or _acts_on_term(context) or _ignores_term(context):
        return None
    return _longer_than_what_is_left(pod, window)


def term_ignored(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B3: in flight at SIGKILL, of an app that took new requests long after SIGTERM; or begun itself after SIGTERM."""
    del lag_ns
    window, stopped = _killed_in_flight(pod, context), stop_ns(pod)
    if window is None or stopped is None or _acts_on_term(context):
        return None
    return window if _ignores_term(context) else Window((stopped + SLACK, window.begun[1]), window.ended)


def not_retried(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """C9: behind a balancer that asks the next pod, but not once it has sent a request that may not be sent twice."""
    if not context.surroundings.retries or not context.chain.names & _ASKS_THE_NEXT:
        return None
    cut, after = _at_exit(pod, context), after_listening(pod, context, lag_ns)
    if cut is None or after is None:
        return cut or after
    return Window((-FOREVER, max(cut.begun[1], after.begun[1])), (min(cut.ended[0], after.begun[0]), FOREVER))


def scaled_down(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """D8: around the end of a pod of the new version, where an autoscaler may have ended it."""
    if pod.old or not context.surroundings.scaled or pod.deleted_ns is None:
        return None
    cut, after = _at_exit(pod, context), after_listening(pod, context, lag_ns)
    if cut is None or after is None:
        return cut or after
    return Window((-FOREVER, max(cut.begun[1], after.begun[1])), (min(cut.ended[0], after.begun[0]), FOREVER))


def not_drained(pod: Lifeline, context: Context, lag_ns: int) -> Window | None:
    """B2: begun before SIGTERM, or before the last one that the pod took; cut from SIGTERM to the exit.

    Where pods end one at a time, what was begun after a request had failed at once came to a pod that was gone.
    """
    del lag_ns
    window, stopped = _at_exit(pod, context), stop_ns(pod)
    if window is None or stopped is None or killed_at_grace(pod):
        return None
    # From SIGTERM on: what an app has accepted and not read yet is reset as it closes its listener.
    ended = (stopped - SLACK // 20, window.ended[1])
    seen = context.traffic.get(pod.name)
    taken = min(seen.last_good_begun_ns or stopped, stopped + SLACK) if seen else stopped
    begun = min(max(stopped, taken), window.begun[1])
    gone = context.first_turned_away_ns(ended[0], ended[1]) if _ends_alone(pod, context) else None
    if gone is not None:
        begun = min(begun, gone)
    return Window((-FOREVER, begun), ended, (AT_ONCE_NS, FOREVER), early_ns=HEARD_LATE)


def _ends_alone(pod: Lifeline, context: Context) -> bool:
    """Whether nothing else began or ended about when a pod did."""
    mine = stop_ns(pod) or 0
    moments = [
        t
        for other in context.timeline.pods
        if other is not pod and other.uid != pod.uid
        for t in (
            stop_ns(other),
            other.exited_ns,
            None if other.spec.readiness_probe else other.in_endpoints_ns,
        )
        if t is not None
    ]
    return all(abs(t - mine) > 2 * SLACK for t in moments)
