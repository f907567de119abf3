"""The balancer's connections to its targets: one exchange at a time on each, the idle ones in a pool per target.

A pool gives back the connection used last (as nginx' keepalive does). A pooled connection whose end has been seen is gone
from it. One that the target closes just as we send on it is lost with the request: a 502, the keep-alive race of
every real balancer.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from harness.lab.profiles import Loss, Stage
from harness.lab.stream import HIGH_WATER, Stream
from harness.lab.wire import HEAD_LIMIT, Body, EndlessBody, Framing, Malformed, body_of

if TYPE_CHECKING:
    import asyncio

    from harness.lab.front import Front

_IN_TIME_S = 0.001  # timers of uvloop are exact to a millisecond


class Target:
    """An endpoint as the balancer has it, and the idle connections to it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        port: int,
        pod: str,
        connect_s: float,
        idle_s: float,
    ) -> None:
        self.loop = loop
        self.address = address
        self.port = port
        self.pod = pod
        self.connect_s = connect_s
        self.idle_s = idle_s
        self.live = True  # still among the endpoints
        self.idle: list[Upstream] = []

    def send(self, front: Front, head: bytes) -> Upstream:
        """Start an exchange on the pooled connection used last, or on a new one. `head` may have body bytes behind it."""
        upstream = self.idle.pop() if self.idle else Upstream(self)
        upstream.start(front, head)
        return upstream

    def remove(self) -> None:
        """Take it out: exchanges under way go on, idle connections are dropped."""
        self.live = False
        for upstream in self.idle:
            upstream.stream_close()
        self.idle.clear()


