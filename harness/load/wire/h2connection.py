"""An HTTP/2 connection by httpcore on a socket of ours: the network stream below it, and trailers, which it drops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpcore
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import Event, StreamReset, TrailersReceived
from h2.exceptions import InvalidBodyLengthError, ProtocolError

from harness.load import failures
from harness.load.failures import ERROR, FIN, PEER, US, Ending
from harness.load.wire.h2frames import Frames
from harness.load.wire.slot import SENDING, Slot
from harness.load.wire.sockets import BLOCKED
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

_READ = 64 * 1024
_PIECE = 64 * 1024


class PeerEndedError(Exception):
    """The server closed the connection in an orderly way in the middle of an exchange."""


class GoneAwayError(Exception):
    """The server has announced that it will not respond on this stream."""


class OversizedError(Exception):
    """A frame was longer than allowed."""


class UnsentError(Exception):
    """A request could not be written; `cause` says why."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(repr(cause))
        self.cause = cause


# Everything that an exchange can raise.
LOST = (
    PeerEndedError,
    GoneAwayError,
    OversizedError,
    UnsentError,
    OSError,
    httpcore.ProtocolError,
    ProtocolError,
)


class SocketStream(httpcore.AsyncNetworkStream):
    """An open socket as a network stream of httpcore. Counts bytes for the slot's hit, and handles GOAWAY itself."""

    def __init__(self, sock: Any, slot: Slot) -> None:
        self._sock = sock
        self._slot = slot
        self._fd: int = sock.fileno()
        self._frames = Frames()
        self._ahead = b""  # read before anyone asked for it
        self._ended: Exception | None = None
        self._closed = False
        self._number = -1  # of the newest request's stream
        self.bytes_out = 0

    def begin(self) -> None:
        """Prepare for the next request: its stream has the next odd number."""
        self._number += 2
        self.bytes_out = 0

    @property
    def closing(self) -> bool:
        """Whether no further request may be sent on this connection."""
        return bool(self._ended or self._frames.goaway or self._frames.oversized)

    def check_idle(self) -> bool:
        """Read what came while the connection was idle; return whether it has ended, or is about to."""
        while self._ended is None and self._fill():
            pass
        return self.closing

    # Neither call looks at its timeout: Slots.sweep checks timeouts.
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """Return the next bytes. Raises PeerEndedError, GoneAwayError, OversizedError or OSError."""
        while True:
            if self._ahead:
                data, self._ahead = self._ahead[:max_bytes], self._ahead[max_bytes:]
                return data
            if self._frames.oversized:
                raise OversizedError(f"a frame of {self._frames.oversized} bytes")
            gone = self._frames.goaway
            if gone is not None and (gone.last_stream < self._number or (self._ended and gone.code)):
                raise GoneAwayError(f"GOAWAY, last stream {gone.last_stream}, code {gone.code}")
            if self._ended is not None:
                raise self._ended
            if not self._fill():
                await self._ready(write=False)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Write all bytes. Raises UnsentError."""
        rest = memoryview(buffer)
        while rest:
            try:
                written = self._sock.send(rest[:_PIECE])
            except BLOCKED:
                before, self._slot.state = self._slot.state, SENDING
                await self._ready(write=True)
                self._slot.state = before
            except OSError as error:
                raise UnsentError(error) from error
            else:
                rest = rest[written:]
                self.bytes_out += written

    async def aclose(self) -> None:
        """Do nothing: the owner of the slot closes its connection and writes the row."""

    def get_extra_info(self, info: str) -> Any:
        """Return nothing about the socket."""
        del info

    def close(self) -> None:
        """Close the socket at once."""
        self._closed = True
        self.unwatch()
        asyncio.get_running_loop().remove_writer(self._fd)
        self._sock.close()

    def watch(self, ended: Callable[[], None]) -> None:
        """Call `ended` if the connection ends, or is about to, while it is idle."""

        def readable() -> None:
            if self.check_idle():
                self.unwatch()
                ended()

        asyncio.get_running_loop().add_reader(self._fd, readable)

    def unwatch(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._fd)

    def _fill(self) -> bool:
        """Read once; return False if nothing has come."""
        try:
            data = self._sock.recv(_READ)
        except BLOCKED:
            return False
        except OSError as error:
            self._ended = failures.unmask(error, self._sock) or error
            return True
        if not data:
            self._ended = PeerEndedError("end of stream")
            return True
        self._slot.bytes_in += len(data)
        self._ahead += self._frames.feed(data)
        return True

    async def _ready(self, *, write: bool) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def wake() -> None:
            if not done.done():
                done.set_result(None)

        add, remove = (
            (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
        )
        add(self._fd, wake)
        try:
            await done
        finally:
            if not self._closed:  # otherwise another connection may have this number by now
                remove(self._fd)


class Connection(httpcore.AsyncHTTP2Connection):
    """httpcore's connection that also keeps trailers, and rejects headers that RFC 9113 forbids."""

    CONFIG = H2Configuration(validate_inbound_headers=True)

    def __init__(self, origin: httpcore.Origin, stream: SocketStream) -> None:
        super().__init__(origin=origin, stream=stream)
        self.trailers: dict[bytes, bytes] = {}
        state: Any = self._h2_state
        take = state.receive_data

        def receive_data(data: bytes) -> list[Event]:
            events: list[Event] = take(data)
            for event in events:
                if isinstance(event, TrailersReceived):
                    self.trailers = {_bytes(name): _bytes(value) for name, value in event.headers}
            return events

        state.receive_data = receive_data

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send one request, once."""
        self.trailers = {}
        return await super().handle_async_request(request)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


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
