"""HTTP/2 through httpx, with one client per connection and one request at a time on each: correct rather than fast.

Slots, pacing, connecting, limits and rows are the same as for HTTP/1.1. The transport below the httpx client is our
own, because httpx's pool sends a request again if the server refused it by GOAWAY. Here each request is sent once, and
its outcome follows from the type of the exception, never from its text.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from harness.load import failures
from harness.load.eventloop import report_failure
from harness.load.failures import FIN, PEER, US, Ending
from harness.load.wire import grpc
from harness.load.wire.beginning import Heard
from harness.load.wire.h2connection import LOST, Connection, SocketStream, lost
from harness.load.wire.slot import IDLE, READING, WAITING, Slot
from harness.load.wire.sockets import Sockets
from harness.model import NEVER, LoadPlan, Outcome
from harness.recording.answers import NONE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from harness.load.request import Origin, PreparedRequest
    from harness.load.rows.writing import HitRows
    from harness.load.wire.interface import Pacing, SlotOwner

# Headers about the connection, which HTTP/2 forbids.
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)


class OneConnection(httpx.AsyncBaseTransport):
    """A transport for httpx that uses this connection and never opens another."""

    def __init__(self, stream: SocketStream, origin: Origin) -> None:
        scheme = b"https" if origin.tls else b"http"
        self._origin = httpcore.Origin(scheme, origin.host.encode(), origin.port)
        self._connection = Connection(self._origin, stream)

    @property
    def trailers(self) -> Mapping[bytes, bytes]:
        """The trailers of the newest response."""
        return self._connection.trailers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, once."""
        origin = self._origin
        response = await self._connection.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=origin.scheme,
                    host=origin.host,
                    port=origin.port,
                    target=request.extensions["path"],
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response.stream))


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class Session:
    """A slot's connection, and the httpx client that uses it."""

    def __init__(self, sock: Any, slot: Slot, origin: Origin) -> None:
        self.stream = SocketStream(sock, slot)
        self.transport = OneConnection(self.stream, origin)
        self.client = httpx.AsyncClient(
            transport=self.transport,
            timeout=None,  # noqa: S113  Slots.sweep checks timeouts
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self.exchange: asyncio.Task[None] | None = None


class Http2Wire(Sockets):
    """Sends the hits of one worker's slots over HTTP/2 (see Wire)."""

    def __init__(
        self, owner: SlotOwner, rows: HitRows, anchor_ns: int, plan: LoadPlan, pacing: Pacing
    ) -> None:
        super().__init__(anchor_ns)
        del pacing  # every hit takes the slow path here, and the event loop is never kept waiting
        self._owner = owner
        self._rows = rows
        self._pod_headers = tuple(plan.pod_headers)
        self._sessions: dict[int, Session] = {}
        self._out: dict[int, int] = {}

    def ready(self) -> None:
        """Call what is watched: commands, and the timers for lag and due hits."""
        for number, _ in self._epoll.poll(0):
            self._watched[number]()

    def attach(self, slot: Slot, sock: Any) -> None:
        """Give the slot this open connection."""
        if slot.origin is None:
            raise AssertionError("a connection without an origin")
        slot.sock, slot.fd, slot.hits = sock, sock.fileno(), 0
        self._sessions[slot.index] = Session(sock, slot, slot.origin)

    def detach(self, slot: Slot) -> None:
        """Close the slot's connection, whatever is in progress on it."""
        session = self._sessions.pop(slot.index)
        if session.exchange is not None and session.exchange is not asyncio.current_task():
            session.exchange.cancel()
        self._out[slot.index] = session.stream.bytes_out
        session.stream.close()
        slot.sock, slot.fd = None, -1

    def send(self, slot: Slot) -> None:
        """Send the slot's request: every hit is sent here, once."""
        session = self._sessions[slot.index]
        session.stream.unwatch()
        if session.stream.check_idle():  # it ended while idle: not a failure of this hit
            self._owner.close(slot, Ending(PEER, FIN), self.now())
            self._owner.begin(slot, slot.due)
            return
        slot.seq, self.seq = self.seq, self.seq + 1
        slot.first, slot.bytes_in, slot.answered, slot.heard = NEVER, 0, (0, ""), None
        slot.state = WAITING
        session.stream.begin()
        slot.sent = self.now()
        session.exchange = asyncio.get_running_loop().create_task(self._exchange(slot, session))
        session.exchange.add_done_callback(report_failure)

    async def _exchange(self, slot: Slot, session: Session) -> None:
        prepared = slot.prepared
        whole = prepared.template % ((slot.seq,) * prepared.places) if prepared.places else prepared.request
        try:
            response = await session.client.send(_request(whole, prepared.origin), stream=True)
            slot.first = self.now()
            slot.state = READING
            pod = next(
                (response.headers[name] for name in self._pod_headers if name in response.headers), ""
            )[:253]
            slot.answered = response.status_code, pod
            slot.heard = heard = Heard(response.status_code, response.headers.multi_items())
            async for piece in response.aiter_raw():
                heard.take(piece)
            await response.aclose()
        except LOST as error:
            self._lost(slot, session, error)
            return
        now, status = self.now(), response.status_code
        kind = self._rows.kind(status, Outcome.RESPONSE, pod, prepared.index)
        wrong = grpc.fault_of(response.headers, session.transport.trailers)
        heard.ended(session.transport.trailers)
        if self._rows.failed(kind):
            kind = self._rows.kind(status, Outcome.RESPONSE, pod, prepared.index, answer=self.answer(slot))
        elif wrong:
            self._owner.keep_sample(Outcome.GRPC_ERROR, wrong)
            kind = self._rows.kind(status, Outcome.GRPC_ERROR, pod, prepared.index, answer=self.answer(slot))
        elif self._rows.answers.looks:
            self._rows.answers.good(
                prepared, slot.seq, heard.raw(), partial(heard.said, closes=session.stream.closing)
            )
        self.row(slot, kind, now)
        self._go_on(slot, session, now, failed=self._rows.failed(kind))

    def _lost(self, slot: Slot, session: Session, error: Exception) -> None:
        outcome, ending = lost(error, answered=slot.first != NEVER)
        now = self.now()
        if ending is not None:
            self._owner.hit_failed(slot, outcome, ending, now, error)
            return
        self._owner.keep_sample(outcome, error)
        status, pod = slot.answered
        kind = self._rows.kind(status, outcome, pod, slot.prepared.index, answer=self.answer(slot))
        self.row(slot, kind, now)
        self._go_on(slot, session, now, failed=True)

    def _go_on(self, slot: Slot, session: Session, now: int, *, failed: bool) -> None:
        slot.hits += 1
        session.exchange = None
        if (
            session.stream.closing
        ):  # the server has asked to close the connection, as HTTP/1.1 does in a header
            self._owner.close(slot, Ending(US, FIN), now)
        slot.first, slot.bytes_in = NEVER, 0
        self._owner.hit_done(slot, now, failed=failed)
        if slot.state == IDLE and self._sessions.get(slot.index) is session:
            session.stream.watch(lambda: self._owner.close(slot, Ending(PEER, FIN), self.now()))

    def answer(self, slot: Slot) -> int:
        """Keep what the slot's failed answer said, and return its index; NONE if its head did not come."""
        heard, session = slot.heard, self._sessions.get(slot.index)
        if heard is None:
            return NONE
        closes = session is not None and session.stream.closing
        return self._rows.answers.failed(
            slot.prepared,
            slot.seq,
            heard.status,
            heard.grpc(),
            heard.raw(),
            partial(heard.said, closes=closes),
        )

    def row(self, slot: Slot, kind: int, done_ns: int) -> None:
        """Write the row of the slot's hit. Its bytes are those of all frames sent and received during it."""
        session = self._sessions.get(slot.index)
        out = session.stream.bytes_out if session else self._out.get(slot.index, 0)
        self._rows.add(
            slot.seq, slot.ident, slot.hits, slot.due, slot.sent, slot.first, done_ns, slot.bytes_in,
            0 if slot.sent == NEVER else out, kind,
        )  # fmt: skip


async def send_single(
    sock: Any, prepared: PreparedRequest, request: bytes, head: Callable[[int, Mapping[str, str]], None]
) -> tuple[Outcome, str]:
    """Send a single request on this connection, and close it; `head` is called with status and headers.

    Returns the outcome and, if it failed, why in words.
    """
    session = Session(sock, Slot(0, prepared), prepared.origin)
    session.stream.begin()
    answered = False
    try:
        response = await session.client.send(_request(request, prepared.origin), stream=True)
        answered = True
        head(response.status_code, response.headers)
        async for _ in response.aiter_raw():
            pass
        await response.aclose()
    except LOST as error:
        return lost(error, answered=answered)[0], failures.reason(error)
    finally:
        session.stream.close()
    return Outcome.RESPONSE, ""


def _request(whole: bytes, origin: Origin) -> httpx.Request:
    """Build the request from the bytes that HTTP/1.1 would send: the same path, headers, ids and body."""
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.split(b" ")
    pairs = [line.split(b": ", 1) for line in lines]
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return httpx.Request(
        method.decode(),
        f"{'https' if origin.tls else 'http'}://{host}:{origin.port}/",
        headers=[(name, value) for name, value in pairs if name.lower() not in _OF_A_CONNECTION],
        content=body or None,
        extensions={"path": path},
    )
