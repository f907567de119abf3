"""The sample app: one file, standard library only. It answers every request with 200 and its pod's name in X-Pod.

The lab runs it as `python -I app.py`; a real cluster runs the same file from a ConfigMap, as
`python3 /app/app.py` in a plain Python image (3.11 or later). It uses uvloop if that is installed.

    STARTUP_DELAY   seconds before it listens (2)
    WARMUP          seconds after that in which it answers 503, except on /alive (0)
    WARMUP_MS       ... or in which a request takes this long instead (0 = answer 503)
    WORK_MS         time a request takes, in ms (20)
    SLOW_EVERY      every Nth request takes SLOW_MS instead, a slow tail as every service has (0 = none)
    WORKERS         requests that it works on at a time; others wait (0 = no limit)
    CRASH_AFTER     exits with code 1 at its Nth request, probes not counted (0 = never)
    KEEPALIVE       seconds before it closes an idle connection (0 = never)
    CLOSE_LATE      seconds from that close until the client sees it, as over a slow network; requests in
                    between are reset (0)
    FLAP_EVERY      interval of spells of unreadiness, in seconds, by the wall clock: all pods at once (0 = none)
    FLAP_FOR        seconds that such a spell lasts, at the end of the interval
    ON_TERM         exit | drain | ignore (exit)
    TERM_DELAY      seconds after SIGTERM in which it goes on as before (0)
    STREAM_EVERY_MS time from one message of a stream to the next (1000)
    STREAM_RETRY_MS the retry: field of its event streams (0 = none)
    STREAM_ON_TERM  hold | close: what ON_TERM=drain does to open streams (hold)
    STREAM_CODE     the code of its WebSockets' close frame: 1001 going away, 1012 service restart (1001)
    STREAM_SPREAD   seconds over which it closes its streams, so that clients do not all come back at once (0)
    BIND_ADDRESS    address to listen on (0.0.0.0)
    PORT            port to listen on (8080); BIND_PORT overrides it
    HOSTNAME        the name sent in X-Pod
    LAB_LIFELINE=1  exit when standard input ends; ignore SIGINT

Streams: /ws is a WebSocket, /events are server-sent events, /stream is a chunked response of one line a message.
Messages are numbered by the wall clock, so that all pods give the same numbers; /events begins after Last-Event-ID.

In a URL, `?ms=N` overrides the time a request takes and `?bytes=N` asks for a body of N bytes. /alive and /healthz
always answer at once; so does /ready, with 503 during the warm-up and during a spell of unreadiness.

On SIGTERM: `exit` ends the process at once and cuts requests in flight. `drain` stops listening, closes idle
connections, answers what is in flight (Connection: close), then ends; streams are in flight until the client leaves,
unless STREAM_ON_TERM=close. `ignore` continues until SIGKILL. The exit
code of `exit` and `drain` is 0, not 143: process 1 of a container has no default action for SIGTERM, so it ends
only through a handler of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_LIMIT = 64 * 1024
HELD_LIMIT = 256 * 1024  # pipelined bytes that are kept before reading stops
BLOCK = b"x" * 65536
QUERY = re.compile(rb"[?&](ms|bytes)=(\d{1,15})(?=[&# ])")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
CONNECTION = re.compile(rb"\r\nconnection:([^\r]*)\r\n")
UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
SOCKET_KEY = re.compile(rb"\r\nsec-websocket-key:[ \t]*([^ \t\r]+)", re.IGNORECASE)
LAST_EVENT = re.compile(rb"\r\nlast-event-id:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
SOCKET_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
REPLAYED = 1000  # messages that a new event stream is sent at most
CLOSE_WAIT = 1.0  # seconds in which a client answers a close frame
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?")


@dataclass(frozen=True)
class Settings:
    """The settings from the environment. Seconds, except for *_ms."""

    name: str
    address: str
    port: int
    startup: float
    warmup: float
    warmup_ms: float
    work_ms: float
    slow_every: int
    slow_ms: float
    crash_after: int
    workers: int
    close_late: float
    on_term: str
    term_delay: float
    flap_every: float
    flap_for: float
    keepalive: float
    stream_ms: float
    stream_retry_ms: int
    stream_close: bool
    stream_code: int
    stream_spread: float
    lifeline: bool

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment. Exits with a line on standard error if a value is invalid."""

        def number(key: str, default: float) -> float:
            try:
                value = float(env.get(key) or default)
            except ValueError:
                sys.exit(f"app: {key}={env[key]} is not a number")
            return value if value >= 0 else sys.exit(f"app: {key}={env[key]} is negative")

        on_term = env.get("ON_TERM") or "exit"
        if on_term not in {"exit", "drain", "ignore"}:
            sys.exit(f"app: ON_TERM={on_term} must be exit, drain or ignore")
        stream_on_term = env.get("STREAM_ON_TERM") or "hold"
        if stream_on_term not in {"hold", "close"}:
            sys.exit(f"app: STREAM_ON_TERM={stream_on_term} must be hold or close")
        return cls(
            name=env.get("HOSTNAME") or "?",
            address=env.get("BIND_ADDRESS") or "0.0.0.0",
            port=int(number("BIND_PORT", 0) or number("PORT", 8080)),
            startup=number("STARTUP_DELAY", 2),
            warmup=number("WARMUP", 0),
            warmup_ms=number("WARMUP_MS", 0),
            work_ms=number("WORK_MS", 20),
            slow_every=int(number("SLOW_EVERY", 0)),
            slow_ms=number("SLOW_MS", 0),
            crash_after=int(number("CRASH_AFTER", 0)),
            workers=int(number("WORKERS", 0)),
            close_late=number("CLOSE_LATE", 0),
            on_term=on_term,
            term_delay=number("TERM_DELAY", 0),
            flap_every=number("FLAP_EVERY", 0),
            flap_for=number("FLAP_FOR", 0),
            keepalive=number("KEEPALIVE", 0),
            stream_ms=number("STREAM_EVERY_MS", 1000) or 1000,
            stream_retry_ms=int(number("STREAM_RETRY_MS", 0)),
            stream_close=stream_on_term == "close",
            stream_code=int(number("STREAM_CODE", 1001)),
            stream_spread=number("STREAM_SPREAD", 0),
            lifeline=env.get("LAB_LIFELINE") == "1",
        )


