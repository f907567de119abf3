"""Why is a rollout stuck? In Kubernetes' own words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.cluster.rollout.view import View

# Waiting reasons that a pod passes through on its way up are no reason to call it stuck.
_PASSING = {"", "ContainerCreating", "PodInitializing"}


def why_stuck(view: View, old: set[str]) -> str:
    """Say what holds the new pods up ("web-7d9: ImagePullBackOff: …"), or "" when nothing shows.

    `old` are the uids of the pods that existed before the change.
    """
    for condition in view.workload.get("status", {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"{condition.get('reason', 'ReplicaFailure')}: {_short(condition.get('message'))}"
    for uid, pod in sorted(view.pods.items(), key=lambda item: item[1]["metadata"]["name"]):
        if uid not in old and (reason := _of_pod(pod)):
            return f"{pod['metadata']['name']}: {reason}"
    return ""


def _of_pod(pod: dict[str, Any]) -> str:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', 'Unschedulable')}: {_short(condition.get('message'))}"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in _PASSING:
            return f"{waiting['reason']}: {_short(waiting.get('message'))}"
        if int(container.get("restartCount") or 0) > 0:
            ended = (container.get("lastState") or {}).get("terminated") or {}
            times, code = int(container["restartCount"]), ended.get("exitCode", "?")
            # From the second restart on the kubelet backs off before each, also while none of it shows for a moment.
            lead = "CrashLoopBackOff: " if times > 1 else ""
            return (
                f"{lead}restarted {times} time{'' if times == 1 else 's'}, last with exit code {code}"
                f" ({ended.get('reason', 'Error')})"
            )
    ready = any(
        c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or []
    )
    return "" if ready or status.get("phase") != "Running" else "running, not ready"


def _short(text: object) -> str:
    return " ".join(str(text or "no message").split())[:160]
