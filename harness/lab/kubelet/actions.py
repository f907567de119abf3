"""Hooks and ports: what a preStop hook does, and which port a probe or hook means. Commands are never run."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from harness.lab.checks import http_get

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

_SLEEP = re.compile(
    r"^\s*(?:exec\s+)?(?:/\S*/)?sleep\s+(?P<n>\d+(?:\.\d+)?)(?P<unit>[smhd]?)\s*(?:$|(?:;|&&|\n)\s*(?P<then>.*))",
    re.DOTALL,
)
_NUMBER = re.compile(r"[0-9]{1,5}")
_UNIT = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHELLS = {"sh", "bash", "ash", "dash"}
_NO_SHELL = ("distroless", "chainguard", "scratch")


def sleep_of(action: Object) -> float | None:
    """Return how many seconds a hook sleeps first: `sleep.seconds`, or a command that begins with `sleep N`."""
    if "sleep" in action:
        return float((action["sleep"] or {}).get("seconds", 0))
    found = _SLEEP.match(_command(action))
    return float(found["n"]) * _UNIT[found["unit"]] if found else None


def only_sleeps(action: Object) -> bool:
    """Tell whether a hook does nothing but sleep."""
    found = _SLEEP.match(_command(action))
    return "sleep" in action or bool(found and not found["then"])


def _command(action: Object) -> str:
    command = [str(word) for word in (action.get("exec") or {}).get("command") or ()]
    if len(command) == 3 and command[0].rpartition("/")[2] in _SHELLS and command[1] in {"-c", "-ec"}:
        return command[2]
    return " ".join(command)


def has_shell(image: str) -> bool:
    """Guess from its name whether an image has /bin/sh and sleep, without which such an `exec` hook fails."""
    return not any(word in image for word in _NO_SHELL)


def port_of(container: Object, port: int | str) -> int:
    """Resolve a probe's port, a number or the name of one of the container's ports. Raises ValueError."""
    if isinstance(port, int):
        return port
    for declared in container.get("ports") or ():
        if declared.get("name") == port:
            return int(declared["containerPort"])
    if _NUMBER.fullmatch(port):
        return int(port)
    raise ValueError(f"couldn't find port: {port}")


async def pre_stop(
    action: Object, container: Object, where: Callable[[int], tuple[str, int]], *, shell: bool
) -> bool:
    """Run a preStop hook; return whether it succeeded. What is not modelled (unmodelled.py) ends at once.

    `where` maps a port of the pod to its real address. Without a `shell` in the image, a command fails.
    """
    if "exec" in action and not shell:
        return False
    seconds = sleep_of(action)
    if seconds is not None:
        await asyncio.sleep(seconds)
    elif "httpGet" in action:
        get = action["httpGet"]
        try:
            address, port = where(port_of(container, get["port"]))
        except ValueError:
            return False
        url = f"{get.get('scheme', 'HTTP').lower()}://{address}:{get['port']}{get.get('path', '/')}"
        good, _ = await http_get(url, address, port, get, 600.0)
        return good
    return True
