"""A server on a real socket that does to each connection what a script says, and counts what it did.

A script is a plain function of a Visit (one accepted connection), run in a thread of its own. What the server
counts is the truth that the load generator is measured against.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


class Visit:
    """One connection, seen from the server."""

    def __init__(self, server: ScriptedServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number
        self._rest = b""

    def request(self) -> bytes:
        """Read one whole request; b"" if the client has closed, in any way."""
        data = self._rest
        try:
            while b"\r\n\r\n" not in data:
                piece = self.sock.recv(65536)
                if not piece:
                    return b""
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            while len(body) < length:
                piece = self.sock.recv(1 << 20)
                if not piece:
                    return b""
                body += piece
        except OSError:
            return b""
        self._rest = body[length:]
        self.server.count("requests")
        return head + b"\r\n\r\n" + body[:length]

    def answer(self, data: bytes = OK, *, what: str = "answered") -> None:
        """Send bytes; count them as one answer of this kind, also when the client has gone."""
        self.server.count(what)
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def fin(self, what: str = "fin") -> None:
        """Close in an orderly way."""
        self.server.count(what)
        with contextlib.suppress(OSError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.settimeout(1)
                self.sock.unwrap()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.sock.close()

    def reset(self, what: str = "reset") -> None:
        """Close with a reset, even if nothing is unread."""
        self.server.count(what)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def stall(self) -> None:
        """Keep the connection open and say nothing, until the server stops."""
        self.server.count("stalled")
        self.server.stopping.wait(60)


class ScriptedServer:
    """The listening side. `with ScriptedServer(script) as server:` then `server.url`, `server.seen["requests"]`."""

    def __init__(
        self, script: Callable[[Visit], None], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self._script = script
        self._tls = tls
        self.seen: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, 0))
        self.port: int = self._listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}/"
        self._visits: list[socket.socket] = []

    def count(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def close_listener(self) -> None:
        """Refuse from here on."""
        self._listener.shutdown(socket.SHUT_RDWR)  # a mere close waits for the thread that accepts
        self._listener.close()

    def __enter__(self) -> Self:
        self._listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._visits:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.count("connections")
            with self._lock:
                self._visits.append(sock)
            threading.Thread(target=self._serve, args=(sock, self.seen["connections"]), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self._script(Visit(self, sock, number))
        except OSError:
            self.count("server_error")
        finally:
            sock.close()


def always(data: bytes, *, pause: float = 0.005) -> Callable[[Visit], None]:
    """Script: answer every request with these bytes, after a pause."""

    def script(visit: Visit) -> None:
        while visit.request():
            time.sleep(pause)
            visit.answer(data)

    return script
