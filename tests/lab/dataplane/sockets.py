"""HTTP by hand on raw sockets, for what a client library would hide."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from tests.lab.dataplane.conftest import BalancerProcess, Script


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return b"", b""
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n", rest


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def answering(*answers: bytes, close: bool = False, pause: float = 0.0) -> Script:
    """A script: to each request the next answer."""

    def script(sock: socket.socket) -> None:
        for answer in answers:
            head, _ = read_head(sock)
            if not head:
                return
            for part in answer.split(b"|"):
                sock.sendall(part)
                time.sleep(pause)
        if not close:
            read_head(sock)

    return script


def talk(front: BalancerProcess, request: bytes) -> bytes:
    with front.socket() as sock:
        sock.sendall(request)
        return read_all(sock)


def ask(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: a", *fields, b"", b""])
