"""What probes and hooks do: an HTTP request, a TCP connect, a sleep. Commands are never run."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

_SLEEP = re.compile(
    r"^\s*(?:exec\s+)?(?:/\S*/)?sleep\s+(?P<n>\d+(?:\.\d+)?)(?P<unit>[smhd]?)\s*(?:$|(?:;|&&|\n)\s*(?P<then>.*))",
    re.DOTALL,
)
_NUMBER = re.compile(r"[0-9]{1,5}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNIT = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHELLS = {"sh", "bash", "ash", "dash"}
AGENT = "kube-probe/1.33"


def sleep_of(action: Object) -> float | None:
    """Return for how many seconds a hook sleeps first: `sleep.seconds`, or a command that begins with `sleep N`."""
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


async def http_get(url: str, address: str, port: int, action: Object, timeout_s: float) -> tuple[bool, str]:
    """Do one httpGet on a connection of its own; return whether it was good (200 to 399), and what it was.

    `url` is what is said about it. Certificates are not checked, as kubelets do not.
    """
    context = None
    if action.get("scheme", "HTTP").upper() == "HTTPS":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Host": f"{address}:{port}", "User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
    headers |= {str(header["name"]): str(header["value"]) for header in action.get("httpHeaders") or ()}
    path = str(action.get("path") or "/").replace(" ", "%20")
    lines = [
        f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    if any(map(_CONTROL.search, lines)):  # it would be a second request
        return False, f"Get {url!r}: invalid control character in its path or headers"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address, port, ssl=context)
            try:
                writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
                status = (await reader.readline()).split()
                if len(status) < 2 or not status[1].isdigit():
                    return False, f'Get "{url}": EOF'
                while (await reader.readline()) not in {b"\r\n", b""}:
                    pass
            finally:
                writer.close()
    except TimeoutError:
        return (
            False,
            f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        )
    except (OSError, ValueError) as error:
        return False, f'Get "{url}": {_said(error, address, port)}'
    code = int(status[1])
    return (True, "") if 200 <= code < 400 else (False, f"HTTP probe failed with statuscode: {code}")


async def pre_stop(
    action: Object, container: Object, where: Callable[[int], tuple[str, int]], *, shell: bool
) -> bool:
    """Run a preStop hook to its end; tell whether it succeeded. What is not modelled (listed at the start) ends at once.

    `where` says where a port of the pod is really reached; without a `shell` in its image no command runs.
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


async def tcp_connect(address: str, port: int, timeout_s: float) -> tuple[bool, str]:
    """Open a connection and close it; return whether it opened, and why not."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return False, f"dial tcp {address}:{port}: i/o timeout"
    except OSError as error:
        return False, _said(error, address, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True, ""


def _said(error: Exception, address: str, port: int) -> str:
    """Say a network error in the kubelet's words."""
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {address}:{port}: connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    return str(error) or type(error).__name__
