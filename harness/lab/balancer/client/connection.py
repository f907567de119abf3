"""Client connections: one request after another, each passed to a target; profiles with retries may try another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.balancer.bytestream import HIGH_WATER, ByteStream
from harness.lab.balancer.client.attempts import Attempts
from harness.lab.balancer.families.family import Meaning
from harness.lab.balancer.wire import (
    HEAD_LIMIT,
    Body,
    Framing,
    Malformed,
    RequestHead,
    ResponseHead,
    body_of,
    chunk,
    without,
)

if TYPE_CHECKING:
    import asyncio
    import socket

    from harness.lab.balancer.context import Context
    from harness.lab.balancer.families.family import Reply
    from harness.lab.balancer.profiles import Loss, Stage
    from harness.lab.balancer.upstream import Upstream

_IN_TIME_S = 0.001  # uvloop's timers are accurate to a millisecond


class ClientConnection:
    """One client connection."""

    __slots__ = (
        "_active",
        "_answered",
        "_begun",
        "_body",
        "_chunk",
        "_context",
        "_held",
        "_keep",
        "_passed",
        "_request",
        "_status",
        "_stream",
        "_suffix",
        "_timer",
        "_tunnel",
        "_upstream",
        "_way",
        "sent_all",
        "wants_payload",
    )  # fmt: skip

    def __init__(self, context: Context, sock: socket.socket, suffix: bytes, peer: tuple[str, int]) -> None:
        self._context = context
        self._way = Attempts(context, peer)
        self._status = self._passed = 0  # of the answer that has begun: its status, and bytes of its body
        self._suffix = suffix  # the fields added to each request, and the empty line
        self._request: RequestHead | None = None  # the one being answered
        self._body: Body | None = None  # of the request, while it is still arriving
        self._upstream: Upstream | None = None
        self._answered = False  # answered although the request's body is still arriving
        self._begun = False  # part of the answer was passed on
        self._keep = True  # the connection stays open after this answer
        self._tunnel = False  # the protocol has been switched: bytes pass both ways
        self._chunk = False  # the answer's body is passed on in chunks
        self._held = b""  # unparsed bytes: an incomplete head, or pipelined requests
        self.sent_all = True  # the whole request has arrived
        self.wants_payload = False  # the client (HTTP/1.0) cannot read chunks
        self._active = context.loop.time()
        self._stream = ByteStream(context.loop, sock, self)
        self._timer: asyncio.TimerHandle = context.loop.call_later(context.client_idle_s, self._check_idle)

    # From the client

    def received(self, data: bytes) -> bool:
        """See bytestream.Owner."""
        try:
            if self._request is None:
                return self._start(self._held + data if self._held else data)
            if self._body is not None:
                return self._upload(data)
            if self._tunnel and self._upstream:
                self._upstream.send(data)
                return False
        except Malformed:
            self._refuse(Meaning.BAD_REQUEST)
            return False
        self._held += data
        if len(self._held) > HIGH_WATER:
            self._stream.pause()
        return False

    def lost(self, error: OSError | None) -> None:  # noqa: ARG002  the reason makes no difference
        """See bytestream.Owner: the client left, so its request is abandoned (nginx logs it as 499, an ALB as 460)."""
        self._timer.cancel()
        if self._upstream and self._request:
            self._way.left(self._upstream)
        self._give_up()

    def drained(self) -> None:
        """See bytestream.Owner."""
        self._active = self._context.loop.time()
        if self._upstream:
            self._upstream.resume()

    def _start(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_LIMIT:
                raise Malformed("endless head")
            self._held = data
            return True
        self._held = b""  # so that a malformed head is not parsed again
        request, forward = self._context.heads.read_request(data[: end + 2])
        self._held = data[end + 4 :]
        self._request = request
        self._keep = request.keep
        self._begun = self._answered = self._chunk = False
        self.wants_payload = request.http10
        context = self._context
        numbered = request.traced or not context.heads.traces
        head = forward + (b"" if numbered else context.heads.trace()) + self._suffix
        if request.frame:
            head += self._first_of_body(*request.frame)
        self._way.begin(head, whole=self._body is None, bodiless=not request.frame)
        target = context.group.pick()
        if target is None:
            self._say(self._way.nobody())
        else:
            self._upstream = target.send(self, head)
        return self._body is not None

    def _first_of_body(self, framing: Framing, length: int) -> bytes:
        body = body_of(framing, length)
        used = body.take(self._held)
        part, self._held = self._held[:used], self._held[used:]
        self.sent_all = body.done
        self._body = None if body.done else body
        return part

    def _upload(self, data: bytes) -> bool:
        body = self._body
        assert body is not None  # noqa: S101  for mypy: received() has looked
        self._active = self._context.loop.time()
        used = body.take(data)
        if body.done:
            self._body, self.sent_all, self._held = None, True, data[used:]
        if self._upstream:
            self._upstream.send(data[:used])
            if self._upstream.congested:
                self._stream.pause()
        elif self._answered and body.done:
            self._next()
        return not body.done

    def resume_upload(self) -> None:
        """Continue reading: the target can take more."""
        if len(self._held) <= HIGH_WATER:
            self._stream.resume()

    # To the client

    def read_head(self, head: bytes) -> ResponseHead:
        """Parse a target's head for this client."""
        request = self._request
        assert request is not None  # noqa: S101  for mypy: there is no answer without a request
        return self._context.heads.read_response(head, bare=request.bare)

    def interim(self, response: ResponseHead) -> None:
        """Pass on a 1xx, except to an HTTP/1.0 client, which does not know it."""
        if not self.wants_payload:
            self._stream.write(response.forward + b"\r\n")

    def switch(self, response: ResponseHead, part: bytes) -> bool:
        """Pass on a 101, and from then on whatever comes from either side."""
        request = self._request
        if request is None or not request.upgrade:
            return False
        self._tunnel = self._begun = True
        self._keep = False  # it ends with the tunnel
        self._way.answered(response.status, len(part), self._upstream)
        self._status, self._passed = response.status, len(part)
        lines = b"Connection: Upgrade\r\nUpgrade: " + request.upgrade + b"\r\n\r\n"
        self._stream.write(response.forward + lines + part)
        if self._held and self._upstream:
            held, self._held = self._held, b""
            self._upstream.send(held)
        return True

    def answer(self, response: ResponseHead, part: bytes, *, done: bool) -> None:
        """Pass on the head of an answer and the part of its body that came with it."""
        self._way.answered(response.status, len(part), self._upstream)
        forward = response.forward
        if self._context.profile.times and self._upstream:
            took_s = self._context.loop.time() - self._upstream.begun
            forward += b"x-envoy-upstream-service-time: %d\r\n" % (took_s * 1000)
        if done and not self.wants_payload:  # the usual case
            self._stream.write(
                forward + self._context.heads.tail(keep=self._keep, dated=response.dated) + part
            )
            self._complete()
            return
        self._begun = True
        self._status, self._passed = response.status, len(part)
        if response.framing is Framing.CLOSE and not self.wants_payload:
            self._chunk = True
            forward += b"Transfer-Encoding: chunked\r\n"
            part = chunk(part)
        elif self.wants_payload and response.framing in {Framing.CHUNKED, Framing.CLOSE}:
            forward = without(forward, b"transfer-encoding")
            self._keep = False
        self._stream.write(forward + self._context.heads.tail(keep=self._keep, dated=response.dated) + part)
        self._after_write(done=done)

    def more(self, part: bytes, *, done: bool) -> None:
        """Pass on more of the body."""
        self._passed += len(part)
        self._stream.write(chunk(part) if self._chunk else part)
        self._after_write(done=done)

    def end_answer(self) -> None:
        """End a body whose end was the end of the target's connection."""
        if self._chunk:
            self._stream.write(b"0\r\n\r\n")
        self._complete()

    def fail(self, stage: Stage, loss: Loss, upstream: Upstream) -> None:
        """Ask another target if that is allowed; else answer with an error of our own, or cut the answer off."""
        self._upstream = None
        target, reply, silent = self._way.failed(stage, loss, upstream, self._status, self._passed)
        if target is not None:
            self._upstream = target.send(self, self._way.head)
        elif reply is None:
            self._cut()
        elif silent:
            self._end()
            self._stream.finish()
        else:
            self._say(reply)

    def _say(self, reply: Reply) -> None:
        bare = self._request is not None and self._request.bare
        self._begun = True
        self._keep = self._keep and not reply.closes
        end = self._context.heads.own_tail(keep=self._keep)
        self._stream.write(reply.head + end + (b"" if bare else reply.body))
        self._complete()

    def _refuse(self, why: Meaning) -> None:
        """Answer a faulty request, and close the connection."""
        self._give_up()
        if self._begun and self._request:
            self._cut()
            return
        self._body = None
        self._keep = False
        self._say(self._context.profile.replies[why])

    def _cut(self) -> None:
        """Close in the middle of an answer: by a reset if its body ends with the connection, as a FIN would end it."""
        self._end()
        if self.wants_payload:
            self._stream.abort()
        elif self._context.profile.cut_after_s:
            self._context.loop.call_later(self._context.profile.cut_after_s, self._finish_cut)
        else:
            self._finish_cut()

    def _finish_cut(self) -> None:
        self._stream.finish(clean=False)

    def _after_write(self, *, done: bool) -> None:
        if done:
            self._complete()
        elif self._stream.queued > HIGH_WATER and self._upstream:
            self._upstream.pause()

    def _complete(self) -> None:
        """Continue after an answer: the next request is read once this one's body has been."""
        self._upstream = None
        if not self._keep:
            self._end()
            self._stream.finish()
        elif self._body is not None:
            self._answered = True
            self._stream.resume()
        else:
            self._next()

    def _next(self) -> None:
        self._request = None
        self._begun = False
        self.sent_all = True
        self._active = self._context.loop.time()
        if self._held:  # through the loop, so that many pipelined requests do not recurse
            self._context.loop.call_soon(self._read_held)
        self._stream.resume()

    def _read_held(self) -> None:
        if self._request is None and self._held and not self._stream.closed:
            held, self._held = self._held, b""
            self.received(held)

    # The end

    def _check_idle(self) -> None:
        """Check whether the client was idle for too long. One timer serves the whole connection."""
        if (
            self._upstream and self._body is None and not self._stream.queued
        ):  # waiting for the target, which has its own timer
            self._active = self._context.loop.time()
        left = self._active + self._context.client_idle_s - self._context.loop.time()
        if left > _IN_TIME_S:
            self._timer = self._context.loop.call_later(left, self._check_idle)
        elif self._stream.queued:  # the client does not read
            self._end()
            self._stream.abort()
        elif self._request or self._held:  # the client does not send the rest
            self._refuse(Meaning.SLOW_REQUEST)
        else:
            self._end()
            self._stream.finish()

    def _end(self) -> None:
        self._timer.cancel()
        self._give_up()

    def _give_up(self) -> None:
        if self._upstream:
            self._upstream.stream_close()
            self._upstream = None
