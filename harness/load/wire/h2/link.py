"""An HTTP/2 connection on its socket: reading as much as there is, and how it ended."""

from __future__ import annotations

import ssl
from array import array
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.wire.h2.connection import Connection
from harness.load.wire.sockets import BLOCKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.wire.h2.blocks import Blocks
    from harness.load.wire.slot import Slot

_FIRST_READ = 32 * 1024  # more than a TLS record, and most responses
_BIG_READ = 256 * 1024
_READS = 32  # in a row on one connection, so that one download does not starve the others


class Link(Connection):
    """A connection with its socket.

    `slow`: the fast path may not serve it. `over`: it has ended, by `error` or in an orderly way. `exhausted`: more
    may have come than was read.
    """

    def __init__(self, blocks: Blocks, sock: Any) -> None:
        super().__init__(blocks)
        self.sock: Any = sock
        self.fd: int = sock.fileno()
        self.slots: set[Slot] = set()
        self.queue: list[
            Slot
        ] = []  # slots whose requests wait for a stream: the server allows no more at a time
        self.serving = False  # its responses are being served: what is sent meanwhile is written after that
        self.slow = True  # until the server's settings have come
        self.over = self.exhausted = False
        self.error: OSError | None = None
        self.write_error: OSError | None = None
        self.unsent = b""  # what blocked
        self.waiting = array("i", [0])
        if isinstance(sock, ssl.SSLSocket):
            # SSLSocket's methods check flags that are not used here, and then call the wrapped object, in C.
            wrapped = getattr(sock, "_sslobj", None) or sock
            self.recv, self.send = wrapped.read, wrapped.write
            self.receive = _receiving_tls(self)
        else:
            self.recv, self.send = sock.recv, sock.send
            self.receive = _receiving(self)

    def read(self, data: bytes = b"") -> bytes:
        """Read all that has come, after `data`. Sets `over` or `exhausted`."""
        pieces = [data]
        self.exhausted = False
        while not self.over:
            try:
                piece = self.recv(_BIG_READ)
            except BLOCKED:
                break
            except OSError as error:
                self.end(error)
                break
            if not piece:
                self.end(None)
            pieces.append(piece)
            if len(pieces) > _READS:
                self.exhausted = True
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def anything_waiting(self) -> bool:
        """Whether bytes have come that nobody has read."""
        ioctl(self.fd, FIONREAD, self.waiting)
        return bool(self.waiting[0])

    def end(self, error: OSError | None) -> None:
        """Note that the connection has ended. The kernel is asked at once what TLS hides."""
        self.over = self.slow = True
        self.error = self.error or failures.unmask(error, self.sock)

    def say_goodbye(self) -> None:
        """Write what is left to say, if that works at once."""
        with suppress(OSError):
            if not self.unsent:
                self.send(b"".join(self.out))
        self.out.clear()

    def close(self) -> None:
        """Close the socket, and let go of what refers to this."""
        self.sock.close()
        self.sock, self.unsent = None, b""
        self.slow = True
        self.inflight.clear()
        self.slots.clear()
        self.out.clear()
        self.receive = self.recv = bytes
        self.send = len


def _receiving(link: Link) -> Callable[[], bytes]:
    recv = link.recv

    def receive() -> bytes:
        data: bytes = recv(_FIRST_READ)
        return data if 0 < len(data) < _FIRST_READ else _rest(link, data)

    return receive


def _receiving_tls(link: Link) -> Callable[[], bytes]:
    """Return how the fast path receives over TLS.

    A read returns one record. If another one came with it, its edge has been used up, so it must be read now. Asking by
    `ioctl` costs a third of a read.
    """
    recv, fd, ask, which, waiting = link.recv, link.fd, ioctl, FIONREAD, link.waiting

    def receive() -> bytes:
        data: bytes = recv(_FIRST_READ)
        ask(fd, which, waiting)
        return _rest(link, data) if waiting[0] or not data else data

    return receive


def _rest(link: Link, data: bytes) -> bytes:
    if not data:
        link.end(None)
        return data
    return link.read(data)
