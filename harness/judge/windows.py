"""Around which moments of a pod a cause can have lost a hit: one function per rule of rules.py, all of one shape.

`window(pod, scene, lag_ns)` is None where the rule has nothing to do with the pod. The data plane's lag behind the
endpoints is unknown: it is tried from what is usual to what has been seen in the field, and the least that
explains a hit counts. Moments taken from Kubernetes' whole seconds are up to 1 s early, hence SLACK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.judge.lifeline import Lifeline
    from harness.judge.timeline import Timeline
    from harness.judge.traffic import PodTraffic

SLACK = NS
# How long the data plane may lag behind the endpoints: tried in this order, until a hit is explained.
LAGS = tuple(seconds * NS for seconds in (2, 4, 8, 16, 32, 60))
FOREVER = 1 << 62
COLD = 3 * NS  # a pod that answers first so long after it came into the endpoints was not ready for requests


@dataclass(frozen=True, slots=True)
class Scene:
    """All that rules look at besides a pod."""

    timeline: Timeline
    traffic: Mapping[str, PodTraffic]  # by pod name; empty when no answer named its pod
    published: bool  # whether a Service publishes addresses that are not ready
    strategy: str  # RollingUpdate | Recreate | OnDelete | ""
    episode_end: Callable[
        [int], int
    ]  # the end of the run of failures that is under way at a moment, or just after

    def listening_ns(self, pod: Lifeline) -> int | None:
        """When a pod is first known to have answered."""
        seen = self.traffic.get(pod.name)
        return seen.first_good_ns if seen else None


@dataclass(frozen=True, slots=True)
class Window:
    """What a hit must satisfy, in ns on the run clock; `took` bounds its length."""

    begun: tuple[int, int] = (-FOREVER, FOREVER)
    ended: tuple[int, int] = (-FOREVER, FOREVER)
    took: tuple[int, int] = (0, FOREVER)


def killed_at_grace(pod: Lifeline) -> bool:
    """Whether SIGKILL ended the pod because its grace period was over."""
    if (
        pod.exit_code != 137
        or pod.deleted_ns is None
        or pod.exited_ns is None
        or pod.exit_reason == "OOMKilled"
    ):
        return False
    return pod.exited_ns - pod.deleted_ns >= pod.spec.grace_ns - SLACK


def hook_outlasts_grace(pod: Lifeline) -> bool:
    """Whether preStop was still running when the grace period was over: it was to, or the kubelet gave it up then."""
    failed = pod.noted("FailedPreStopHook")
    if failed and "137" in failed.message:
        return True
    if failed and pod.deleted_ns is not None and failed.t_ns - pod.deleted_ns >= pod.spec.grace_ns - SLACK:
        return True
    return pod.spec.pre_stop_ns is not None and pod.spec.pre_stop_ns >= pod.spec.grace_ns


def hook_could_not_run(pod: Lifeline) -> bool:
    """Whether preStop failed at once, as in an image without a shell. Newer kubelets say only that it failed."""
    failed = pod.noted("FailedPreStopHook")
    if failed is None:
        return False
    if any(word in failed.message for word in ("no such file", "not found", "126", "127")):
        return True
    wanted_ns = (
        pod.spec.grace_ns if pod.spec.pre_stop_ns is None else min(pod.spec.pre_stop_ns, pod.spec.grace_ns)
    )
    return pod.deleted_ns is not None and failed.t_ns - pod.deleted_ns < min(2 * SLACK, wanted_ns // 2)


def stop_ns(pod: Lifeline) -> int | None:
    """When the app is first to have heard of its end: at deletion, or when preStop was through."""
    if pod.deleted_ns is None:
        return None
    hook_ns = 0 if hook_could_not_run(pod) else pod.spec.pre_stop_ns or 0
    return pod.deleted_ns + min(hook_ns, pod.spec.grace_ns)


def not_listening(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """A1: from being an endpoint to listening, which is the first answer, or the end of the run of failures."""
    if pod.old or pod.spec.readiness_probe or pod.in_endpoints_ns is None:
        return None
    opened = pod.in_endpoints_ns
    listening = scene.listening_ns(pod)
    if listening is None:
        ends = [scene.episode_end(opened), opened + max(lag_ns, 30 * NS)]
        ends += [pod.deleted_ns] if pod.deleted_ns is not None else []
        listening = min(ends)
    return Window(begun=(opened - SLACK, listening))


def bad_answers(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """A2: while the new pod is an endpoint."""
    del scene, lag_ns
    if pod.old or pod.in_endpoints_ns is None:
        return None
    return Window(
        begun=(pod.in_endpoints_ns - SLACK, pod.deleted_ns if pod.deleted_ns is not None else FOREVER)
    )


def after_listening(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B1 and C1, one set: from the end of listening to when traffic ends, the lag after leaving the endpoints."""
    stopped = stop_ns(pod)
    if stopped is None or pod.deleted_ns is None:
        return None
    begins = min(stopped, pod.exited_ns if pod.exited_ns is not None else stopped) - SLACK
    seen = scene.traffic.get(pod.name)
    if seen and seen.last_good_begun_ns is not None:  # it still took that one
        begins = max(begins, min(seen.last_good_begun_ns, stopped + SLACK))
    leaves = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else pod.deleted_ns
    return Window(begun=(max(begins, pod.deleted_ns - SLACK), max(leaves, pod.deleted_ns) + lag_ns))


