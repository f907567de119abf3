"""What a client may send on an HTTP/2 connection, and how much: streams, the peer's windows and settings. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from harness.load.wire.h2 import frames
from harness.load.wire.h2.frames import (
    CANCEL,
    DATA,
    END_STREAM,
    FIRST_WINDOW,
    FLOW_CONTROL_ERROR,
    HEAD,
    LARGEST_WINDOW,
    LAST_STREAM,
    PROTOCOL_ERROR,
    REFILL,
    SHORTEST_MAX_FRAME,
)

if TYPE_CHECKING:
    from harness.load.request import PreparedRequest
    from harness.load.wire.h2.requests import FramedRequest
    from harness.load.wire.h2.response import StreamReader

_CANCELLED = 256  # streams remembered that were ended early, on which frames may still be under way
_SPARE = 1 << 24  # numbers of streams that are left when a connection gets no more requests


class Holder(Protocol):
    """A hit in flight, as its connection sees it."""

    prepared: PreparedRequest
    reader: StreamReader | None
    bytes_in: int


class BreachError(Exception):
    """What the peer did is an error of the whole connection. Raised and caught within this package."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


class Sending:
    """The sending half of a connection. `out` is what is to be written.

    `inflight` holds hits by the numbers of their streams, four bytes each, as frames have them.
    """

    def __init__(self) -> None:
        self.inflight: dict[bytes, Holder] = {}
        self.next = 1  # the next request's stream
        self.out = [frames.opening()]
        self.taken = 0  # bytes of DATA since we last opened the connection's window
        self.last_stream: int | None = None  # what GOAWAY said, if it came: later streams were not processed
        self.retired = False  # we have decided to send nothing more on it
        self.max_streams = LAST_STREAM  # at a time
        self.window = FIRST_WINDOW  # how much we may send on the connection,
        self.first_window = FIRST_WINDOW  # and on a new stream
        self._max_frame = SHORTEST_MAX_FRAME
        self._bodies: dict[bytes, _Body] = {}  # what is left of bodies that wait for a window
        self._opened: dict[
            bytes, int
        ] = {}  # windows of streams on which all is sent: by how much the peer opened them
        self._cancelled: deque[bytes] = deque(maxlen=_CANCELLED)  # by us
        self._was_reset: deque[bytes] = deque(maxlen=_CANCELLED)  # by the peer

    @property
    def open_for_more(self) -> bool:
        """Whether more requests may be sent."""
        return self.last_stream is None and not self.retired and self.next < LAST_STREAM - _SPARE

    def open(self, holder: Holder, seq: int) -> int:
        """Put a request into `out`, as far as the peer's windows let it. Returns how many bytes it has in all."""
        stream, self.next = self.next, self.next + 2
        number = stream.to_bytes(4)
        self.inflight[number] = holder
        request: FramedRequest = holder.prepared.framed
        if request.short and request.content <= min(self.window, self.first_window):
            self.window -= request.content
            self.out.append(request.written(seq, number))
            return request.size
        head = request.head_frames(seq, stream, self._max_frame)
        self.out.append(head)
        if not request.content:
            return len(head)
        self._bodies[number] = _Body(memoryview(request.body_of(seq)), self.first_window)
        self._pump()
        return len(head) + request.content + HEAD * -(-request.content // self._max_frame)

    def unsent_of(self, number: bytes) -> int:
        """Return how many bytes of a request's body wait for a window."""
        body = self._bodies.get(number)
        return len(body.left) if body else 0

    def cancel(self, number: bytes, code: int = CANCEL) -> None:
        """Give up a stream. What still comes on it is ignored."""
        if self.inflight.pop(number, None) is not None:
            self._bodies.pop(number, None)
            self._cancelled.append(number)
            self.out.append(frames.reset(int.from_bytes(number), code))

    def upkeep(self) -> None:
        """Open the connection's window again, if much has been taken from it."""
        if self.taken >= REFILL:
            self.out.append(frames.window_update(0, self.taken))
            self.taken = 0

    def _pump(self) -> None:
        """Send as much of the waiting bodies as the windows let us."""
        for number, body in list(self._bodies.items()):
            while (most := min(self.window, body.window, self._max_frame)) > 0 and body.left:
                piece, body.left = body.left[:most], body.left[most:]
                self.window -= len(piece)
                body.window -= len(piece)
                end = 0 if body.left else END_STREAM
                self.out.append(frames.frame(DATA, end, int.from_bytes(number), bytes(piece)))
            if not body.left:
                del self._bodies[number]

    def _set(self, name: int, value: int) -> None:
        """Obey one of the peer's settings."""
        if name == frames.MAX_STREAMS:
            self.max_streams = value
        elif name == frames.INITIAL_WINDOW:
            for body in self._bodies.values():
                body.window += value - self.first_window
            if max([value, *(body.window for body in self._bodies.values())]) > LARGEST_WINDOW:
                raise BreachError(FLOW_CONTROL_ERROR, "an initial window that is too large")
            self.first_window = value
        elif name == frames.MAX_FRAME:
            if not SHORTEST_MAX_FRAME <= value <= frames.LONGEST_MAX_FRAME:
                raise BreachError(PROTOCOL_ERROR, "a largest frame that is not allowed")
            self._max_frame = value
        elif name == frames.ENABLE_PUSH and value:
            raise BreachError(PROTOCOL_ERROR, "a server that wants to be pushed to")

    def _open_connection(self, by: int) -> None:
        """Let the peer open the connection's window."""
        self.window += by
        if not by or self.window > LARGEST_WINDOW:
            code = FLOW_CONTROL_ERROR if by else PROTOCOL_ERROR
            raise BreachError(code, "WINDOW_UPDATE by too little or too much")
        self._pump()

    def _open_stream(self, number: bytes, by: int) -> int:
        """Let the peer open a stream's window; return the code of the error if it may not."""
        if not by:
            return PROTOCOL_ERROR
        body = self._bodies.get(number)
        if body is not None:
            body.window += by
            self._pump()
            return FLOW_CONTROL_ERROR if body.window > LARGEST_WINDOW else 0
        # All is sent, so the window is of no use any more. It may not grow too large for all that.
        if len(self._opened) > _CANCELLED:
            self._opened = {old: sum_ for old, sum_ in self._opened.items() if old in self.inflight}
        self._opened[number] = opened = self._opened.get(number, 0) + by
        sent: int = self.inflight[number].prepared.framed.content
        return FLOW_CONTROL_ERROR if self.first_window - sent + opened > LARGEST_WINDOW else 0


class _Body:
    """What is left of a request's body, and how much of it its stream's window lets us send."""

    __slots__ = ("left", "window")

    def __init__(self, left: memoryview, window: int) -> None:
        self.left = left
        self.window = window
