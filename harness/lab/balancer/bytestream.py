"""One non-blocking connection on uvloop, plain or TLS: passes bytes on as they come, writes what the kernel accepts.

Why not an asyncio transport: uvloop's TLS costs about three times as much as an SSLSocket driven by add_reader, and
one class serves both sides of the balancer.

Two pitfalls. libuv stops watching a descriptor after it has reported an error (every reset raises POLLERR), so data
that arrived just before a reset must be read until the reset itself is seen: `received` returns whether more of the
message is to come. And after a failed write there may still be data to read, so a failed write only triggers a
read.
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

HIGH_WATER = 128 * 1024  # bytes queued for one side, above which reading from the other side stops
READ_SIZE = 64 * 1024  # at least a TLS record (16 KiB), so that no data stays inside OpenSSL
ROUNDS = 16  # reads in a row before other events are served
LINGER_S = 2.0  # time for a client to read the last answer, before its own unread bytes cause a reset
FLUSH_S = 30.0  # time for it to read what is queued

_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends a reset


class Owner(Protocol):
    """The reader of a stream."""

    def received(self, data: bytes) -> bool:
        """Take bytes; return whether more of the same message is to come."""

    def lost(self, error: OSError | None) -> None:
        """Handle the end (None) or the reset of the connection. The stream is closed already."""

    def drained(self) -> None:
        """Handle an empty queue: more can be written."""


class ByteStream:
    """A connected socket and the bytes queued for it."""

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
        self._writing = False  # waiting until the kernel accepts more
        self._broken: OSError | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._clean = True
        self.queued = 0
        self.paused = False
        self.closed = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(sock, self._readable)

    def write(self, data: bytes) -> None:
        """Send; queue what the kernel does not accept. Does nothing on a broken connection."""
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
            self._flush()  # TLS sends one record at a time

    def pause(self) -> None:
        """Stop reading for now."""
        if not self.paused and not self.closed:
            self.paused = True
            self.loop.remove_reader(self.sock)

    def resume(self) -> None:
        """Continue reading."""
        if self.paused and not self.closed:
            self.paused = False
            self.loop.add_reader(self.sock, self._readable)

    def finish(self, *, clean: bool = True) -> None:
        """Send what is queued, then close. The owner gets no further calls.

        Not `clean`: without a TLS close_notify, so that the peer sees a truncated stream.
        """
        if self.closed or self._ending:
            return
        self._ending = self.loop.call_later(FLUSH_S, self.close)
        self._clean = clean
        self.resume()
        if not self._queue:
            self._shut()

    def close(self) -> None:
        """Close the connection now."""
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
        """Close now with a reset, so that the other side sees a broken connection."""
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
        self.loop.call_soon(self._readable)  # read what there still is, then report the error

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
        """Send our FIN, and keep reading for a moment: unread bytes would turn the close into a reset."""
        if self._ending:
            self._ending.cancel()
        self._ending = self.loop.call_later(LINGER_S, self.close)
        with contextlib.suppress(
            OSError
        ):  # includes SSLError: unwrap() would wait for the peer's close_notify
            if self._clean and isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