class ChunkSkipper:
    """Finds the end of a chunked request body, and discards the body."""

    def __init__(self) -> None:
        self.done = False
        self._payload = 0  # bytes left in the current chunk, its CRLF included
        self._line = b""
        self._trailer = False

    def take(self, data: bytes) -> int:
        """Return how many of these bytes belong to the body. Raises ValueError if it is not chunked."""
        at = 0
        while at < len(data) and not self.done:
            if self._payload:
                step = min(self._payload, len(data) - at)
                self._payload -= step
                at += step
                continue
            end = data.find(b"\n", at)
            self._line += data[at : end + 1 or None]
            at = end + 1 or len(data)
            if end >= 0:
                line, self._line = self._line.rstrip(b"\r\n"), b""
                self._read_line(line)
            elif len(self._line) > HEAD_LIMIT:
                raise ValueError("endless line in a chunked body")
        return at

    def _read_line(self, line: bytes) -> None:
        if self._trailer:
            self.done = not line
            return
        size = CHUNK_SIZE.fullmatch(line)
        if not size:
            raise ValueError("not a chunk size")
        length = int(size[1], 16)
        self._payload = length + 2 if length else 0
        self._trailer = not length


class App:
    """The app: its settings and its connections."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.loop = loop
        self.draining = False
        self.warm_at = 0.0  # on the loop's clock
        self.count = 0
        self.connections: set[Connection] = set()
        self.working = 0
        self.waiting: deque[Connection] = deque()  # for a free worker
        self._server: asyncio.Server | None = None
        common = f"Content-Type: text/plain\r\nX-Pod: {settings.name}\r\n".encode()
        self.head_ok = b"HTTP/1.1 200 OK\r\n" + common
        self.head_cold = b"HTTP/1.1 503 Service Unavailable\r\n" + common
        self.usual = self.head_ok + b"Content-Length: 3\r\n\r\nok\n"

    async def run(self) -> None:
        """Wait for the startup delay, listen, and serve until a signal ends the process."""
        then = {"drain": self._drain, "exit": lambda: os._exit(0), "ignore": lambda: None}[
            self.settings.on_term
        ]
        if self.settings.on_term == "drain" or self.settings.term_delay:  # main() handles the other cases
            self.loop.add_signal_handler(signal.SIGTERM, self.loop.call_later, self.settings.term_delay, then)
        await asyncio.sleep(self.settings.startup)
        self._server = await self.loop.create_server(
            lambda: Connection(self), self.settings.address, self.settings.port, backlog=8192
        )
        self.warm_at = self.loop.time() + self.settings.warmup
        print(f"listening on {self.settings.address}:{self.settings.port}", flush=True)  # noqa: T201  a pod's log
        await asyncio.Event().wait()

    def _drain(self) -> None:
        self.draining = True
        if self._server:
            self._server.close()
        for connection in tuple(self.connections):
            connection.close_if_idle()
        streams = [one.stream for one in self.connections if one.stream] if self.settings.stream_close else []
        for turn, stream in enumerate(streams):
            self.loop.call_later(self.settings.stream_spread * turn / len(streams), stream.end)
        self.end_if_drained()

    def end_if_drained(self) -> None:
        """End the process if it drains and no connection is left."""
        if self.draining and not self.connections:
            os._exit(0)

    def work_ms(self) -> float:
        """Return how long the next request takes, in ms."""
        self.count += 1
        if self.count == self.settings.crash_after:
            os._exit(1)
        if self.settings.slow_every and self.count % self.settings.slow_every == 0:
            return self.settings.slow_ms
        return self.settings.work_ms

    def begin(self, connection: Connection) -> None:
        """Start a request, now or when a worker is free."""
        if self.settings.workers and self.working >= self.settings.workers:
            self.waiting.append(connection)
        else:
            self.working += 1
            connection.begin()

    def end(self) -> None:
        """Finish a request, and start the next one that waits."""
        self.working -= 1
        while self.waiting:
            connection = self.waiting.popleft()
            if not connection.gone:
                self.working += 1
                connection.begin()
                return

    def flapping(self) -> bool:
        """Tell whether it pretends not to be ready (FLAP_EVERY, FLAP_FOR)."""
        every = self.settings.flap_every
        return bool(every) and time.time() % every >= every - self.settings.flap_for


class Stream:
    """A stream on a connection: a message at each whole multiple of STREAM_EVERY_MS, numbered by it."""

    def __init__(self, connection: Connection, path: bytes, head: bytes) -> None:
        self.connection = connection
        self.app = connection.app
        self.kind = path
        self.ended = False
        self._frames = b""  # of a WebSocket: an incomplete frame
        self._timer: asyncio.TimerHandle | None = None
        last = LAST_EVENT.search(head)
        self._last = max(int(last[1]), self._number() - REPLAYED) if last else self._number()
        pod = f"X-Pod: {self.app.settings.name}\r\n".encode()
        if path == b"/ws":
            key = SOCKET_KEY.search(head)
            digest = hashlib.sha1((key[1] if key else b"") + SOCKET_MAGIC, usedforsecurity=False).digest()
            accept = b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n"
            switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            connection.transport.write(switch + accept + pod + b"\r\n")
        else:
            kind = b"text/event-stream" if path == b"/events" else b"application/x-ndjson"
            body = b"Content-Type: " + kind + b"\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n"
            connection.transport.write(b"HTTP/1.1 200 OK\r\n" + body + pod + b"\r\n")
            if path == b"/events" and self.app.settings.stream_retry_ms:
                self._chunk(b"retry: %d\n\n" % self.app.settings.stream_retry_ms)
        self._tick()

    def _number(self) -> int:
        return int(time.time() * 1000 // self.app.settings.stream_ms)

    def _tick(self) -> None:
        """Send the messages that are due, and come back for the next one."""
        while self._last < self._number():
            self._last += 1
            self.message(b'{"id":%d,"pod":"%b"}' % (self._last, self.app.settings.name.encode()))
        every = self.app.settings.stream_ms / 1000
        self._timer = self.app.loop.call_later(every - time.time() % every + 0.001, self._tick)

    def message(self, text: bytes) -> None:
        """Send a message."""
        if self.kind == b"/ws":
            self._frame(0x81, text)
        elif self.kind == b"/events":
            self._chunk(b"id: %d\ndata: %b\n\n" % (self._last, text))
        else:
            self._chunk(text + b"\n")

    def take(self, data: bytes) -> None:
        """Take what the client sends: a WebSocket's frames. A message is echoed, a ping and a close are answered."""
        self._frames += data
        while len(self._frames) >= 6 and not self.connection.gone:
            size, at = self._frames[1] & 0x7F, 2
            if size >= 126:
                at = 4 if size == 126 else 10
                size = int.from_bytes(self._frames[2:at], "big")
            if len(self._frames) < at + 4 + size:
                return
            mask, payload = self._frames[at : at + 4], self._frames[at + 4 : at + 4 + size]
            text = bytes(byte ^ mask[n & 3] for n, byte in enumerate(payload))
            opcode, self._frames = self._frames[0] & 0x0F, self._frames[at + 4 + size :]
            if opcode == 8:
                if not self.ended:
                    self._frame(0x88, text[:2])
                self.connection.transport.close()
                return
            if opcode in {1, 9} and not self.ended:
                self._frame(0x81 if opcode == 1 else 0x8A, text)

    def end(self) -> None:
        """End it in an orderly way: a close frame, or the end of the body."""
        if self.ended or self.connection.gone:
            return
        self.stop()
        if self.kind == b"/ws":
            self._frame(0x88, self.app.settings.stream_code.to_bytes(2, "big"))
            self.app.loop.call_later(CLOSE_WAIT, self.connection.transport.close)
        else:
            self.connection.transport.write(b"0\r\n\r\n")
            self.connection.transport.close()

    def stop(self) -> None:
        """Send nothing more."""
        self.ended = True
        if self._timer:
            self._timer.cancel()

    def _frame(self, first: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        self.connection.transport.write(bytes([first]) + length + payload)

    def _chunk(self, data: bytes) -> None:
        self.connection.transport.write(b"%x\r\n%b\r\n" % (len(data), data))


class Connection(asyncio.Protocol):
    """One client. Requests on it are answered one after the other."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.transport: asyncio.Transport
        self._held = b""
        self._busy = False  # a request was read and is not yet answered
        self._body: ChunkSkipper | int = 0  # the rest of the body of the request being read
        self._head = b""  # its head; b"" between requests
        self._answer: asyncio.TimerHandle | None = None
        self._to_send = 0  # bytes left of a large answer
        self._close = False
        self._paused = False  # writing: the client reads slowly
        self._stalled = False  # reading: the client sends ahead
        self._idle_since = 0.0
        self._worked_on = False
        self._delay = 0.0  # how long the current request takes, in seconds
        self._size = 3  # the size of its answer, in bytes
        self._dead = False  # closed for the app, though the client does not know yet (CLOSE_LATE)
        self.gone = False
        self.stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection, and start its idle timer."""
        self.transport = cast("asyncio.Transport", transport)
        self.app.connections.add(self)
        self._idle_since = self.app.loop.time()
        if self.app.settings.keepalive:
            self._check_idle()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget the connection and its request."""
        self.gone = True
        if self._answer:
            self._answer.cancel()
        if self.stream:
            self.stream.stop()
        self._worked()
        self.app.connections.discard(self)
        self.app.end_if_drained()

    def _check_idle(self) -> None:
        if self.transport.is_closing():
            return
        left = self.app.settings.keepalive - (self.app.loop.time() - self._idle_since)
        if left <= 0 and not self._busy and not self._head:
            self._dead = True
            self.app.loop.call_later(self.app.settings.close_late, self.transport.close)
            return
        self.app.loop.call_later(
            max(left, 0.001) if not self._busy else self.app.settings.keepalive, self._check_idle
        )

    def close_if_idle(self) -> None:
        """Close the connection unless a request is being read or answered on it."""
        if not self._busy and not self._head and not self._held:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take the next head, the rest of a body, or pipelined bytes for later."""
        if self._dead:  # data for a closed socket is answered with a reset
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        if self.stream:
            self.stream.take(data)
            return
        self._held = self._held + data if self._held else data
        if not self._busy:
            self._read()
        elif len(self._held) > HELD_LIMIT and not self._stalled:
            self._stalled = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep the connection open for the answer if a request is in flight."""
        self._close = True
        return self._busy

    def _read(self) -> None:
        try:
            if not self._head and not self._read_head():
                return
            self._read_body()
        except ValueError:
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.transport.close()

    def _read_head(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > HEAD_LIMIT:
                raise ValueError("head too long")
            return False
        head, self._held = self._held[: end + 2], self._held[end + 4 :]
        line = head[: head.find(b"\r\n")].split(b" ")
        if len(line) != 3 or line[2] not in {b"HTTP/1.1", b"HTTP/1.0"} or not line[0].isalpha():
            raise ValueError("not a request line")
        self._head = head
        lower = head.lower()
        token = CONNECTION.search(lower)
        self._close = b"close" in token[1] if token else False
        if line[2] == b"HTTP/1.0":
            self._close = not (token and b"keep-alive" in token[1])
        if CHUNKED.search(lower):
            self._body = ChunkSkipper()
        elif length := LENGTH.search(lower):
            self._body = int(length[1])
        else:
            self._body = 0
            if b"\r\ncontent-length:" in lower or b"\r\ntransfer-encoding:" in lower:
                raise ValueError("a body without a clear end")
        if self._body and b"\r\nexpect: 100-continue\r\n" in lower:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _read_body(self) -> None:
        body, data = self._body, self._held
        if isinstance(body, ChunkSkipper):
            self._held = data[body.take(data) :]
            if not body.done:
                return
        elif body:
            self._held = data[body:]
            self._body = body - min(body, len(data))
            if self._body:
                return
        self._work()

    def _work(self) -> None:
        self._busy = True
        line = self._head[: self._head.find(b"\r\n")]
        path = line.split(b" ")[1].partition(b"?")[0]
        if path in {b"/alive", b"/healthz"}:
            self._reply(self.app.head_ok, 3)
            return
        cold = self.app.loop.time() < self.app.warm_at
        slow_ms = self.app.settings.warmup_ms
        if path == b"/ready":
            self._reply(self.app.head_cold if cold or self.app.flapping() else self.app.head_ok, 3)
            return
        if cold and not slow_ms:
            self._reply(self.app.head_cold, 3)
            return
        if path in {b"/events", b"/stream"} or (path == b"/ws" and UPGRADE.search(self._head)):
            self.stream = Stream(self, path, self._head)
            return
        asked = {key: int(value) for key, value in QUERY.findall(line)} if b"?" in line else {}
        delay_ms = asked[b"ms"] if b"ms" in asked else slow_ms if cold else self.app.work_ms()
        self._delay, self._size = delay_ms / 1000, asked.get(b"bytes", 3)
        self.app.begin(self)

    def begin(self) -> None:
        """Work on the request that was read."""
        self._worked_on = True
        self._answer = self.app.loop.call_later(self._delay, self._reply, self.app.head_ok, self._size)

    def _worked(self) -> None:
        if self._worked_on:
            self._worked_on = False
            self.app.end()

    def _reply(self, head: bytes, length: int) -> None:
        self._answer = None
        self._worked()
        close = self._close = self._close or self.app.draining
        bare = self._head.startswith(b"HEAD ")
        if length == 3 and not close and not bare and head is self.app.head_ok:
            self.transport.write(self.app.usual)
            self._finish()
            return
        extra = b"Connection: close\r\n" if close else b""
        body = b"" if bare or length != 3 else b"ok\n"
        self.transport.write(b"%b%bContent-Length: %d\r\n\r\n%b" % (head, extra, length, body))
        self._to_send = 0 if bare or length == 3 else length
        self._send()

    def _send(self) -> None:
        while self._to_send and not self._paused:
            block = BLOCK[: self._to_send]
            self._to_send -= len(block)
            self.transport.write(block)
        if not self._to_send:
            self._finish()

    def _finish(self) -> None:
        self._busy = False
        self._head = b""
        self._idle_since = self.app.loop.time()
        if self._close:
            self.transport.close()
            return
        if self._stalled:
            self._stalled = False
            self.transport.resume_reading()
        if self._held:  # through the loop, so that many pipelined requests do not recurse
            self.app.loop.call_soon(self._read_held)

    def _read_held(self) -> None:
        if not self._busy and not self.transport.is_closing():
            self._read()

    def pause_writing(self) -> None:
        """Pause a large answer: the client reads slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """Continue sending."""
        self._paused = False
        if self._to_send:
            self._send()


def follow_lifeline() -> None:
    """End the process when standard input ends: its parent is gone."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def end_at_once(_signum: int, _frame: object) -> None:
    """Exit on SIGTERM at once: everything in flight is cut."""
    os._exit(0)


def main() -> None:
    """Run the app until a signal ends it."""
    settings = Settings.read(os.environ)
    if settings.lifeline:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        follow_lifeline()
    # SIGTERM may arrive during startup: then there is nothing to drain.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if settings.on_term == "ignore" else end_at_once)
    try:
        import uvloop  # noqa: PLC0415  present in the lab, absent in a plain image

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    except ImportError:
        loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(App(settings, loop).run())
    except OSError as error:
        sys.exit(f"app: cannot listen on {settings.address}:{settings.port}: {error.strerror}")


if __name__ == "__main__":
    main()
