"""One non-blocking connection on uvloop, plain or TLS: reads as bytes come, writes at once what the kernel takes.

Why not a transport: uvloop's TLS costs about three times what an SSLSocket driven by add_reader does, and one class
for both sides of the balancer is less to get wrong.

Two things to know. libuv stops watching a descriptor after it has reported an error once (POLLERR comes with every reset),
so data that arrived just before a reset must be read on until the reset itself is seen: `received` says whether it is still
in the middle of something. And a failed write says nothing about what can still be read, so it only causes a read.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

HIGH_WATER = 128 * 1024  # bytes queued for one side at which the other side is no longer read
READ_SIZE = 64 * 1024  # at least a TLS record (16 KiB), so that none is left waiting inside OpenSSL
ROUNDS = 16  # reads in a row before others get their turn
LINGER_S = 2.0  # for a client to read our last answer before an unread byte of its own would reset it
FLUSH_S = 30.0  # for it to take what is queued

_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends a reset


class Owner(Protocol):
    """Who reads a stream."""

    def received(self, data: bytes) -> bool:
        """Take bytes. Tell whether more of the same message is still to come."""

    def lost(self, error: OSError | None) -> None:
        """Learn that the other side ended the connection (None) or broke it. The stream is closed already."""

    def drained(self) -> None:
        """Learn that nothing is queued any more."""


class ByteStream:
    """A connected socket and what waits to be sent on it."""

    __slots__ = (
        "_broken",
        "_clean",
        "_ending",
        "_owner",
        "_queue",
        "_recv",
        "_send",
        "_writing",
        "closed",
        "loop",
        "paused",
        "queued",
        "sock",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, owner: Owner) -> None:
        self.loop = loop
        self.sock = sock
        self._owner = owner
        self._recv = sock.recv
        self._send = sock.send
        self._queue: deque[memoryview] = deque()
        self._writing = False  # waiting for the kernel to take more
        self._broken: OSError | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._clean = True
        self.queued = 0
        self.paused = False
        self.closed = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(sock, self._readable)

    def write(self, data: bytes) -> None:
        """Send, or queue what the kernel does not take. After the connection broke: nothing."""
        if self._broken or self.closed:
            return
        if self._queue:
            self._queue.append(memoryview(data))
            self.queued += len(data)
            return
        try:
            sent = self._send(data)
        except _BLOCKED:
            sent = 0
        except OSError as error:
            self._break(error)
            return
        if sent != len(data):
            self._queue.append(memoryview(data)[sent:])
            self.queued = len(data) - sent
            self._flush()  # TLS takes a record at a time

    def pause(self) -> None:
        """Read no more for now."""
        if not self.paused and not self.closed:
            self.paused = True
            self.loop.remove_reader(self.sock)

    def resume(self) -> None:
        """Read on."""
        if self.paused and not self.closed:
            self.paused = False
            self.loop.add_reader(self.sock, self._readable)

    def finish(self, *, clean: bool = True) -> None:
        """Send what is queued, then end the connection. The owner hears no more of it.

        Not `clean`: TLS is not ended properly, as with a peer that was cut off.
        """
        if self.closed or self._ending:
            return
        self._ending = self.loop.call_later(FLUSH_S, self.close)
        self._clean = clean
        self.resume()
        if not self._queue:
            self._shut()

    def close(self) -> None:
        """End the connection now."""
        if self.closed:
            return
        self.closed = True
        if self._ending:
            self._ending.cancel()
        self.loop.remove_reader(self.sock)
        self.loop.remove_writer(self.sock)
        self.sock.close()
        self._queue.clear()
        self.queued = 0

    def abort(self) -> None:
        """End the connection now, and let the other side see that it was broken off."""
        if not self.closed:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()

    def _readable(self) -> None:
        for _ in range(ROUNDS):
            if self.paused or self.closed:
                return
            try:
                data = self._recv(READ_SIZE)
            except _BLOCKED:
                if self._broken:
                    self._lose(self._broken)
                return
            except OSError as error:
                self._lose(error)
                return
            if not data:
                self._lose(self._broken)
                return
            if not self._ending and not self._owner.received(data) and not self._broken:
                return
        self.loop.call_soon(self._readable)

    def _lose(self, error: OSError | None) -> None:
        ending = self._ending
        self.close()
        if not ending:
            self._owner.lost(error)

    def _break(self, error: OSError) -> None:
        self._broken = error
        self._queue.clear()
        self.queued = 0
        self.loop.call_soon(self._readable)  # what can still be read comes first, then the error

    def _flush(self) -> None:
        while self._queue:
            view = self._queue[0]
            try:
                sent = self._send(view)
            except _BLOCKED:
                if not self._writing:
                    self._writing = True
                    self.loop.add_writer(self.sock, self._flush)
                return
            except OSError as error:
                self._stop_writing()
                self._break(error)
                return
            self.queued -= sent
            if sent == len(view):
                self._queue.popleft()
            else:
                self._queue[0] = view[sent:]
        self._stop_writing()
        if self._ending:
            self._shut()
        else:
            self._owner.drained()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self.loop.remove_writer(self.sock)

    def _shut(self) -> None:
        """Send our end, and go on reading for a moment: bytes that nobody reads would turn the end into a reset."""
        if self._ending:
            self._ending.cancel()
        self._ending = self.loop.call_later(LINGER_S, self.close)
        with contextlib.suppress(OSError):  # an SSLError is one; unwrap() would wait for the other side's end
            if self._clean and isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
