"""The state of one HTTP/2 connection (RFC 9113), seen from the client: what came, and what became of the hits. Pure.

`feed` takes bytes and returns what became of the hits in flight. What is owed to the peer (acknowledgements, windows)
is put into `out`. A breach of the protocol by the peer sets `fault`, and never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.load.wire.h2 import frames
from harness.load.wire.h2.blocks import MAX_BLOCK, Blocks, CompressionError
from harness.load.wire.h2.frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEAD,
    HEADERS,
    LARGEST_WINDOW,
    LAST_STREAM,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFILL,
    RST_STREAM,
    SETTINGS,
    SHORTEST_MAX_FRAME,
    STREAM_CLOSED,
    WINDOW_UPDATE,
)
from harness.load.wire.h2.response import StreamReader
from harness.load.wire.h2.sending import BreachError, Sending

if TYPE_CHECKING:
    from harness.load.wire.h2.sending import Holder

_CONTINUATIONS = 256  # frames of one block: a flood of empty ones would be no block longer than allowed
_CONNECTION = bytes(4)  # the number that stands for no stream
_OF_STREAMS = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION})
_OF_CONNECTIONS = frozenset({SETTINGS, PING, GOAWAY})
_LENGTHS = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
BEGUN, ENDED = -1, -2


class News(NamedTuple):
    """What became of a hit. `what`: BEGUN (its head has come), ENDED (its reader says how), or the code of a reset."""

    number: bytes
    holder: Holder
    what: int


class Connection(Sending):
    """One connection."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()
        self._blocks = blocks
        self.fault = ""
        self.gone_code = 0  # of GOAWAY
        self._rest = b""  # the beginning of a frame
        self._block: tuple[bytes, int, list[bytes]] | None = None  # unfinished: its stream, flags and parts
        self._settled = False  # the peer's settings have come
        self._news: list[News] = []

    @property
    def quick(self) -> bool:
        """Whether the next bytes begin a frame, and nothing is going on but whole requests and responses."""
        halves = self._rest or self._bodies or self._block or self.fault or not self._settled
        return self.open_for_more and not halves and not any(hit.reader for hit in self.inflight.values())

    def feed(self, data: bytes) -> list[News]:
        """Take bytes, and return what became of hits, in order."""
        self._news = []
        try:
            self._frames(self._rest + data if self._rest else data)
        except BreachError as error:
            self.fault = str(error)
            self.out.append(frames.goaway(error.code))
        return self._news

    def _frames(self, data: bytes) -> None:
        at, end = 0, len(data)
        while end - at >= HEAD:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if length > SHORTEST_MAX_FRAME:
                raise BreachError(FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            after = at + HEAD + length
            if after > end:
                break
            kind, flags, number = data[at + 3], data[at + 4], data[at + 5 : at + HEAD]
            if number[0] & 0x80:  # a reserved bit, to be ignored
                number = bytes([number[0] & 0x7F]) + number[1:]
            self._check(kind, flags, number, length)
            payload = data[at + HEAD : after]
            if number == _CONNECTION:
                self._on_connection(kind, flags, payload)
            else:
                self._on_stream(kind, flags, number, payload)
            at = after
        self._rest = data[at:]

    def _check(self, kind: int, flags: int, number: bytes, length: int) -> None:
        if not self._settled and (kind != SETTINGS or flags & ACK):
            raise BreachError(PROTOCOL_ERROR, "a server that does not begin with its settings")
        if self._block is not None and (kind != CONTINUATION or number != self._block[0]):
            raise BreachError(PROTOCOL_ERROR, "a header block with another frame in it")
        if length != _LENGTHS.get(kind, length):
            raise BreachError(FRAME_SIZE_ERROR, f"a frame of type {kind} with {length} bytes")
        if kind == PUSH_PROMISE:
            raise BreachError(PROTOCOL_ERROR, "PUSH_PROMISE, which our settings forbid")
        if kind in (_OF_STREAMS if number == _CONNECTION else _OF_CONNECTIONS):
            raise BreachError(PROTOCOL_ERROR, f"a frame of type {kind} on stream {int.from_bytes(number)}")

    def _on_connection(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SETTINGS:
            self._settings(flags, payload)
        elif kind == PING and not flags & ACK:
            self.out.append(frames.frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._goaway(payload)
        elif kind == WINDOW_UPDATE:
            self._open_connection(int.from_bytes(payload) & LARGEST_WINDOW)

    def _on_stream(self, kind: int, flags: int, number: bytes, payload: bytes) -> None:
        if (holder := self.inflight.get(number)) is not None:
            holder.bytes_in += HEAD + len(payload)
        if kind == DATA:
            self._data(flags, number, payload)
        elif kind == HEADERS:
            self._headers(flags, number, payload)
        elif kind == CONTINUATION:
            self._continuation(flags, number, payload)
        elif kind == WINDOW_UPDATE:
            self._window_update(number, int.from_bytes(payload) & LARGEST_WINDOW)
        elif kind == RST_STREAM:
            self._reset(number, int.from_bytes(payload))

    # --- responses ----------------------------------------------------------------------------------------

    def _data(self, flags: int, number: bytes, payload: bytes) -> None:
        holder = self._holder(number)
        content = _unpadded(DATA, flags, payload)
        self.taken += len(payload)  # padding counts, too
        self.upkeep()
        if holder is None:
            self._late(number)
            return
        reader, end = self._reader(holder), bool(flags & END_STREAM)
        reader.flow += len(payload)
        if reader.flow >= REFILL and not end:
            self.out.append(frames.window_update(int.from_bytes(number), reader.flow))
            reader.flow = 0
        reader.data(content, end=end)
        self._after(number, holder, reader, end=end)

    def _headers(self, flags: int, number: bytes, payload: bytes) -> None:
        self._holder(number)
        fragment = _unpadded(HEADERS, flags, payload)
        if flags & END_HEADERS:
            self._whole_block(number, flags, fragment)
        else:
            self._block = number, flags, [fragment]

    def _continuation(self, flags: int, number: bytes, payload: bytes) -> None:
        if self._block is None:
            raise BreachError(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first, parts = self._block
        parts.append(payload)
        if sum(map(len, parts)) > MAX_BLOCK or len(parts) > _CONTINUATIONS:
            raise BreachError(PROTOCOL_ERROR, f"a header block that does not end within {MAX_BLOCK} bytes")
        if flags & END_HEADERS:
            self._block = None
            self._whole_block(number, first, b"".join(parts))

    def _whole_block(self, number: bytes, flags: int, block: bytes) -> None:
        try:
            head = self._blocks.head(block)
        except CompressionError as error:
            raise BreachError(COMPRESSION_ERROR, f"a header block that cannot be decoded: {error}") from error
        holder = self.inflight.get(number)
        if holder is None:
            self._late(number)
            return
        reader, end = self._reader(holder), bool(flags & END_STREAM)
        before = reader.head
        reader.headers(head, end=end)
        if before is None and reader.head is not None:
            self._news.append(News(number, holder, BEGUN))
        self._after(number, holder, reader, end=end)

    def _after(self, number: bytes, holder: Holder, reader: StreamReader, *, end: bool) -> None:
        """End the hit, if its response has ended or is malformed: that is an error of its stream alone (8.1.1)."""
        if not end and not reader.fault:
            return
        if not end:
            self.cancel(number, PROTOCOL_ERROR)
        elif number in self._bodies:  # it was answered before all of it was sent
            self.cancel(number)
        self.inflight.pop(number, None)
        self._news.append(News(number, holder, ENDED))

    def _reader(self, holder: Holder) -> StreamReader:
        if holder.reader is None:
            holder.reader = StreamReader(head_request=holder.prepared.method == "HEAD")
        return holder.reader

    def _holder(self, number: bytes) -> Holder | None:
        """Return whose stream this is; None if it has ended. The server opens none, because it may not push."""
        stream = int.from_bytes(number)
        if stream % 2 == 0 or stream >= self.next:
            raise BreachError(PROTOCOL_ERROR, "a frame on a stream that nobody has opened")
        return self.inflight.get(number)

    def _late(self, number: bytes) -> None:
        """Judge a frame on a stream that has ended: if we have ended it, the server may not have known (5.1)."""
        if number in self._was_reset:
            self.out.append(frames.reset(int.from_bytes(number), STREAM_CLOSED))
        elif number not in self._cancelled:
            raise BreachError(STREAM_CLOSED, "a frame on a stream that had ended")

    # --- all else -----------------------------------------------------------------------------------------

    def _reset(self, number: bytes, code: int) -> None:
        holder = self._holder(number)
        if holder is not None:
            del self.inflight[number]
            self._bodies.pop(number, None)
            self._was_reset.append(number)
            self._news.append(News(number, holder, code))

    def _settings(self, flags: int, payload: bytes) -> None:
        if len(payload) % 6 or (flags & ACK and payload):
            raise BreachError(FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        if flags & ACK:
            return
        for at in range(0, len(payload), 6):
            self._set(int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6]))
        self._settled = True
        self.out.append(frames.frame(SETTINGS, ACK, 0))
        self._pump()

    def _goaway(self, payload: bytes) -> None:
        if len(payload) < 8:
            raise BreachError(FRAME_SIZE_ERROR, "GOAWAY of a wrong length")
        last = int.from_bytes(payload[:4]) & LAST_STREAM
        self.last_stream = last if self.last_stream is None else min(last, self.last_stream)
        self.gone_code = int.from_bytes(payload[4:8])

    def _window_update(self, number: bytes, by: int) -> None:
        holder = self._holder(number)
        if holder is not None and (code := self._open_stream(number, by)):
            reader = self._reader(holder)
            reader.fault = "WINDOW_UPDATE by too little or too much"
            self.cancel(number, code)
            self._after(number, holder, reader, end=True)


def _unpadded(kind: int, flags: int, payload: bytes) -> bytes:
    """Return the content of DATA or HEADERS without padding and priority."""
    if not flags & (PADDED | PRIORITIZED):
        return payload
    begin = 5 if kind == HEADERS and flags & PRIORITIZED else 0
    if not flags & PADDED:
        padding = 0
    elif payload:
        begin, padding = begin + 1, payload[0]
    else:
        raise BreachError(FRAME_SIZE_ERROR, "a padded frame without a length of its padding")
    if begin + padding > len(payload):
        raise BreachError(PROTOCOL_ERROR, "more padding than there is frame")
    return payload[begin : len(payload) - padding]
