"""What fixes the end of a pod: a preStop as long as traffic still comes, a grace period as long as all of it takes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.advice.draft import AS_IT_IS
from harness.judge.advice.path_defaults import PathDefault, default_of, of_targets
from harness.judge.timeline.targets import delay_s
from harness.judge.wording import count, lasting
from harness.k8s.hooks import pre_stop, stop_signal
from harness.k8s.images import has_shell
from harness.k8s.serving import native_sidecars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.advice.draft import Basis, Draft
    from harness.judge.timeline.lifeline import Lifeline

TARGETS = "an AWS target group"  # as path_defaults.of_targets names it
LONG_DELAY_S = 60  # a deregistration delay beyond this makes every rollout slow
SHORT_DELAY_S = 10  # none shorter is advised: the balancer has to hear of it on all of its nodes
LAG_MARGIN_S = 2  # on top of the longest reach that was measured
GRACE_MARGIN_S = 5  # on top of preStop and the longest request
TIGHT_NS = NS  # less than this to spare is too little
SIDECARS_S = 5  # for native sidecars, which get SIGTERM when the last container has ended
STOP_SIGNAL = (1, 33)  # lifecycle.stopSignal is there from this version on, behind a feature gate ...
STOP_SIGNAL_ON = (1, 37)  # ... and planned to be on by default from this one on (KEP-4960)
FALLBACK = (1, 26)  # terminating endpoints are a fallback by default from this version on
NATIVE_SLEEP = (1, 30)  # preStop.sleep is there by default from this version on (KEP-3960)


@dataclass(frozen=True, slots=True)
class Sleep:
    """How long preStop must last, how sure that is, and why."""

    seconds: int
    measured: str  # how long traffic was seen to come, in words
    reason: str
    evidence: str


def stop(basis: Basis, draft: Draft) -> None:
    """Set preStop and the grace period, where they are too short."""
    _slow_deregistration(basis, draft)
    hook = pre_stop(basis.container)
    olds = [pod for pod in basis.timeline.pods if pod.old]
    hook_s = _hook_s(olds) if hook or not basis.workload else 0
    wanted = _wanted_sleep(basis, hook_s)
    if wanted is None or wanted.seconds == hook_s:
        if hook_s:
            draft.values["prestop"] = f"sleep {hook_s} s, {AS_IT_IS}"
    elif hook_s is None:
        draft.warnings.append(
            f"the preStop that is there ({next(iter(hook), 'unknown')}) is not a plain sleep and stays: make it last"
            f" at least {wanted.seconds} s"
        )
        draft.values["prestop"] = f"make it last at least {wanted.seconds} s ({wanted.measured})"
        hook_s = wanted.seconds
    else:
        _put_hook(basis, draft, hook, wanted)
        draft.values["prestop"] = f"sleep {wanted.seconds} s ({wanted.measured})"
        hook_s = wanted.seconds
    _put_grace(basis, draft, hook_s or 0)


def _slow_deregistration(basis: Basis, draft: Draft) -> None:
    """Say that a target group takes very long to let a pod go: a preStop would have to be as long."""
    delay = delay_s(basis.timeline.target_groups)
    need_s = basis.tail_s + GRACE_MARGIN_S
    if delay is not None and delay > LONG_DELAY_S and need_s < delay:
        draft.warnings.append(
            f"the target group's deregistration delay is {delay} s, and each pod should outlast it: lower it to"
            f" {max(need_s, SHORT_DELAY_S)} s (the longest request took {basis.tail_s} s)"
        )


def _wanted_sleep(basis: Basis, hook_s: int | None) -> Sleep | None:
    """Decide how long preStop must last: never shorter than it is; None when nothing need change."""
    reach = basis.measured.reach
    lost_at_stop = bool(basis.ids & {"B1", "C1", "B6", "B7", "C6", "B2", "C3", "C9", "D1"})
    lost_at_stop |= "B9" in basis.ids and basis.grace_s == 0  # no hook runs then, whatever the manifest says
    exposed = basis.failed and hook_s == 0  # what the start lost may have hidden what the stop would
    left_ns = (hook_s or 0) * NS - reach.max_ns if reach else None
    tight = bool(hook_s and left_ns is not None and left_ns < TIGHT_NS)
    if not (lost_at_stop or exposed or tight):
        return None
    flight_s = 0 if basis.drains or basis.tail_s <= 1 else basis.tail_s  # the margin covers a second
    flight = f" + {flight_s} s for requests in flight (the app was not seen to drain)" if flight_s else ""
    if reach is None or reach.at_least:
        return _by_default(basis, hook_s or 0, flight_s, flight)
    reach_s = math.ceil(reach.max_ns / NS)
    measured = f"measured: {lasting(reach.max_ns)}"
    return Sleep(
        max(reach_s + LAG_MARGIN_S + flight_s, hook_s or 0),
        measured,
        f"requests still come when a pod goes; {measured}, rounded up to {reach_s} s, + {LAG_MARGIN_S} s"
        f" margin{flight}",
        f"the last request reached a pod {lasting(reach.max_ns)} after its deletion ({count(reach.count, 'pod')})",
    )


def _by_default(basis: Basis, hook_s: int, flight_s: int, flight: str) -> Sleep:
    """Decide it where the run could not measure for how long traffic came: by what is known of the path, and what was
    seen.
    """
    default: PathDefault = of_targets(basis.timeline) or default_of(basis.run, basis.objects, basis.balancers)
    reach = basis.measured.reach
    late_ns = max((pod.late_failure_ns or 0 for pod in basis.measured.pods), default=0)
    late_s = math.ceil(late_ns / NS)
    seconds = max(default.seconds, late_s + LAG_MARGIN_S)
    least = (pod.late_least_ns or 0 for pod in basis.measured.pods)
    least_ns = max([*least, reach.max_ns if reach else 0])
    measured = f"measured: at least {lasting(least_ns)}" if least_ns else "not measured"
    seen = "what was seen of" if default.path == TARGETS else "the default for"
    why = (
        f"{seen} {default.named}"
        if seconds == default.seconds
        else f"as requests failed up to {late_s} s after a deletion, + {LAG_MARGIN_S} s margin"
    )
    return Sleep(
        max(seconds + flight_s, hook_s),
        measured,
        f"requests still come when a pod goes; {measured}; until a run with a preStop measures it, use {seconds} s,"
        f" {why}{flight}",
        "the app stopped listening before traffic stopped",
    )


def _put_hook(basis: Basis, draft: Draft, hook: Mapping[str, Any], wanted: Sleep) -> None:
    seconds = wanted.seconds
    version = server_version(basis.run.cluster.version if basis.run.cluster else "")
    if version >= NATIVE_SLEEP:
        action: dict[str, Any] = {"sleep": {"seconds": seconds}}
        in_words = f"sleep {seconds} s"
    else:
        action = {"exec": {"command": ["/bin/sh", "-c", f"sleep {seconds}"]}}
        in_words = f"exec sleep {seconds}"
        image = str(basis.container.get("image") or "")
        if "B6" in basis.ids or not has_shell(image):
            draft.warnings.append(
                f"the image {image} seems to have no shell, and this server has no preStop.sleep (Kubernetes 1.30):"
                " this hook will fail; put a `sleep` into the image, or let the app itself wait after SIGTERM"
            )
    gone = {kind: None for kind in hook if kind not in action}
    draft.container(
        "lifecycle", {"preStop": {**gone, **action}}, f"preStop {in_words}", wanted.reason, wanted.evidence
    )


def _put_grace(basis: Basis, draft: Draft, hook_s: int) -> None:
    grace_s = basis.grace_s
    beside = native_sidecars(basis.pod)
    sidecars_s = SIDECARS_S if beside else 0
    need_s = hook_s + basis.tail_s + sidecars_s + GRACE_MARGIN_S
    cut = bool(basis.ids & {"B4", "B5"})
    if grace_s >= need_s or (
        not cut and hook_s == (_hook_s(basis.timeline.pods) or 0) and not _near_grace(basis, grace_s)
    ):
        draft.values["grace"] = f"{grace_s}, {AS_IT_IS}"
        return
    draft.values["grace"] = str(need_s)
    tail = basis.measured.tail
    took = "no request was measured"
    if tail is not None:
        took = f"the longest request took {lasting(max(tail.max_ns, tail.cut_ns))}" + (
            " or more: it was cut" if tail.cut_ns > tail.max_ns else ""
        )
    draft.pod(
        "terminationGracePeriodSeconds",
        need_s,
        f"preStop {hook_s} s + the longest request {basis.tail_s} s{_for_sidecars(beside)} + {GRACE_MARGIN_S} s"
        " margin; the clock starts before preStop",
        f"{took}; the grace period was {grace_s} s",
    )


def _for_sidecars(beside: Sequence[Mapping[str, Any]]) -> str:
    names = " and ".join(str(container.get("name", "?")) for container in beside)
    return f" + {SIDECARS_S} s for {names}, which ends last" if names else ""


def fails_readiness(basis: Basis) -> list[str]:
    """Name the old pods that turned not ready while they still ran, where no other pod was left to send to.

    Then Kubernetes sends to terminating pods, but only to those that are ready (KEP-1669, on by default from 1.26).
    """
    version = server_version(basis.run.cluster.version if basis.run.cluster else "")
    if version < FALLBACK or not basis.ids & {"D1", "D9"}:
        return []
    early = [
        pod
        for pod in basis.timeline.pods
        if pod.old and pod.unready_ns and pod.exited_ns and pod.exited_ns - pod.unready_ns >= NS
    ]
    if not early:
        return []
    names = ", ".join(pod.name for pod in early[:3]) + (", ..." if len(early) > 3 else "")
    how = f"{count(len(early), 'old pod')} turned not ready while still running ({names})"
    why = "while no other pod is ready, Kubernetes sends to terminating pods that are"
    return [f"{how}: {why}; keep the readinessProbe good after SIGTERM"]


def other_signal(basis: Basis) -> str:
    """Say how a container is stopped by another signal, on a server that can be told to (KEP-4960)."""
    version = server_version(basis.run.cluster.version if basis.run.cluster else "")
    if version < STOP_SIGNAL or stop_signal(basis.container):
        return ""
    gated = (
        " (before 1.37 only with the feature gate ContainerStopSignals)" if version < STOP_SIGNAL_ON else ""
    )
    return (
        f"; if it ends well by another signal, lifecycle.stopSignal{gated} with spec.os.name sends that one"
    )


def _near_grace(basis: Basis, grace_s: int) -> bool:
    slowest = basis.measured.exit
    return bool(slowest and slowest.max_ns > grace_s * NS - TIGHT_NS)


def server_version(text: str) -> tuple[int, int]:
    """Read "v1.33.0+x" as (1, 33); (0, 0) when it cannot be read."""
    match = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _hook_s(pods: Sequence[Lifeline]) -> int | None:
    """Return how long the old pods' hook lasts; 0 without a hook, None where it cannot be read."""
    specs = [pod.spec for pod in pods if pod.old]
    if any(spec.pre_stop and spec.pre_stop_ns is None for spec in specs):
        return None
    return math.floor(max((spec.pre_stop_ns or 0 for spec in specs), default=0) / NS)
