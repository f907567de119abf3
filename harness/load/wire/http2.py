"""HTTP/2 through httpx, with one client per connection and one request at a time on each: correct rather than fast.

Slots, pacing, connecting, limits and rows are the same as for HTTP/1.1. The transport below the httpx client is our
own, because httpx's pool sends a request again if the server refused it by GOAWAY. Here each request is sent once, and
its outcome follows from the type of the exception, never from its text.
"""

from __future__ import annotations

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
from h2.errors import ErrorCodes
from h2.events import StreamReset
from h2.exceptions import InvalidBodyLengthError, ProtocolError

from harness.load import failures
from harness.load.eventloop import report_failure
from harness.load.failures import ERROR, FIN, PEER, US, Ending
from harness.load.wire import grpc
from harness.load.wire.h2connection import (
    Connection,
    GoneAwayError,
    OversizedError,
    PeerEndedError,
    SocketStream,
    UnsentError,
)
from harness.load.wire.slot import IDLE, READING, WAITING, Slot
from harness.load.wire.sockets import Sockets
from harness.model import NEVER, LoadPlan, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from harness.load.request import Origin, PreparedRequest
    from harness.load.rows import HitRows
    from harness.load.wire.interface import Pacing, SlotOwner

# Headers about the connection, which HTTP/2 forbids.
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)

# Everything that an exchange can raise.
_LOST = (
    PeerEndedError,
    GoneAwayError,
    OversizedError,
    UnsentError,
    OSError,
    httpcore.ProtocolError,
    ProtocolError,
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
        if session.stream.check_idle():  # it ended while idle, which is no failure of this hit
            self._owner.close(slot, Ending(PEER, FIN), self.now())
            self._owner.begin(slot, slot.due)
            return
        slot.seq, self.seq = self.seq, self.seq + 1
        slot.first, slot.bytes_in, slot.answered = NEVER, 0, (0, "")
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
            async for _ in response.aiter_raw():
                pass
            await response.aclose()
        except _LOST as error:
            self._lost(slot, session, error)
            return
        now = self.now()
        kind = self._rows.kind(response.status_code, Outcome.RESPONSE, pod, prepared.index)
        wrong = grpc.fault_of(response.headers, session.transport.trailers)
        if wrong and not self._rows.failed(kind):
            self._owner.keep_sample(Outcome.GRPC_ERROR, wrong)
            kind = self._rows.kind(response.status_code, Outcome.GRPC_ERROR, pod, prepared.index)
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
        self.row(slot, self._rows.kind(status, outcome, pod, slot.prepared.index), now)
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
    except _LOST as error:
        return lost(error, answered=answered)[0], failures.reason(error)
    finally:
        session.stream.close()
    return Outcome.RESPONSE, ""


def lost(error: Exception, *, answered: bool) -> tuple[Outcome, Ending | None]:
    """Return the outcome of a failed hit and how its connection ended; None if only the hit's stream has ended."""
    if isinstance(error, GoneAwayError):
        return Outcome.H2_GOAWAY, Ending(PEER, FIN)
    if isinstance(error, UnsentError):
        return failures.unsent(error.cause), failures.closed(error.cause)
    if isinstance(error, (PeerEndedError, OSError)):
        fault = error if isinstance(error, OSError) else None
        return failures.lost(fault, answered=answered), failures.closed(fault)
    wrapped = error.args[0] if error.args and isinstance(error, httpcore.ProtocolError) else error
    return _breach(wrapped, answered=answered)


def _breach(cause: object, *, answered: bool) -> tuple[Outcome, Ending | None]:
    """Name what httpcore wraps in an error of its own, or lets through: an event, or an error of h2."""
    if isinstance(cause, StreamReset):
        if cause.error_code == ErrorCodes.REFUSED_STREAM:
            return Outcome.H2_REFUSED_STREAM, None
        return Outcome.H2_RESET_MID_RESPONSE if answered else Outcome.H2_RESET_BEFORE_RESPONSE, None
    if isinstance(cause, InvalidBodyLengthError):  # fewer bytes than Content-Length: truncated
        return Outcome.EOF_MID_RESPONSE, Ending(US, ERROR)
    return Outcome.PROTOCOL_ERROR, Ending(US, ERROR)


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
