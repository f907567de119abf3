"""Client connections: one request after the other, each passed to a target; a profile with retries may try another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.balancer.bytestream import HIGH_WATER, ByteStream
from harness.lab.balancer.families.family import Meaning
from harness.lab.balancer.profiles import (
    CLIENT_LEFT,
    CUT,
    ERROR_STATUS,
    NO_TARGET,
    Loss,
    Stage,
    asks_again,
    may_retry,
    meaning,
)
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
    from harness.lab.balancer.logs.lines import Try
    from harness.lab.balancer.upstream import Upstream, UpstreamTarget

_IN_TIME_S = 0.001  # uvloop's timers are accurate to a millisecond


class ClientConnection:
    """One client connection."""

    __slots__ = (
        "_active",
        "_answered",
        "_asked",
        "_began",
        "_begun",
        "_body",
        "_chunk",
        "_context",
        "_head",
        "_held",
        "_keep",
        "_passed",
        "_peer",
        "_request",
        "_status",
        "_stream",
        "_suffix",
        "_timer",
        "_tried",
        "_tries",
        "_turns",
        "_upstream",
        "sent_all",
        "wants_payload",
    )  # fmt: skip

    def __init__(
        self, context: Context, sock: socket.socket, suffix: bytes, peer: tuple[str, int] = ("", 0)
    ) -> None:
        self._context = context
        self._peer = peer
        self._asked = 0  # requests on this connection so far
        self._began = 0.0  # when this request arrived, on the loop's clock
        self._turns: tuple[Try, ...] = ()  # for the access log: the targets that failed this request
        self._status = self._passed = (
            0  # of the answer that is being passed on: its status, and the bytes of its body
        )
        self._suffix = suffix  # the fields added to each request, and the empty line
        self._request: RequestHead | None = None  # the one being answered
        self._head = b""  # as sent to the target, with the part of the body that arrived with it
        self._tries = 0  # how many targets it may still go to
        self._tried: tuple[UpstreamTarget, ...] = ()  # targets that failed this request
        self._body: Body | None = None  # of the request, while it is still arriving
        self._upstream: Upstream | None = None
        self._answered = False  # answered although the request's body is still arriving
        self._begun = False  # part of the answer was passed on
        self._keep = True  # the connection stays open after this answer
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
            left = self._context.profile.client_left
            self._context.losses.lost(self._head, left, CLIENT_LEFT, None, self._upstream)
            self._log(left, upstream=self._upstream, left=True)
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
        self._tried = self._turns = ()
        self._asked += 1
        self._began = self._context.loop.time()
        self.wants_payload = request.http10
        context = self._context
        numbered = request.traced or not context.heads.traces
        head = forward + (b"" if numbered else context.heads.trace()) + self._suffix
        if request.frame:
            head += self._first_of_body(*request.frame)
        self._head = head
        # nginx would buffer the whole body and could send it again
        self._tries = context.tries if self._body is None else 1
        target = context.group.pick()
        if target is None:
            reply = context.profile.replies[Meaning.NOBODY]
            context.losses.lost(head, reply.status, NO_TARGET)
            self._log(reply.status, Meaning.NOBODY, sent=len(reply.body))
            self._say(reply)
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

    def answer(self, response: ResponseHead, part: bytes, *, done: bool) -> None:
        """Pass on the head of an answer and the part of its body that came with it."""
        if response.status >= 400 or self._turns:
            self._of_note(response.status, len(part))
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
        context, profile = self._context, self._context.profile
        means = meaning(stage, loss)
        reply = profile.replies[means] if means else None
        silent = reply is not None and reply.first_only and self._asked > 1
        status = CUT if reply is None or silent else reply.status
        target = self._next_target(stage, loss, upstream)
        context.losses.lost(self._head, status, loss, stage, upstream, saved=target is not None)
        self._turns = (*self._turns, context.log.tried(upstream, reply.status if reply else self._status))
        if target is not None:
            self._upstream = target.send(self, self._head)
        elif reply is None:
            self._log(self._status, sent=self._passed, cut=True)
            self._cut()
        else:
            self._log(reply.status, means, sent=0 if silent else len(reply.body), silent=silent)
            if silent:
                self._end()
                self._stream.finish()
            else:
                self._say(reply)

    def _next_target(self, stage: Stage, loss: Loss, upstream: Upstream) -> UpstreamTarget | None:
        """Return the target to send the request to again, if any."""
        context, profile = self._context, self._context.profile
        unheard = (
            not upstream.heard and self.sent_all and self._request is not None and not self._request.frame
        )
        if unheard and asks_again(profile, self._head, stage, loss, reused=upstream.uses > 1):
            return upstream.target
        self._tries -= 1
        self._tried = (*self._tried, upstream.target)
        again = self._tries > 0 and may_retry(
            profile.retries, self._head, stage, loss, posts=context.retry_posts
        )
        return context.group.another(self._tried) if again else None

    def _of_note(self, status: int, sent: int) -> None:
        """Log an answer of a target that is an error, or that came at a second try only."""
        if status >= 500:
            self._context.losses.lost(self._head, status, ERROR_STATUS, Stage.WAITING, self._upstream)
        self._status = status
        self._log(status, upstream=self._upstream, sent=sent)

    def _log(
        self,
        status: int,
        means: Meaning | None = None,
        *,
        upstream: Upstream | None = None,
        sent: int = 0,
        cut: bool = False,
        silent: bool = False,
        left: bool = False,
    ) -> None:
        """Write this request into the access log. `upstream`: a target that was asked last and is not among those that failed."""
        log = self._context.log
        tries = (*self._turns, log.tried(upstream, status)) if upstream else self._turns
        log.ended(
            self._head, self._peer, self._began, status, sent, tries, means, cut=cut, silent=silent, left=left
        )

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
        """Close in the middle of an answer. If the body ends with the connection, only a reset shows that it is incomplete."""
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
