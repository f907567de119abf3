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


@dataclass(frozen=True, slots=True)
class Scene:
    """All that rules look at besides a pod."""

    timeline: Timeline
    traffic: Mapping[str, PodTraffic]  # by pod name; empty when no answer named its pod
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
    """Whether preStop was still running when the grace period was over."""
    if pod.spec.pre_stop_ns is not None:
        return pod.spec.pre_stop_ns >= pod.spec.grace_ns
    failed = pod.noted("FailedPreStopHook")
    return bool(failed and "137" in failed.message)


def hook_could_not_run(pod: Lifeline) -> bool:
    """Whether preStop failed at once, as in an image without a shell."""
    failed = pod.noted("FailedPreStopHook")
    return bool(
        failed and any(word in failed.message for word in ("no such file", "not found", "126", "127"))
    )


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


def dead_address(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """C6: in flight when the process went silent, or sent there afterwards."""
    del scene
    ended = pod.exited_ns if pod.exited_ns is not None else pod.gone_ns
    if ended is None or pod.deleted_ns is None:
        return None
    leaves = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else ended
    return Window(begun=(-FOREVER, max(leaves, ended) + SLACK + lag_ns), ended=(ended, FOREVER))


def _at_exit(pod: Lifeline) -> Window | None:
    """In flight when the process ended: begun before, cut within the second that its exit is known to."""
    if pod.exited_ns is None or pod.deleted_ns is None:
        return None
    latest = min(pod.exited_ns + 2 * SLACK, pod.gone_ns + SLACK if pod.gone_ns is not None else FOREVER)
    return Window(begun=(-FOREVER, pod.exited_ns + SLACK), ended=(pod.exited_ns - SLACK // 2, latest))


def hook_cut(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B5: in flight at the SIGKILL that ended preStop."""
    del scene, lag_ns
    return _at_exit(pod) if hook_outlasts_grace(pod) else None


def grace_too_short(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B4: in flight at SIGKILL, and longer than what preStop left of the grace period."""
    del scene, lag_ns
    window = _at_exit(pod)
    if window is None or not killed_at_grace(pod) or hook_outlasts_grace(pod):
        return None
    left = max(pod.spec.grace_ns - (pod.spec.pre_stop_ns or 0), 2 * NS)
    return Window(window.begun, window.ended, took=(max(left - 2 * SLACK, 0), FOREVER))


def term_ignored(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """B3: in flight at SIGKILL, though shorter than that."""
    del scene, lag_ns
    return _at_exit(pod) if killed_at_grace(pod) and not hook_outlasts_grace(pod) else None


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
    if left is None:
        return None
    others = [stretch for p in scene.timeline.pods for stretch in p.endpoints]
    if any(start <= left and (stop is None or stop > left) for start, stop in others):
        return None
    back = min((start for start, _ in others if start > left), default=FOREVER)
    return Window(begun=(left - SLACK, back + lag_ns if back < FOREVER else FOREVER))


def never(pod: Lifeline, scene: Scene, lag_ns: int) -> Window | None:
    """E1: known by its outcome, not by its time."""
    del pod, scene, lag_ns
    return None
