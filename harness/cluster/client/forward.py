"""A connection to a port of a pod through the API server, over a WebSocket (channels of v4.channel.k8s.io).

The `kubernetes` package has a proxy of its own, which prints a traceback where a connection breaks, then leaves the
other end open, and cannot have more than a thousand descriptors in the process.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from typing import Any

from websocket import ABNF, WebSocketException

_DATA, _ERROR = 0, 1  # channels of the first port; each begins with the port's number, in two bytes
_AT_ONCE = 1 << 16


def forwarded(websocket: Any) -> socket.socket:
    """Return a socket that leads to the pod's port; it ends when either side does."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=_pass_on, args=(websocket, theirs), name="port-forward", daemon=True).start()
    ours.setblocking(False)
    return ours


def _pass_on(websocket: Any, near: socket.socket) -> None:
    """Pass on what comes from either side, until one has ended. A slow side holds up the other: nothing is kept."""
    begun: set[int] = set()
    poll = select.poll()
    poll.register(websocket.sock, select.POLLIN)
    poll.register(near, select.POLLIN)
    with contextlib.suppress(OSError, WebSocketException, ssl.SSLError), near:
        while True:
            ready = {fd for fd, _ in poll.poll(0 if _pending(websocket) else None)}
            if near.fileno() in ready:
                content = near.recv(_AT_ONCE)
                if not content:
                    break
                websocket.send_binary(bytes([_DATA]) + content)
            if (websocket.sock.fileno() in ready or _pending(websocket)) and not _take(
                websocket, near, begun
            ):
                break
    with contextlib.suppress(OSError, WebSocketException):
        websocket.close(timeout=1)


def _pending(websocket: Any) -> bool:
    """Whether TLS has decrypted something already: that makes no descriptor readable."""
    return isinstance(websocket.sock, ssl.SSLSocket) and websocket.sock.pending() > 0


def _take(websocket: Any, near: socket.socket, begun: set[int]) -> bool:
    """Take one frame of the server; False if it says that the pod's port cannot be reached, or the end."""
    kind, frame = websocket.recv_data_frame(control_frame=True)
    if kind == ABNF.OPCODE_CLOSE:
        return False
    if kind == ABNF.OPCODE_BINARY and frame.data:
        channel, content = frame.data[0], frame.data[1:]
        if channel not in begun:
            begun.add(channel)
        elif channel == _DATA:
            near.sendall(content)
        elif channel == _ERROR:
            return False
    return True
