"""How the kubelet's probes and the balancer's health checks reach a pod: one HTTP GET, or one TCP connect."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import Any

Object = dict[str, Any]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
AGENT = "kube-probe/1.36"


async def http_get(url: str, address: str, port: int, action: Object, timeout_s: float) -> tuple[bool, str]:
    """Do one HTTP GET on a connection of its own; return whether it succeeded (200 to 399), and the error if not.

    `url` appears in errors only. As a kubelet does, it does not verify certificates.
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
    if any(map(_CONTROL.search, lines)):  # it could smuggle in a second request
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


async def tcp_connect(address: str, port: int, timeout_s: float) -> tuple[bool, str]:
    """Open a connection and close it; return whether that worked, and the error if not."""
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
    """Word a network error as a kubelet does."""
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {address}:{port}: connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    return str(error) or type(error).__name__
