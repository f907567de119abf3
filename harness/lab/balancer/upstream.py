"""Connections to targets: one exchange at a time on each, and a pool of idle ones per target.

A pool returns the connection used last, as nginx's keepalive does. A connection that the target has closed leaves the
pool. If the target closes it just as a request is sent, the request is lost: a 502, the keep-alive race of every real
balancer.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Protocol

from harness.lab.balancer.bytestream import HIGH_WATER, ByteStream
from harness.lab.balancer.profiles import Loss, Stage, connect_loss
from harness.lab.balancer.wire import HEAD_LIMIT, Body, EndlessBody, Framing, Malformed, ResponseHead, body_of

if TYPE_CHECKING:
    import asyncio


_IN_TIME_S = 0.001  # uvloop's timers are accurate to a millisecond


class Requester(Protocol):
    """The sender of a request on an upstream connection, which gets the answer."""

    sent_all: bool  # the whole request has arrived
    wants_payload: bool  # the body is wanted without chunk framing

    def resume_upload(self) -> None:
        """Continue the upload: the target can take more."""

    def read_head(self, head: bytes) -> ResponseHead:
        """Parse the head of the answer. Raises Malformed."""

    def interim(self, response: ResponseHead) -> None:
        """Take a 1xx answer."""

    def answer(self, response: ResponseHead, part: bytes, *, done: bool) -> None:
        """Take the head of the answer and the part of its body that came with it."""

    def more(self, part: bytes, *, done: bool) -> None:
        """Take more of the answer's body."""

    def switch(self, response: ResponseHead, part: bytes) -> bool:
        """Take a 101 and what came after it: from here on bytes pass both ways. False: it was not asked for."""

    def end_answer(self) -> None:
        """End the answer: its body ended with the connection."""

    def fail(self, stage: Stage, loss: Loss, upstream: Upstream) -> None:
        """Handle a failed exchange: there will be no answer, or no more of it."""


class UpstreamTarget:
    """An endpoint and the connections to it."""

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
        self.open: set[Upstream] = set()  # idle ones, and those with a request on them

    def send(self, requester: Requester, head: bytes) -> Upstream:
        """Start an exchange on an idle connection, or on a new one. Part of the body may follow in `head`."""
        upstream = self.idle.pop() if self.idle else Upstream(self)
        upstream.start(requester, head)
        return upstream

    def remove(self) -> None:
        """Remove the target: running exchanges continue, idle connections are closed."""
        self.live = False
        for upstream in self.idle:
            upstream.stream_close()
        self.idle.clear()

    def expire(self) -> None:
        """Fail the exchanges that still run: the deregistration delay is over."""
        for upstream in tuple(self.open):
            upstream.fail(Loss.DEREGISTERED)


