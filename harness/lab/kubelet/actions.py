"""Hooks and ports: what a preStop hook does, and which port a probe or hook means. Commands are never run."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from harness.k8s.hooks import first_sleep_s
from harness.lab.checks import http_get

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

_NUMBER = re.compile(r"[0-9]{1,5}")


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
    seconds = first_sleep_s(action)
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
