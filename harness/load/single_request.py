"""Send a single request outside the load, with the load's own code for connecting, sending and reading.

So a check before the load sees what the load will see: the same addresses, the same bytes, the same timeouts.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.eventloop import ready
from harness.load.wire.response import ResponseReader
from harness.load.wire.sockets import BLOCKED
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.dial import Dialler
    from harness.load.request import PreparedRequest
    from harness.load.wire.h2.response import StreamReader
    from harness.load.wire.h2.single import Exchange

_READ = 256 * 1024
_PIECE = 64 * 1024
_NAMED = re.compile(r"^\w+\((['\"])(.*)\1\)$")  # an exception's repr: only its text is shown


@dataclass(slots=True)
class Attempt:
    """The result of one request. `outcome` is None if only a connection was wanted, and it opened."""

    outcome: Outcome | None = None
    status: int = 0  # set once the head has come, even if the rest is lost
    pod: str = ""
    location: str = ""
    why: str = ""  # why it failed, in words
    ended: bool = False  # of a stream: its answer was complete at once


async def reach(dialler: Dialler, prepared: PreparedRequest) -> Attempt:
    """Open a connection as the load does, and close it again. Nothing is sent."""
    dialled = await dialler.open(prepared.origin)
    if dialled.sock is not None:
        dialled.sock.close()
    return Attempt(dialled.outcome, why=dialled.why)


async def send(dialler: Dialler, prepared: PreparedRequest, seq: int) -> Attempt:
    """Send the request once, on a new connection; its ids are made from `seq`."""
    dialled = await dialler.open(prepared.origin)
    if dialled.outcome is not None:
        return Attempt(dialled.outcome, why=dialled.why)
    plan, attempt = dialler.plan, Attempt()
    request = prepared.template % ((seq,) * prepared.places) if prepared.places else prepared.request
    exchange = partial(_stream, websocket=plan.websocket) if plan.stream else _http2 if plan.http2 else _http1
    try:
        async with asyncio.timeout(plan.timeout_ns / 1e9):
            await exchange(dialled.sock, prepared, request, plan.pod_headers, attempt)
    except TimeoutError:
        attempt.outcome = Outcome.READ_TIMEOUT_BODY if attempt.status else Outcome.READ_TIMEOUT_HEADERS
    return attempt


@dataclass(slots=True)
class Reply:
    """The result of one request over HTTP/2, with what it said. `body`: as much of it as was wanted."""

    attempt: Attempt
    reader: StreamReader | None = None


async def call(dialler: Dialler, prepared: PreparedRequest, most: int) -> Reply:
    """Send the request once over HTTP/2, on a new connection, and keep its answer. `most`: bytes of its body."""
    from harness.load.wire.h2 import single  # noqa: PLC0415  only HTTP/2 needs hpack

    dialled = await dialler.open(prepared.origin)
    attempt = Attempt(dialled.outcome, why=dialled.why)
    if dialled.outcome is not None:
        return Reply(attempt)
    ranks = {name.lower().encode("latin-1"): rank for rank, name in enumerate(dialler.plan.pod_headers)}
    exchange = single.Exchange(prepared, ranks, most)
    try:
        async with asyncio.timeout(dialler.plan.timeout_ns / 1e9):
            await _exchanged(dialled.sock, exchange, attempt)
    except TimeoutError:
        attempt.outcome = Outcome.READ_TIMEOUT_BODY if attempt.status else Outcome.READ_TIMEOUT_HEADERS
        attempt.why = "it does not answer in time"
    return Reply(attempt, exchange.reader)


async def _http1(
    sock: Any, prepared: PreparedRequest, request: bytes, pod_headers: tuple[str, ...], attempt: Attempt
) -> None:
    ranks = {name.lower().encode("latin-1"): rank for rank, name in enumerate(pod_headers)}
    reader = _LocationReader(ranks, head_request=prepared.method == "HEAD")
    # Write while reading: a server may respond before it has read the whole request.
    writing = asyncio.create_task(_write(sock, memoryview(request)))
    try:
        await _read(sock, reader, attempt)
    finally:
        attempt.status, attempt.pod, attempt.location = reader.status, reader.pod, reader.location
        writing.cancel()
        try:
            await asyncio.wait([writing])
        finally:  # Ctrl-C may end this wait
            reader.release()
            sock.close()


async def _http2(
    sock: Any, prepared: PreparedRequest, request: bytes, pod_headers: tuple[str, ...], attempt: Attempt
) -> None:
    from harness.load.wire.h2 import single  # noqa: PLC0415  only HTTP/2 needs hpack

    prepared = replace(prepared, request=request, template=b"", places=0)
    ranks = {name.lower().encode("latin-1"): rank for rank, name in enumerate(pod_headers)}
    await _exchanged(sock, single.Exchange(prepared, ranks), attempt)


async def _exchanged(sock: Any, exchange: Exchange, attempt: Attempt) -> None:
    """Carry out an exchange over HTTP/2, and close the connection."""
    try:
        while attempt.outcome is None:
            await _write(sock, memoryview(exchange.to_write()))
            data, error = await _piece(sock)
            attempt.outcome, attempt.why = exchange.take(data, error)
            await asyncio.sleep(0)  # let the timeout run even if a long body never blocks
    finally:
        attempt.status, attempt.pod, attempt.location = exchange.status, exchange.pod, exchange.location
        sock.close()


async def _stream(
    sock: Any,
    prepared: PreparedRequest,
    request: bytes,
    pod_headers: tuple[str, ...],
    attempt: Attempt,
    *,
    websocket: bool,
) -> None:
    """Open a stream, and leave it as soon as it is open."""
    del prepared
    from harness.load.streams.conversation import Conversation, request_for  # noqa: PLC0415  only streams need it
    from harness.load.streams.websocket import new_key  # noqa: PLC0415

    ranks = {name.lower().encode("latin-1"): rank for rank, name in enumerate(pod_headers)}
    key = new_key() if websocket else b""
    talk = Conversation(ranks, key)
    try:
        await _write(sock, memoryview(request_for(request, key, b"")))
        while attempt.outcome is None:
            data, error = await _piece(sock)
            if data:
                talk.feed(data)
            attempt.status, attempt.pod, attempt.ended = talk.status, talk.pod, talk.done
            if talk.fault:
                attempt.outcome, attempt.why = Outcome.PROTOCOL_ERROR, talk.fault
            elif talk.open or talk.done or (not data and error is None and talk.ended()):
                attempt.outcome = Outcome.RESPONSE
            elif not data:
                attempt.outcome = failures.lost(error, answered=bool(talk.status))
                attempt.why = failures.reason(error) if error else "the connection was closed"
    finally:
        talk.release()
        sock.close()


async def _piece(sock: Any) -> tuple[bytes, OSError | None]:
    """Return the next bytes; none at the end, with the error that it came with."""
    while True:
        try:
            return sock.recv(_READ), None
        except BLOCKED:
            await ready(sock, write=False)
        except OSError as caught:
            return b"", failures.unmask(caught, sock)


async def _write(sock: Any, rest: memoryview) -> None:
    while rest:
        try:
            rest = rest[sock.send(rest[:_PIECE]) :]
        except BLOCKED:
            await ready(sock, write=True)
        except OSError:
            return  # the reader sees how the connection ended, or a response that came anyway


async def _read(sock: Any, reader: _LocationReader, attempt: Attempt) -> None:
    answered = False
    while attempt.outcome is None:
        data, error = await _piece(sock)
        if data:
            answered = True
            reader.feed(data)
            await asyncio.sleep(0)  # let the timeout run even if a long body never blocks
        _judge(reader, data, error, attempt, answered=answered)


def _judge(
    reader: _LocationReader, data: bytes, error: OSError | None, attempt: Attempt, *, answered: bool
) -> None:
    """Decide whether the response has ended, and how."""
    if reader.fault:
        attempt.outcome, attempt.why = Outcome.PROTOCOL_ERROR, _NAMED.sub(r"\2", reader.fault)
    elif reader.done or (not data and error is None and reader.ended()):
        attempt.outcome = Outcome.RESPONSE
    elif not data:
        attempt.outcome = failures.lost(error, answered=answered)
        attempt.why = failures.reason(error) if error else "the connection was closed"


class _LocationReader(ResponseReader):
    """Reads the Location header as well."""

    __slots__ = ("location",)

    def __init__(self, pod_headers: Mapping[bytes, int], *, head_request: bool) -> None:
        self.location = ""
        super().__init__(pod_headers, head_request=head_request)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep Location, too."""
        if not self._head_seen and name.lower() == b"location":
            self.location = value.decode("latin-1")
        super().on_header(name, value)
