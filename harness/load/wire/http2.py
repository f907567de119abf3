"""HTTP/2 through httpx, one client per connection, one request at a time on each: correct before fast.

Slots, pacing, dialling, limits and rows are those of HTTP/1.1; this module is the wire under them. The transport below the
client is our own, for httpx' pool would send a request again that a server's GOAWAY has refused: here each is sent once,
and what became of it is told by the type of what was raised, never by its text.
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
from harness.load.eventloop import raise_in_loop
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

# What HTTP/1.1 says of a connection, HTTP/2 does not say at all.
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)

# All that an exchange can end with, but an answer.
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
    """httpx' way to the network: this connection, and never another one."""

    def __init__(self, stream: SocketStream, origin: Origin) -> None:
        scheme = b"https" if origin.tls else b"http"
        self._origin = httpcore.Origin(scheme, origin.host.encode(), origin.port)
        self._connection = Connection(self._origin, stream)

    @property
    def trailers(self) -> Mapping[bytes, bytes]:
        """What came behind the body of the newest answer."""
        return self._connection.trailers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, once."""
        origin = self._origin
        answer = await self._connection.handle_async_request(
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
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class Session:
    """What lies under a slot: its connection, and the client that owns it."""

    def __init__(self, sock: Any, slot: Slot, origin: Origin) -> None:
        self.stream = SocketStream(sock, slot)
        self.transport = OneConnection(self.stream, origin)
        self.client = httpx.AsyncClient(
            transport=self.transport,
            timeout=None,  # noqa: S113  the sweep keeps time
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self.exchange: asyncio.Task[None] | None = None


class Http2Wire(Sockets):
    """The hits of one worker's slots over HTTP/2: the same wire as http1.Wire to whoever leads the slots' lives."""

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
        """Call what is watched: commands, the lag's timer, the pacer's."""
        for number, _ in self._epoll.poll(0):
            self._watched[number]()

    def attach(self, slot: Slot, sock: Any) -> None:
        """Put an open connection under a slot."""
        if slot.origin is None:
            raise AssertionError("a connection to nowhere")
        slot.sock, slot.fd, slot.hits = sock, sock.fileno(), 0
        self._sessions[slot.index] = Session(sock, slot, slot.origin)

    def detach(self, slot: Slot) -> None:
        """Close the slot's connection, whatever is under way on it."""
        session = self._sessions.pop(slot.index)
        if session.exchange is not None and session.exchange is not asyncio.current_task():
            session.exchange.cancel()
        self._out[slot.index] = session.stream.bytes_out
        session.stream.close()
        slot.sock, slot.fd = None, -1

    def send(self, slot: Slot) -> None:
        """Send the slot's request: the one place where a hit is sent."""
        session = self._sessions[slot.index]
        session.stream.rest()
        if session.stream.check_idle():  # it has ended at rest, which is none of this hit's business
            self._owner.close(slot, Ending(PEER, FIN), self.now())
            self._owner.begin(slot, slot.due)
            return
        slot.seq, self.seq = self.seq, self.seq + 1
        slot.first, slot.bytes_in, slot.answered = NEVER, 0, (0, "")
        slot.state = WAITING
        session.stream.begin()
        slot.sent = self.now()
        session.exchange = asyncio.get_running_loop().create_task(self._exchange(slot, session))
        session.exchange.add_done_callback(raise_in_loop)

    async def _exchange(self, slot: Slot, session: Session) -> None:
        prepared = slot.prepared
        whole = prepared.template % ((slot.seq,) * prepared.places) if prepared.places else prepared.request
        try:
            answer = await session.client.send(_request(whole, prepared.origin), stream=True)
            slot.first = self.now()
            slot.state = READING
            pod = next((answer.headers[name] for name in self._pod_headers if name in answer.headers), "")[
                :253
            ]
            slot.answered = answer.status_code, pod
            async for _ in answer.aiter_raw():
                pass
            await answer.aclose()
        except _LOST as error:
            self._lost(slot, session, error)
            return
        now = self.now()
        kind = self._rows.kind(answer.status_code, Outcome.RESPONSE, pod, prepared.index)
        wrong = grpc.fault_of(answer.headers, session.transport.trailers)
        if wrong and not self._rows.failed(kind):
            self._owner.keep_sample(Outcome.GRPC_ERROR, wrong)
            kind = self._rows.kind(answer.status_code, Outcome.GRPC_ERROR, pod, prepared.index)
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
        ):  # the server has asked for the connection's end, as HTTP/1.1 does in a header
            self._owner.close(slot, Ending(US, FIN), now)
        slot.first, slot.bytes_in = NEVER, 0
        self._owner.hit_done(slot, now, failed=failed)
        if slot.state == IDLE and self._sessions.get(slot.index) is session:
            session.stream.watch(lambda: self._owner.close(slot, Ending(PEER, FIN), self.now()))

    def row(self, slot: Slot, kind: int, done_ns: int) -> None:
        """Write the row of the slot's hit. Bytes are those of all frames that came and went during it."""
        session = self._sessions.get(slot.index)
        out = session.stream.bytes_out if session else self._out.get(slot.index, 0)
        self._rows.add(
            slot.seq, slot.ident, slot.hits, slot.due, slot.sent, slot.first, done_ns, slot.bytes_in,
            0 if slot.sent == NEVER else out, kind,
        )  # fmt: skip


async def send_single(
    sock: Any, prepared: PreparedRequest, request: bytes, head: Callable[[int, Mapping[str, str]], None]
) -> tuple[Outcome, str]:
    """Send one request, the only one of its connection, and close that; `head` is told status and headers.

    Returns how it ended and, where it failed, a text for people.
    """
    session = Session(sock, Slot(0, prepared), prepared.origin)
    session.stream.begin()
    answered = False
    try:
        answer = await session.client.send(_request(request, prepared.origin), stream=True)
        answered = True
        head(answer.status_code, answer.headers)
        async for _ in answer.aiter_raw():
            pass
        await answer.aclose()
    except _LOST as error:
        return lost(error, answered=answered)[0], failures.words(error)
    finally:
        session.stream.close()
    return Outcome.RESPONSE, ""


def lost(error: Exception, *, answered: bool) -> tuple[Outcome, Ending | None]:
    """Name a hit that failed, and the end of its connection: None where it lives on, as only the hit's stream has ended."""
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
    if isinstance(cause, InvalidBodyLengthError):  # fewer bytes than the head had said: cut off
        return Outcome.EOF_MID_RESPONSE, Ending(US, ERROR)
    return Outcome.PROTOCOL_ERROR, Ending(US, ERROR)


def _request(whole: bytes, origin: Origin) -> httpx.Request:
    """Make a request of the bytes that HTTP/1.1 would send: the same path, headers, ids and body."""
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