class Upstream:
    """One connection to a target."""

    __slots__ = (
        "_body", "_held", "_pending", "_sock", "_stream", "_timer", "active", "begun", "loop", "requester", "rested",
        "reusable", "target", "uses",
    )  # fmt: skip

    def __init__(self, target: UpstreamTarget) -> None:
        self.target = target
        self.loop = target.loop
        self.requester: Requester | None = None  # whose request is on it
        self.active = 0.0  # when the last byte passed, on the loop's clock
        self.begun = 0.0  # when the current request was sent
        self.rested = 0.0  # how long it had been idle before that
        self.uses = 0  # requests sent so far
        self.reusable = False
        self._body: Body | None = None  # of the answer, once its head has been passed on
        self._held = b""  # an incomplete head
        self._pending: list[bytes] = []  # to send once connected
        self._stream: ByteStream | None = None
        self._sock: socket.socket | None = None  # also None if there was no descriptor left
        self._timer: asyncio.TimerHandle
        self._connect()

    # The request

    def start(self, requester: Requester, head: bytes) -> None:
        """Send a request or its first part."""
        now = self.loop.time()
        self.rested, self.begun = now - self.active, now
        self.uses += 1
        self.requester = requester
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

    @property
    def heard(self) -> bool:
        """Whether part of an answer has arrived, though not its whole head."""
        return bool(self._held)

    def drained(self) -> None:
        """See bytestream.Owner."""
        if self.requester:
            self.requester.resume_upload()

    def pause(self) -> None:
        """Stop reading the answer for now: the client is slow."""
        if self._stream:
            self._stream.pause()

    def resume(self) -> None:
        """Continue reading."""
        self.active = self.loop.time()
        if self._stream:
            self._stream.resume()

    def stream_close(self) -> None:
        """Close the connection, and abandon the exchange on it."""
        self.requester = None
        self._timer.cancel()
        self.target.open.discard(self)
        if self._stream:
            self._stream.close()
        elif self._sock:
            self.loop.remove_writer(self._sock)
            self._sock.close()

    def _connect(self) -> None:
        target = self.target
        self._timer = self.loop.call_later(target.connect_s, self.fail, Loss.CONNECT_TIMEOUT)
        try:
            self._sock = sock = socket.socket(socket.AF_INET6 if ":" in target.address else socket.AF_INET)
        except (
            OSError
        ) as error:  # EMFILE, ENFILE, ENOBUFS: our failure, reported through the loop like any other
            self.loop.call_soon(self._refused, error.errno or errno.EMFILE)
            return
        target.open.add(self)
        sock.setblocking(False)
        code = sock.connect_ex((target.address, target.port))
        if code in {0, errno.EINPROGRESS}:
            self.loop.add_writer(sock, self._connected, sock)
        else:
            self.loop.call_soon(self._refused, code)

    def _refused(self, code: int) -> None:
        if self.requester is not None:  # else abandoned in the meantime
            self.fail(connect_loss(code))

    def _connected(self, sock: socket.socket) -> None:
        if self.requester is None:  # as above
            return
        self.loop.remove_writer(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(code)
            return
        self._timer.cancel()
        self.active = self.loop.time()
        self._timer = self.loop.call_later(self.target.idle_s, self._check_idle)
        self._stream = ByteStream(self.loop, sock, self)
        for data in self._pending:
            self._stream.write(data)
        self._pending.clear()
        if not self._stream.queued:
            self.drained()

    def _check_idle(self) -> None:
        """Check whether nothing passed for the idle time. One timer per connection, so that no request needs one."""
        if self._stream and self._stream.paused:  # we paused it ourselves
            self.active = self.loop.time()
        left = self.active + self.target.idle_s - self.loop.time()
        if left > _IN_TIME_S:
            self._timer = self.loop.call_later(left, self._check_idle)
        elif self.requester:
            self.fail(Loss.IDLE_TIMEOUT)
        else:
            self.target.idle.remove(self)
            self.stream_close()

    # The answer

    def received(self, data: bytes) -> bool:
        """See bytestream.Owner."""
        if self.requester is None:  # unsolicited bytes
            self._leave_pool()
            return False
        self.active = self.loop.time()
        try:
            return self._pass(data) if self._body else self._head(data)
        except Malformed:
            self.fail(Loss.MALFORMED)
            return False

    def lost(self, error: OSError | None) -> None:
        """See bytestream.Owner."""
        requester = self.requester
        if requester is None:
            self._leave_pool()
        elif isinstance(self._body, EndlessBody) and error is None:
            self.stream_close()
            requester.end_answer()
        else:
            self.fail(Loss.EOF if error is None else Loss.RESET)

    def _head(self, data: bytes) -> bool:
        requester = self.requester
        assert requester is not None  # noqa: S101  for mypy: received() has looked
        if self._held:
            data = self._held + data
            self._held = b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_LIMIT:
                raise Malformed("endless head")
            self._held = data
            return True
        response = requester.read_head(data[: end + 2])
        rest = data[end + 4 :]
        if response.status < 200:
            if response.status == 101:
                if not requester.switch(response, rest):
                    raise Malformed("101 without an Upgrade")
                self._body = EndlessBody()
                return False
            requester.interim(response)
            return self._head(rest) if rest else True
        if len(rest) == response.known_length:  # the usual case
            self._done(requester, response.keep)
            requester.answer(response, rest, done=True)
            return False
        self.reusable = response.keep
        body = body_of(response.framing, response.length, keep=requester.wants_payload)
        used = body.take(rest)
        self._body = (
            body  # set only now: if the body is malformed from the start, the client still gets a 502
        )
        part = (
            body.payload() if requester.wants_payload and response.framing is Framing.CHUNKED else rest[:used]
        )
        if body.done:
            self._done(requester, response.keep and used == len(rest))
        requester.answer(response, part, done=body.done)
        return not body.done

    def _pass(self, data: bytes) -> bool:
        requester, body = self.requester, self._body
        assert requester is not None  # noqa: S101  for mypy: received() has looked
        assert body is not None  # noqa: S101
        used = body.take(data)
        part = (
            body.payload() if requester.wants_payload and not isinstance(body, EndlessBody) else data[:used]
        )
        if body.done:
            self._done(requester, self.reusable and used == len(data))
        requester.more(part, done=body.done)
        return not body.done

    def _done(self, requester: Requester, keep: bool) -> None:  # noqa: FBT001  internal, on the hot path
        """Release the connection before the client gets the last bytes: its next request may come at once."""
        self.requester = None
        self._body = None
        if keep and self.target.live and requester.sent_all:
            self.target.idle.append(self)
        else:
            self.stream_close()

    def fail(self, loss: Loss) -> None:
        """Close the connection and report the loss of the request on it."""
        stage = Stage.CONNECTING if not self._stream else Stage.ANSWERING if self._body else Stage.WAITING
        requester = self.requester
        self.stream_close()
        if requester:
            requester.fail(stage, loss, self)

    def _leave_pool(self) -> None:
        if self in self.target.idle:
            self.target.idle.remove(self)
        self.stream_close()