class Upstream:
    """One connection to a target."""

    __slots__ = (
        "_body",
        "_held",
        "_pending",
        "_sock",
        "_stream",
        "_timer",
        "active",
        "front",
        "loop",
        "reusable",
        "target",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.loop = target.loop
        self.front: Front | None = None  # whose request is on it
        self.active = 0.0  # when a byte last passed, on the loop's clock
        self.reusable = False
        self._body: Body | None = None  # of the answer, once its head has been passed on
        self._held = b""  # the beginning of a head
        self._pending: list[bytes] = []  # to send once connected
        self._stream: Stream | None = None
        self._sock = socket.socket(
            socket.AF_INET6 if ":" in target.address else socket.AF_INET, socket.SOCK_STREAM
        )
        self._sock.setblocking(False)
        self._timer: asyncio.TimerHandle
        self._connect()

    # The way there

    def start(self, front: Front, head: bytes) -> None:
        """Send a request, or its beginning."""
        self.front = front
        self._body = None
        self.send(head)

    def send(self, data: bytes) -> None:
        """Send more of the request's body."""
        self.active = self.loop.time()
        if self._stream:
            self._stream.write(data)
        else:
            self._pending.append(data)

    @property
    def congested(self) -> bool:
        """Whether the client should send no more for now."""
        return self._stream.queued > HIGH_WATER if self._stream else len(self._pending) > 1

    def drained(self) -> None:
        """See stream.Owner."""
        if self.front:
            self.front.resume_upload()

    def pause(self) -> None:
        """Read no more of the answer for now: the client is slow."""
        if self._stream:
            self._stream.pause()

    def resume(self) -> None:
        """Read on."""
        self.active = self.loop.time()
        if self._stream:
            self._stream.resume()

    def stream_close(self) -> None:
        """End the connection, and with it whatever is on it."""
        self.front = None
        self._timer.cancel()
        if self._stream:
            self._stream.close()
        else:
            self.loop.remove_writer(self._sock)
            self._sock.close()

    def _connect(self) -> None:
        code = self._sock.connect_ex((self.target.address, self.target.port))
        if code in {0, errno.EINPROGRESS}:
            self.loop.add_writer(self._sock, self._connected)
        else:
            self.loop.call_soon(self._connected, code)
        self._timer = self.loop.call_later(self.target.connect_s, self._fail, Loss.CONNECT_TIMEOUT)

    def _connected(self, code: int | None = None) -> None:
        if self.front is None:  # given up in the meantime
            return
        self.loop.remove_writer(self._sock)
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if code is None else code
        if code:
            self._fail(_connect_loss(code))
            return
        self._timer.cancel()
        self.active = self.loop.time()
        self._timer = self.loop.call_later(self.target.idle_s, self._check_idle)
        self._stream = Stream(self.loop, self._sock, self)
        for data in self._pending:
            self._stream.write(data)
        self._pending.clear()
        if not self._stream.queued:
            self.drained()

    def _check_idle(self) -> None:
        """Look whether nothing passed for the idle time. One timer for the life of the connection, so that a request costs none."""
        if self._stream and self._stream.paused:  # we hold it back ourselves
            self.active = self.loop.time()
        left = self.active + self.target.idle_s - self.loop.time()
        if left > _IN_TIME_S:
            self._timer = self.loop.call_later(left, self._check_idle)
        elif self.front:
            self._fail(Loss.IDLE_TIMEOUT)
        else:
            self.target.idle.remove(self)
            self.stream_close()

    # The way back

    def received(self, data: bytes) -> bool:
        """See stream.Owner."""
        if self.front is None:  # it speaks though it was not asked
            self._leave_pool()
            return False
        self.active = self.loop.time()
        try:
            return self._pass(data) if self._body else self._head(data)
        except Malformed:
            self._fail(Loss.MALFORMED)
            return False

    def lost(self, error: OSError | None) -> None:
        """See stream.Owner."""
        front = self.front
        if front is None:
            self._leave_pool()
        elif isinstance(self._body, EndlessBody) and error is None:
            self.stream_close()
            front.end_answer()
        else:
            self._fail(Loss.EOF if error is None else Loss.RESET)

    def _head(self, data: bytes) -> bool:
        front = self.front
        assert front is not None  # noqa: S101  for mypy: received() has looked
        if self._held:
            data = self._held + data
            self._held = b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_LIMIT:
                raise Malformed("endless head")
            self._held = data
            return True
        response = front.read_head(data[: end + 2])
        rest = data[end + 4 :]
        if response.status < 200:
            if response.status == 101:  # we pass no Upgrade on
                raise Malformed("switched protocols though it was not asked to")
            front.interim(response)
            return self._head(rest) if rest else True
        if len(rest) == response.known_length:  # nearly all
            self._done(front, response.keep)
            front.answer(response, rest, done=True)
            return False
        self.reusable = response.keep
        body = body_of(response.framing, response.length, keep=front.wants_payload)
        used = body.take(rest)
        self._body = body  # only now: what is no body at all still gets a 502
        part = body.payload() if front.wants_payload and response.framing is Framing.CHUNKED else rest[:used]
        if body.done:
            self._done(front, response.keep and used == len(rest))
        front.answer(response, part, done=body.done)
        return not body.done

    def _pass(self, data: bytes) -> bool:
        front, body = self.front, self._body
        assert front is not None  # noqa: S101  for mypy: received() has looked
        assert body is not None  # noqa: S101
        used = body.take(data)
        part = body.payload() if front.wants_payload and not isinstance(body, EndlessBody) else data[:used]
        if body.done:
            self._done(front, self.reusable and used == len(data))
        front.more(part, done=body.done)
        return not body.done

    def _done(self, front: Front, keep: bool) -> None:  # noqa: FBT001  of _head and _pass
        """Let go of a finished exchange, before the client hears the end of it: its next request may come at once."""
        self.front = None
        self._body = None
        if keep and self.target.live and front.sent_all:
            self.target.idle.append(self)
        else:
            self.stream_close()

    def _fail(self, loss: Loss) -> None:
        stage = Stage.CONNECTING if not self._stream else Stage.ANSWERING if self._body else Stage.WAITING
        front = self.front
        self.stream_close()
        if front:
            front.fail(stage, loss)

    def _leave_pool(self) -> None:
        if self in self.target.idle:
            self.target.idle.remove(self)
        self.stream_close()


def _connect_loss(code: int) -> Loss:
    if code == errno.ETIMEDOUT:
        return Loss.CONNECT_TIMEOUT
    if code in {errno.ECONNREFUSED, errno.ECONNRESET}:
        return Loss.REFUSED
    return Loss.UNREACHABLE
