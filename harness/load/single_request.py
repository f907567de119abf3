"""One request by itself: opened, sent and read by the very parts that the load is made of, and no part of it.

So whoever asks before a load meets what the load will meet: the same addresses in turn, the same bytes, the same bounds.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.eventloop import ready
from harness.load.wire.response import Reading
from harness.load.wire.sockets import BLOCKED
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.dial import Dialler
    from harness.load.request import Shot

_READ = 256 * 1024
_PIECE = 64 * 1024
_NAMED = re.compile(r"^\w+\((['\"])(.*)\1\)$")  # an exception's repr, of which people want the words


@dataclass(slots=True)
class Tried:
    """What became of one request. `outcome` is None where a connection was all that was wanted, and it opened."""

    outcome: Outcome | None = None
    status: int = 0  # as soon as the head has come, however the rest ends
    pod: str = ""
    location: str = ""
    why: str = ""  # it failed, in words


async def reach(dialler: Dialler, shot: Shot) -> Tried:
    """Open a connection as the load would, and close it again: nothing is sent."""
    dialled = await dialler.open(shot.origin)
    if dialled.sock is not None:
        dialled.sock.close()
    return Tried(dialled.outcome, why=dialled.why)


async def send(dialler: Dialler, shot: Shot, seq: int) -> Tried:
    """Send the request once, on a connection of its own; `seq` is what its ids are made of."""
    dialled = await dialler.open(shot.origin)
    if dialled.outcome is not None:
        return Tried(dialled.outcome, why=dialled.why)
    plan, tried = dialler.plan, Tried()
    request = shot.template % ((seq,) * shot.places) if shot.places else shot.request
    exchange = _http2 if plan.http2 else _http1
    try:
        async with asyncio.timeout(plan.timeout_ns / 1e9):
            await exchange(dialled.sock, shot, request, plan.pod_headers, tried)
    except TimeoutError:
        tried.outcome = Outcome.READ_TIMEOUT_BODY if tried.status else Outcome.READ_TIMEOUT_HEADERS
    return tried


async def _http1(sock: Any, shot: Shot, request: bytes, pod_headers: tuple[str, ...], tried: Tried) -> None:
    ranks = {name.lower().encode("latin-1"): rank for rank, name in enumerate(pod_headers)}
    reading = _Told(ranks, head_request=shot.method == "HEAD")
    # Beside the reading: a server that has had enough answers before it has read all.
    writing = asyncio.create_task(_write(sock, memoryview(request)))
    try:
        await _read(sock, reading, tried)
    finally:
        tried.status, tried.pod, tried.location = reading.status, reading.pod, reading.location
        writing.cancel()
        try:
            await asyncio.wait([writing])
        finally:  # a Ctrl-C ends this wait too
            reading.release()
            sock.close()


async def _http2(sock: Any, shot: Shot, request: bytes, pod_headers: tuple[str, ...], tried: Tried) -> None:
    from harness.load.wire import http2  # noqa: PLC0415  httpx is wanted here alone

    def head(status: int, headers: Mapping[str, str]) -> None:
        tried.status, tried.location = status, headers.get("location", "")
        tried.pod = next((headers[name] for name in pod_headers if name in headers), "")

    tried.outcome, tried.why = await http2.alone(sock, shot, request, head)


async def _write(sock: Any, rest: memoryview) -> None:
    while rest:
        try:
            rest = rest[sock.send(rest[:_PIECE]) :]
        except BLOCKED:
            await ready(sock, write=True)
        except OSError:
            return  # whoever reads will see how the connection has ended, or an answer that came all the same


async def _read(sock: Any, reading: _Told, tried: Tried) -> None:
    answered = False
    while tried.outcome is None:
        error: OSError | None = None
        try:
            data = sock.recv(_READ)
        except BLOCKED:
            await ready(sock, write=False)
            continue
        except OSError as caught:
            data, error = b"", failures.unmask(caught, sock)
        if data:
            answered = True
            reading.feed(data)
            await asyncio.sleep(0)  # a long body that never blocks: time has to go by for it too
        _look(reading, data, error, tried, answered=answered)


def _look(reading: _Told, data: bytes, error: OSError | None, tried: Tried, *, answered: bool) -> None:
    """Decide whether that was the end, and which."""
    if reading.fault:
        tried.outcome, tried.why = Outcome.PROTOCOL_ERROR, _NAMED.sub(r"\2", reading.fault)
    elif reading.done or (not data and error is None and reading.ended()):
        tried.outcome = Outcome.RESPONSE
    elif not data:
        tried.outcome = failures.lost(error, answered=answered)
        tried.why = failures.words(error) if error else "the connection was closed"


class _Told(Reading):
    """A response whose Location is wanted too."""

    __slots__ = ("location",)

    def __init__(self, pod_headers: Mapping[bytes, int], *, head_request: bool) -> None:
        self.location = ""
        super().__init__(pod_headers, head_request=head_request)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header more."""
        if not self._head_seen and name.lower() == b"location":
            self.location = value.decode("latin-1")
        super().on_header(name, value)
