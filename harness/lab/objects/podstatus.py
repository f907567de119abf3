"""A pod's status as its kubelet reports it: container states, phase, conditions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Object = dict[str, Any]


@dataclass(slots=True)
class ContainerState:
    """The state of one container. Times are metav1.Time strings."""

    name: str
    image: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    container_id: str = ""
    restarts: int = 0
    started: bool = False  # running, and past its startup probe if it has one
    ready: bool = False
    stop_signal: str = ""  # as the manifest has it; "": the image's own

    @property
    def running(self) -> bool:
        """Whether its process runs, as far as the kubelet has seen."""
        return "running" in self.state

    def terminated(self, code: int | None, running: Object, ended: datetime) -> Object:
        """Return the state after the process that was `running` has ended."""
        return {
            "terminated": {
                "exitCode": code,
                "reason": "Error" if code else "Completed",
                "startedAt": running["running"]["startedAt"],
                "finishedAt": timestamp(ended),
                "containerID": self.container_id,
            }
        }

    def reported(self) -> Object:
        """Return the containerStatuses entry."""
        report: Object = {
            "name": self.name,
            "state": self.state,
            "lastState": self.last,
            "ready": self.ready and self.running,
            "restartCount": self.restarts,
            "image": self.image,
            "imageID": f"zdtest.lab/{self.image}" if self.container_id else "",
            "started": self.started and self.running,
        }
        if self.stop_signal:
            report["stopSignal"] = self.stop_signal
        if self.container_id:
            report["containerID"] = self.container_id
        return report


def pod_condition(pod: Object, kind: str) -> Object | None:
    """Return a pod's condition of a type, or None."""
    return next((c for c in pod.get("status", {}).get("conditions") or () if c["type"] == kind), None)


def pod_ready(pod: Object) -> bool:
    """Tell whether a pod's condition Ready is True."""
    found = pod_condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def log_name(pod: Object, container: str) -> str:
    """Return the name of a container's log file: the pod's name, and the container's unless it is the first."""
    first = pod["spec"]["containers"][0]["name"] == container
    return f"{pod['metadata']['name']}.log" if first else f"{pod['metadata']['name']}.{container}.log"


def phase(states: list[ContainerState], restart_policy: str, *, deleted: bool) -> str:
    """Return the phase that follows from the containers' states."""
    if any("waiting" in state.state and not state.last for state in states):
        return "Pending"
    ended = [state.state["terminated"] for state in states if "terminated" in state.state]
    over = len(ended) == len(states) and (deleted or restart_policy != "Always")
    failed = any(end["exitCode"] for end in ended)
    if not over or (failed and restart_policy == "OnFailure" and not deleted):
        return "Running"
    return "Failed" if failed else "Succeeded"


def status_of(
    pod: Object,
    states: list[ContainerState],
    now: datetime,
    *,
    ip: str,
    host_ip: str,
    final: bool = False,
    sidecars: Sequence[ContainerState] = (),
) -> Object:
    """Return a pod's status. `final`: every container has ended for good. `sidecars`: the native ones, which count
    for readiness.

    A condition's lastTransitionTime moves only when its status does.
    """
    old = pod.get("status") or {}
    current = phase(states, pod["spec"]["restartPolicy"], deleted=final)
    unready = [state.name for state in (*sidecars, *states) if not (state.ready and state.running)]
    begun = any(state.container_id for state in states)
    waited_for = [] if begun else [state.name for state in sidecars if not state.started]
    not_yet = ("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waited_for)}]")
    over = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(current)
    waiting = ("", "")
    if over:
        waiting = (over, "")
    elif unready:
        waiting = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    all_ready = not unready and not over
    conditions = [
        _condition(old, "PodReadyToStartContainers", bool(ip) and not final, now),
        (
            _condition(old, "Initialized", False, now, *not_yet)
            if waited_for
            else _condition(old, "Initialized", True, now, over if over == "PodCompleted" else "")
        ),
        _condition(old, "Ready", all_ready, now, *waiting),
        _condition(old, "ContainersReady", all_ready, now, *waiting),
    ]
    kept = [c for c in old.get("conditions") or () if c["type"] not in {c["type"] for c in conditions}]
    status: Object = {
        "phase": current,
        "conditions": [*conditions, *kept],
        "hostIP": host_ip,
        "startTime": old.get("startTime") or timestamp(now),
        "containerStatuses": [state.reported() for state in states],
        "qosClass": old.get("qosClass", "BestEffort"),
    }
    if sidecars:
        status["initContainerStatuses"] = [state.reported() for state in sidecars]
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    return status


def _condition(
    old: Object,
    kind: str,
    truth: bool,  # noqa: FBT001  the value itself
    now: datetime,
    reason: str = "",
    message: str = "",
) -> Object:
    was = next((c for c in old.get("conditions") or () if c["type"] == kind), None)
    text = "True" if truth else "False"
    moved = timestamp(now) if was is None or was["status"] != text else was["lastTransitionTime"]
    made: Object = {"type": kind, "status": text, "lastProbeTime": None, "lastTransitionTime": moved}
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made
