"""One socket on the event loop: bytes in, bytes out, and how it ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.wire.sockets import BLOCKED

if TYPE_CHECKING:
    from collections.abc import Callable

_READ = 64 * 1024
_READS = 16  # in a row, so that one stream does not starve the others


class Link:
    """An open connection. `received` gets its bytes, `lost` (once) the error that ended it; None: in an orderly way."""

    __slots__ = ("_lost", "_received", "_sock", "_unsent", "closed")

    def __init__(
        self, sock: Any, received: Callable[[bytes], None], lost: Callable[[OSError | None], None]
    ) -> None:
        self._sock = sock
        self._received = received
        self._lost = lost
        self._unsent = b""
        self.closed = False
        asyncio.get_running_loop().add_reader(sock.fileno(), self._ready)

    def send(self, data: bytes) -> None:
        """Send these bytes, now or when there is room. An error shows when the socket is read."""
        if self.closed or not data:
            return
        if self._unsent:
            self._unsent += data
            return
        rest = self._write(data)
        if rest:
            self._unsent = rest
            asyncio.get_running_loop().add_writer(self._sock.fileno(), self._writable)

    def close(self) -> None:
        """Close the socket. Nothing is reported after this."""
        if self.closed:
            return
        self.closed = True
        loop, number = asyncio.get_running_loop(), self._sock.fileno()
        loop.remove_reader(number)
        if self._unsent:
            loop.remove_writer(number)
        self._sock.close()

    def _write(self, data: bytes) -> bytes:
        while data:
            try:
                data = data[self._sock.send(data) :]
            except BLOCKED:
                return data
            except OSError:
                return b""  # the reader finds out how it ended, after what came before that
        return b""

    def _writable(self) -> None:
        self._unsent = self._write(self._unsent)
        if not self._unsent and not self.closed:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())

    def _ready(self) -> None:
        for _ in range(_READS):
            if self.closed:
                return
            try:
                data = self._sock.recv(_READ)
            except BLOCKED:
                return
            except OSError as caught:
                self._lost(failures.unmask(caught, self._sock))
                return
            if not data:
                self._lost(None)
                return
            self._received(data)
        # TLS may hold decrypted bytes that the socket does not show as readable.
        asyncio.get_running_loop().call_soon(self._again)

    def _again(self) -> None:
        if not self.closed:
            self._ready()
