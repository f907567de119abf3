"""How a pod ended: by itself, at the end of its grace period, with a preStop that did what it was to do or did not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.timeline.clocks import SLACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.timeline.lifeline import Lifeline

# Exit codes in what a kubelet says of a hook, which names the pod's uid, too: its digits are no code.
_KILLED = re.compile(r"\b137\b")
_NOT_STARTED = re.compile(r"no such file|not found|\b12[67]\b")


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


def killed_by_liveness(pod: Lifeline) -> bool:
    """Whether the kubelet says that a pod's liveness was at fault."""
    killing, unhealthy = pod.noted("Killing"), pod.noted("Unhealthy")
    return bool(
        (killing and "liveness" in killing.message)
        or (unhealthy and unhealthy.message.startswith("Liveness"))
    )


def hook_outlasts_grace(pod: Lifeline) -> bool:
    """Whether preStop was still running when the grace period was over: it was to, or the kubelet gave it up then."""
    failed = pod.noted("FailedPreStopHook")
    if failed and _KILLED.search(failed.message):
        return True
    if failed and pod.deleted_ns is not None and failed.t_ns - pod.deleted_ns >= pod.spec.grace_ns - SLACK:
        return True
    if pod.spec.pre_stop_ns is None or hook_could_not_run(pod):
        return False
    return pod.spec.pre_stop_ns >= pod.spec.grace_ns


def hook_could_not_run(pod: Lifeline) -> bool:
    """Whether preStop failed at once, as in an image without a shell. Newer kubelets say only that it failed."""
    failed = pod.noted("FailedPreStopHook")
    if failed is None or _KILLED.search(failed.message):
        return False
    if _NOT_STARTED.search(failed.message):
        return True
    wanted_ns = (
        pod.spec.grace_ns if pod.spec.pre_stop_ns is None else min(pod.spec.pre_stop_ns, pod.spec.grace_ns)
    )
    return pod.deleted_ns is not None and failed.t_ns - pod.deleted_ns < min(2 * SLACK, wanted_ns // 2)


def stop_ns(pod: Lifeline) -> int | None:
    """When the app is first to have heard of its end: at deletion, or when preStop was through or was given up."""
    if pod.deleted_ns is None:
        return None
    if hook_outlasts_grace(pod):
        return pod.deleted_ns + pod.spec.grace_ns
    hook_ns = 0 if hook_could_not_run(pod) else pod.spec.pre_stop_ns or 0
    return pod.deleted_ns + min(hook_ns, pod.spec.grace_ns)


def assumed(pods: Sequence[Lifeline]) -> tuple[Lifeline, ...]:
    """Fill in the exits that nobody saw: pods of one template end alike.

    Kubelets before 1.27 may let a pod go without ever having told its exit code. Without a pod to go by, only one
    whose hook was cut off is known: SIGKILL comes 2 s after the grace period.
    """
    return tuple(_assumed(pod, pods) for pod in pods)


def _assumed(pod: Lifeline, pods: Sequence[Lifeline]) -> Lifeline:
    if pod.deleted_ns is None or pod.gone_ns is None or pod.exited_ns is not None:
        return pod
    alike = sorted(
        (
            other.exited_ns - other.deleted_ns,
            other.exit_code or 0,
            other.exited_ns + SLACK >= (stop_ns(other) or 0),
        )
        for other in pods
        if other.spec == pod.spec and other.deleted_ns is not None and other.exited_ns is not None
    )
    if alike:
        took, code, orderly = alike[len(alike) // 2]
        ended = pod.deleted_ns + took
        if orderly:
            ended = max(ended, stop_ns(pod) or ended)
    elif hook_outlasts_grace(pod):
        ended, code = pod.deleted_ns + pod.spec.grace_ns + 2 * NS, 137
    else:
        return pod
    return replace(pod, exited_ns=min(ended, pod.gone_ns), exit_code=code, exit_assumed=True)
