"""A target's request as HTTP/2 frames, encoded once: what differs from hit to hit is put between fixed bytes. Pure.

It is made from the bytes that HTTP/1.1 would send, so both protocols send the same path, headers, ids and body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.load.wire.h2 import blocks, frames
from harness.load.wire.h2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SHORTEST_MAX_FRAME,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.load.request import PreparedRequest

# Headers about the connection, which HTTP/2 forbids (RFC 9113, 8.2.2).
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host"}
)
_TOKEN = re.compile(rb"(%%|%012x|%010d)")
_HEX = b"%012x"


@dataclass(slots=True, eq=False)
class FramedRequest:
    """The request for one target.

    A `short` one is a HEADERS frame and at most one DATA frame. Its bytes are `number.join(pieces)`, where `number` is
    its stream's; with ids, `pieces` is empty, and they are `written`. `size`: its bytes, heads of frames included;
    `content`: those of its body, which count against the peer's windows.
    """

    block: bytes  # a template, if `places` is not 0
    places: int
    body: bytes
    body_places: int
    content: int
    size: int
    short: bool
    pieces: tuple[bytes, ...] = ()
    # A short request with ids: either `begin`, the stream's number, and the block, whose ids are between the pieces
    # of `around`; or `begin` is a template, and `order` says which of its places are for the stream's number.
    begin: bytes = b""
    around: tuple[bytes, ...] = ()
    order: tuple[bool, ...] = ()
    usual: int = (
        0  # the size of the latest response that was looked up: the next one is tried at this size first
    )

    def written(self, seq: int, number: bytes) -> bytes:
        """Return the bytes of a short request. `number`: its stream's, four bytes."""
        if self.pieces:
            return number.join(self.pieces)
        if self.around:
            return self.begin + number + (_HEX % seq).join(self.around)
        return self.begin % tuple(number if stream else seq for stream in self.order)

    def head_frames(self, seq: int, stream: int, max_frame: int) -> bytes:
        """Return HEADERS, and CONTINUATION if it is long."""
        block = self.block % ((seq,) * self.places) if self.places else self.block
        parts = [block[at : at + max_frame] for at in range(0, len(block), max_frame)]
        last = len(parts) - 1
        end = 0 if self.content else END_STREAM
        return b"".join(
            frames.frame(
                CONTINUATION if at else HEADERS,
                (0 if at else end) | (END_HEADERS if at == last else 0),
                stream,
                part,
            )
            for at, part in enumerate(parts)
        )

    def body_of(self, seq: int) -> bytes:
        """Return the body."""
        return self.body % ((seq,) * self.body_places) if self.body_places else self.body


def framed(prepared: PreparedRequest) -> FramedRequest:
    """Encode a request."""
    # As templates: a per cent sign is written twice, and is one byte of the request.
    whole = prepared.template or prepared.request.replace(b"%", b"%%")
    head, _, body = whole.partition(b"\r\n\r\n")
    block = b"".join(_block(head, prepared))
    places, body_places = len(_ids(block)), len(_ids(body))
    length, content = len(_filled(block)), len(_filled(body))
    request = FramedRequest(
        block if places else _filled(block),
        places,
        body if body_places else _filled(body),
        body_places,
        content=content,
        size=length + content + frames.HEAD * (2 if content else 1),
        short=length <= SHORTEST_MAX_FRAME and content <= SHORTEST_MAX_FRAME,
    )
    if request.short:
        _shorten(request, block, body, length)
    return request


def _shorten(request: FramedRequest, block: bytes, body: bytes, length: int) -> None:
    """Put the frames of a short request together, around what differs from hit to hit."""
    begin = frames.head(length, HEADERS, END_HEADERS | (0 if request.content else END_STREAM))
    parts = [block]
    if request.content:
        parts = [block + frames.head(request.content, DATA, END_STREAM).replace(b"%", b"%%"), body]
    ids = [_ids(part) for part in parts]
    if not any(ids):
        request.pieces = (begin, *map(_filled, parts))
    elif not request.content and set(ids[0]) == {_HEX}:
        request.around = tuple(_pieces(block))
        request.begin = begin
    else:
        request.begin = b"%b".join([begin.replace(b"%", b"%%"), *parts])
        for found in ids:
            request.order += (True, *(False for _ in found))


def _pieces(template: bytes) -> list[bytes]:
    """Return what stands around the ids."""
    pieces = [b""]
    for at, token in enumerate(_TOKEN.split(template)):
        if at % 2 and token != b"%%":
            pieces.append(b"")
        else:
            pieces[-1] += b"%" if at % 2 else token
    return pieces


def _ids(template: bytes) -> list[bytes]:
    return [token for token in _TOKEN.findall(template) if token != b"%%"]


def _filled(template: bytes) -> bytes:
    return template % ((0,) * len(_ids(template)))


def _block(head: bytes, prepared: PreparedRequest) -> Iterator[bytes]:
    """Yield the fields of the header block as templates."""
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.split(b" ")
    pairs = [line.split(b": ", 1) for line in lines]
    host = next((value for name, value in pairs if name.lower() == b"host"), b"")
    scheme = b"https" if prepared.origin.tls else b"http"
    yield from (
        _field(name, value)
        for name, value in (
            (b":method", method),
            (b":scheme", scheme),
            (b":authority", host),
            (b":path", path),
        )
    )
    for name, value in pairs:
        if name.lower() not in _OF_A_CONNECTION:
            yield _field(name.lower().replace(b"%%", b"%"), value.strip(b" \t"))


def _field(name: bytes, value: bytes) -> bytes:
    begin, coded = blocks.field(name, _filled(value))
    return begin.replace(b"%", b"%%") + (value if coded else b"")
