"""What one connection says, from the request to its end: the head of the answer, then messages. Sans-IO.

An answer that opens no stream (a 502, a 404) is read to its end, as any other answer of the load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load.streams import websocket
from harness.load.streams.eventsource import EventStream, LineStream, TooLongError
from harness.load.streams.websocket import Frames
from harness.load.wire import beginning, heads
from harness.load.wire.response import MAX_HEAD, ResponseReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.answers import Said

SWITCHED = 101
_END = b"\r\n\r\n"
_ACCEPT = b"\r\nAccept: */*\r\n"
_ACCEPT_EVENTS = b"\r\nAccept: text/event-stream, */*\r\n"


def request_for(request: bytes, key: bytes, last_id: bytes) -> bytes:
    """Make the request that opens a stream from the plain one. `key`: of a WebSocket handshake, b"" for none.

    `last_id`: what the last event before this connection was, b"" if nothing is known.
    """
    if key:
        more = (
            b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + key
        )
        return request.replace(_END, more + _END, 1)
    more = b"\r\nCache-Control: no-cache" + (b"\r\nLast-Event-ID: " + last_id if last_id else b"")
    return request.replace(_ACCEPT, _ACCEPT_EVENTS, 1).replace(_END, more + _END, 1)


class _BodyReader(ResponseReader):
    """Hands on the body of an answer that is expected to stay open."""

    __slots__ = ("pieces",)

    def __init__(self, pod_headers: Mapping[bytes, int]) -> None:
        self.pieces: list[bytes] = []
        super().__init__(pod_headers)

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body until it is taken."""
        self.pieces.append(piece)


class Conversation:
    """One connection. Call `feed` with what comes and `ended` when the stream has ended in an orderly way.

    `status` is set once the head has come; `open` once a stream is open, `done` when the answer is complete. `code` is
    that of a close frame, `fault` what breaks the protocol.
    """

    __slots__ = (
        "_head",
        "_key",
        "_last_id",
        "_pod_headers",
        "_reader",
        "_seen",
        "done",
        "fault",
        "feed_",
        "pod",
        "status",
    )

    def __init__(self, pod_headers: Mapping[bytes, int], key: bytes, last_id: bytes = b"") -> None:
        self._pod_headers = pod_headers
        self._key = key
        self._last_id = last_id
        self._head = b""  # of a handshake, until it has ended
        self._reader: _BodyReader | None = None if key else _BodyReader(pod_headers)
        self._seen = 0
        self.feed_: Frames | EventStream | LineStream | None = None
        self.status = 0
        self.pod = ""
        self.done = False
        self.fault = ""

    @property
    def open(self) -> bool:
        """Whether a stream is open, or was."""
        return self.feed_ is not None

    @property
    def kind(self) -> str:
        """websocket, sse or chunked; "" until it is known."""
        return self.feed_.kind if self.feed_ is not None else ""

    @property
    def code(self) -> int:
        """The code of the close frame that came; 0 if none has."""
        return self.feed_.code if isinstance(self.feed_, Frames) else 0

    def feed(self, data: bytes) -> list[int]:
        """Take bytes, and return the number of each message in them, UNNUMBERED where it has none."""
        self._seen += len(data)
        if isinstance(self.feed_, Frames):
            return self._frames(data)
        if self._reader is None:
            return self._handshake(data)
        reader = self._reader
        reader.feed(data)
        if not self.status and reader.status:
            self.status, self.pod = reader.status, reader.pod
        self.fault = self.fault or reader.fault
        self.done = reader.done
        pieces, reader.pieces = reader.pieces, []
        if self.feed_ is None and 200 <= self.status < 300 and not self._key:
            self.feed_ = self._body_of(reader.content_type)
        if isinstance(self.feed_, EventStream | LineStream):
            try:
                return [number for piece in pieces for number in self.feed_.take(piece)]
            except TooLongError as error:
                self.fault = str(error)
        return []

    def ended(self) -> bool:
        """Return whether the answer is complete, now that its connection has ended in an orderly way."""
        if self._reader is not None:
            self.done = self._reader.ended()
        return self.done

    @property
    def until_close(self) -> bool:
        """Whether only the end of the connection marked the end of the answer."""
        return self._reader is not None and self._reader.until_close

    def said(self) -> Said:
        """Return what the answer said, as far as it came."""
        if self._reader is not None:
            return self._reader.said()
        return beginning.said(self.status, self._head, self._seen, bodiless=False, done=self.done)

    @property
    def begin(self) -> bytes:
        """Bytes that identify an answer."""
        return self._reader.begin if self._reader is not None else self._head

    def release(self) -> None:
        """Break the reference cycle of parser and reader."""
        if self._reader is not None:
            self._reader.release()

    def _handshake(self, data: bytes) -> list[int]:
        self._head += data
        end = self._head.find(_END)
        if end < 0:
            if len(self._head) > MAX_HEAD:
                self.fault = f"the head does not end within {MAX_HEAD} bytes"
            return []
        if not self._head.startswith(b"HTTP/1.1 101"):  # no stream: read on as any answer
            received, self._head = self._head, b""
            self._seen -= len(received)
            self._reader = _BodyReader(self._pod_headers)
            return self.feed(received)
        rest, self._head = self._head[end + 4 :], self._head[: end + 4]
        headers = beginning.said(SWITCHED, self._head, len(self._head), bodiless=True, done=False).headers
        self.status, self.pod = SWITCHED, self._named(headers)
        self.fault = heads.breach(self._head) or websocket.refusal(self._key, headers)
        if self.fault:
            return []
        self.feed_ = Frames()
        return self._frames(rest) if rest else []

    def _frames(self, data: bytes) -> list[int]:
        frames = self.feed_
        assert isinstance(frames, Frames)  # noqa: S101  for mypy: feed has looked
        numbers = frames.take(data)
        self.fault = frames.fault
        return numbers

    def _named(self, headers: object) -> str:
        ranked = [
            (self._pod_headers[name.encode("latin-1", "replace")], value)
            for name, value in headers  # type: ignore[attr-defined]
            if name.encode("latin-1", "replace") in self._pod_headers
        ]
        return min(ranked)[1][:253] if ranked else ""

    def _body_of(self, content_type: str) -> EventStream | LineStream:
        events = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        return EventStream(self._last_id) if events else LineStream()