def hook_missing(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B6: as without a preStop."""
    return after_listening(pod, scene, lag_ns) if hook_could_not_run(pod) else None


def hook_short(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B7: a hook whose length nobody knows, and a pod that ended at once nevertheless."""
    if not pod.spec.pre_stop or pod.spec.pre_stop_ns is not None or hook_could_not_run(pod):
        return None
    if pod.exited_ns is None or pod.deleted_ns is None or pod.exited_ns - pod.deleted_ns > 2 * SLACK:
        return None
    return after_listening(pod, scene, lag_ns)


def no_hook(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B1: nothing stands between the deletion and SIGTERM."""
    return None if pod.spec.pre_stop else after_listening(pod, scene, lag_ns)


def hook_outlasted(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C1: there is a preStop, and it ended before traffic did."""
    if not pod.spec.pre_stop or hook_could_not_run(pod) or hook_outlasts_grace(pod):
        return None
    return after_listening(pod, scene, lag_ns)


def pinned(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C3: on connections that stay with the pod although it has left the endpoints, at its end or after it."""
    window = after_listening(pod, scene, max(lag_ns, 60 * NS))
    left = pod.out_of_endpoints_ns
    return (
        window
        if window is None or left is None
        else Window(begun=(window.begun[0], FOREVER), ended=(left, FOREVER))
    )


def killed_at_once(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
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
    del scene
    return Window(begun=(-FOREVER, max(leaves, ended) + lag_ns), ended=(ended - SLACK, FOREVER))


def deregistered(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C4: begun before it left the endpoints, cut long after that, while the process was still well."""
    del scene
    left, stopped = pod.out_of_endpoints_ns, stop_ns(pod)
    if left is None or stopped is None:
        return None
    until = max(stopped, pod.exited_ns - SLACK) if pod.exited_ns is not None else FOREVER
    return Window(begun=(-FOREVER, left + lag_ns), ended=(left, until), took=(NS // 5, FOREVER))


def published_early(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C19: as A1, whatever the probe says."""
    if not scene.published or pod.old:
        return None
    opened = next((t for t in (pod.in_endpoints_ns, pod.started_ns) if t is not None), None)
    listening = scene.listening_ns(pod)
    if opened is None:
        return None
    opened = min(opened, pod.started_ns if pod.started_ns is not None else opened)
    return Window(
        begun=(opened - SLACK, listening if listening is not None else opened + max(lag_ns, 30 * NS))
    )


def published_late(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C19: as B1, until the address is gone."""
    window = after_listening(pod, scene, lag_ns) if scene.published else None
    gone = pod.gone_ns if pod.gone_ns is not None else FOREVER - lag_ns
    return None if window is None else Window(begun=(window.begun[0], max(window.begun[1], gone + lag_ns)))


def _restarted(pod: Lifeline) -> Window | None:
    if pod.old or not pod.restarts or pod.in_endpoints_ns is None:
        return None
    ends = pod.deleted_ns if pod.deleted_ns is not None else FOREVER
    return Window(begun=(-FOREVER, ends), ended=(pod.in_endpoints_ns - SLACK, FOREVER))


def killed_starting(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """A4: restarted, and the kubelet says its liveness was at fault."""
    del scene, lag_ns
    killing, unhealthy = pod.noted("Killing"), pod.noted("Unhealthy")
    blamed = (killing and "liveness" in killing.message) or (
        unhealthy and unhealthy.message.startswith("Liveness")
    )
    return _restarted(pod) if blamed else None


def crashed(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """A8: restarted, and by nobody else."""
    return None if killed_starting(pod, scene, lag_ns) else _restarted(pod)


def no_answers(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """A2: from being an endpoint to the first good answer, or the end of the run of failures."""
    if pod.old or not pod.spec.readiness_probe or pod.in_endpoints_ns is None or lag_ns < 8 * NS:
        return None  # what a usual lag explains is tried first
    warm = scene.listening_ns(pod)
    if warm is None:
        warm = scene.episode_end(pod.in_endpoints_ns + lag_ns)
    if warm - pod.in_endpoints_ns < COLD:  # no later than the balancer's own lag
        return None
    return Window(begun=(pod.in_endpoints_ns - SLACK, warm))


def not_registered(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """A7: from being an endpoint to the first good answer, or the end of the run of failures."""
    if pod.old or pod.in_endpoints_ns is None:
        return None
    known = scene.listening_ns(pod)
    until = known if known is not None else scene.episode_end(pod.in_endpoints_ns + lag_ns)
    opened = min(pod.in_endpoints_ns, pod.ready_ns if pod.ready_ns is not None else pod.in_endpoints_ns)
    return Window(begun=(opened - SLACK // 10, until + lag_ns))


def short_of_pods(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """D2: in flight while fewer pods were ready than before; handed out with the pod that had just gone."""
    left = pod.out_of_endpoints_ns
    if not pod.old or left is None:
        return None
    olds = sum(p.old for p in scene.timeline.pods)
    entered = sorted(
        p.in_endpoints_ns for p in scene.timeline.pods if not p.old and p.in_endpoints_ns is not None
    )
    gone = sorted(
        p.out_of_endpoints_ns for p in scene.timeline.pods if p.old and p.out_of_endpoints_ns is not None
    )
    there = olds - sum(t <= left for t in gone) + sum(t <= left for t in entered)
    if there >= olds:
        return None
    back = next((t for t in entered if t > left), FOREVER)
    return Window(begun=(-FOREVER, back + lag_ns if back < FOREVER else FOREVER), ended=(left, FOREVER))


def dead_address(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C6: sent there about when the process went silent, or afterwards. What was in flight long before is cut, not silent."""
    del scene
    ended = pod.exited_ns if pod.exited_ns is not None else pod.gone_ns
    if ended is None or pod.deleted_ns is None:
        return None
    leaves = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else ended
    return Window(begun=(ended - SLACK // 2, max(leaves, ended) + SLACK + lag_ns), ended=(ended, FOREVER))


def _at_exit(pod: Lifeline) -> Window | None:
    """In flight when the process ended: begun before, cut within the second that its exit is known to."""
    if pod.exited_ns is None or pod.deleted_ns is None:
        return None
    latest = min(pod.exited_ns + 2 * SLACK, pod.gone_ns + SLACK if pod.gone_ns is not None else FOREVER)
    return Window(begun=(-FOREVER, pod.exited_ns + SLACK), ended=(pod.exited_ns - SLACK // 2, latest))


def hook_cut(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B5: in flight at the SIGKILL that ended preStop, or sent there afterwards."""
    window = _at_exit(pod) if hook_outlasts_grace(pod) else None
    after = after_listening(pod, scene, lag_ns) if window is not None else None
    if window is None or after is None:
        return window
    return Window((window.begun[0], max(window.begun[1], after.begun[1])), (window.ended[0], FOREVER))


def grace_too_short(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B4: in flight at SIGKILL, and longer than what preStop left of the grace period."""
    del scene, lag_ns
    window = _at_exit(pod)
    if window is None or not killed_at_grace(pod) or hook_outlasts_grace(pod):
        return None
    left = max(pod.spec.grace_ns - (pod.spec.pre_stop_ns or 0), 2 * NS)
    return Window(window.begun, window.ended, took=(max(left - 2 * SLACK, 0), FOREVER))


def term_ignored(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B3: in flight at SIGKILL, though shorter than what preStop left; or begun long after SIGTERM, which it ignored."""
    del lag_ns
    window, stopped = _at_exit(pod), stop_ns(pod)
    if window is None or stopped is None or not killed_at_grace(pod) or hook_outlasts_grace(pod):
        return None
    seen = scene.traffic.get(pod.name)
    if seen and seen.last_good_begun_ns is not None and seen.last_good_begun_ns > stopped + SLACK // 2:
        return window  # it took new requests long after SIGTERM
    return Window(begun=(stopped + SLACK, window.begun[1]), ended=window.ended)


def not_drained(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B2: begun before SIGTERM, cut at the exit."""
    del scene, lag_ns
    window, stopped = _at_exit(pod), stop_ns(pod)
    if window is None or stopped is None or killed_at_grace(pod):
        return None
    ended = (max(window.ended[0], stopped - SLACK // 20), window.ended[1])
    return Window(begun=(-FOREVER, stopped), ended=ended, took=(10_000_000, FOREVER))  # a refusal takes less


def recreate(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """D3: one window for the whole rollout, handed out with the first old pod."""
    olds = [p.deleted_ns for p in scene.timeline.pods if p.old and p.deleted_ns is not None]
    if scene.strategy != "Recreate" or not olds or pod.deleted_ns != min(olds):
        return None
    back = [p.in_endpoints_ns for p in scene.timeline.pods if not p.old and p.in_endpoints_ns is not None]
    return Window(begun=(min(olds) - SLACK, min(back) + lag_ns if back else FOREVER))


def no_endpoint(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """D9: from this pod's leaving, if it was the last endpoint, to the next one's coming."""
    left = pod.out_of_endpoints_ns
    del lag_ns
    return None if left is None else _nobody_since(left, scene)


def only_endpoint(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """D1: the same, where there is only one pod."""
    return no_endpoint(pod, scene, lag_ns) if sum(p.old for p in scene.timeline.pods) == 1 else None


def flapped(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """D7: the same, where the pod was not deleted when it left."""
    del lag_ns
    calm = [
        window
        for _, stop in pod.endpoints
        if stop is not None and (pod.deleted_ns is None or stop < pod.deleted_ns - SLACK)
        for window in [_nobody_since(stop, scene)]
        if window is not None
    ]
    if not calm:
        return None
    return Window(begun=(min(w.begun[0] for w in calm), max(w.begun[1] for w in calm)))


def _nobody_since(left: int, scene: Scene) -> Window | None:
    others = [stretch for p in scene.timeline.pods for stretch in p.endpoints]
    if any(start <= left and (stop is None or stop > left) for start, stop in others):
        return None
    back = min((start for start, _ in others if start > left), default=FOREVER)
    return Window(begun=(left - SLACK, back))  # what is lost from then on is the balancer's (A7)


def never(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """E1: known by its outcome, not by its time."""
    del pod, scene, lag_ns
    return None
