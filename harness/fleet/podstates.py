"""How a pod stands, by what Kubernetes says of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_NO_IMAGE = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


@dataclass(frozen=True, slots=True)
class Standing:
    """One pod: where it is, whether it runs, what it waits for, or how it ended ("" where it does not)."""

    running: bool
    node: str = ""
    address: str = ""
    waits_for: str = ""
    ended: str = ""

    @property
    def without_image(self) -> bool:
        """Whether it will not start, since its image cannot be had."""
        return self.waits_for.startswith(_NO_IMAGE)


def standing(pod: dict[str, Any]) -> Standing:
    """Read a pod's status."""
    status, node = pod.get("status") or {}, (pod.get("spec") or {}).get("nodeName") or ""
    containers = status.get("containerStatuses") or []
    states = [each.get("state") or {} for each in containers]
    ended = _ended(status, states)
    running = (
        not ended and bool(status.get("podIP")) and bool(states) and all("running" in one for one in states)
    )
    waits = "" if ended or running else _waits_for(status, states)
    return Standing(running, node, str(status.get("podIP") or ""), waits, ended)


def _ended(status: dict[str, Any], states: list[dict[str, Any]]) -> str:
    for state in states:
        if how := state.get("terminated"):
            why = how.get("reason") or "it ended"
            said = str(how.get("message") or "").strip().splitlines()[-1:]  # of a traceback, the error
            code = [f"exit code {how['exitCode']}"] if "exitCode" in how else []
            return ", ".join([str(why), *code, *said])
    if status.get("phase") in {"Failed", "Succeeded"}:
        return " ".join(filter(None, [status.get("reason"), status.get("message")])) or "it ended"
    unreachable = status.get("reason") == "NodeLost"
    return "its node is lost" if unreachable or (status.get("phase") == "Unknown") else ""


def _waits_for(status: dict[str, Any], states: list[dict[str, Any]]) -> str:
    for state in states:
        if waiting := state.get("waiting"):
            return " ".join(filter(None, [waiting.get("reason"), waiting.get("message")]))
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason') or 'Unschedulable'}: {condition.get('message') or ''}".strip(
                ": "
            )
    return ""
