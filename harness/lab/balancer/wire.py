"""Pure: HTTP/1 heads and bodies as bytes, for a proxy that forwards both nearly unchanged.

A head is parsed once, its hop-by-hop fields (RFC 9110 section 7.6.1) are removed, and the rest is forwarded byte for
byte. Bodies are only scanned for their end. Everything here raises Malformed for invalid HTTP/1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

HEAD_LIMIT = 64 * 1024  # an ALB's limit for a whole head; nginx has 32k by default
HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})

_NOT_PLAIN = re.compile(  # in a head in lower case: a field to remove, a body, or a folded line
    rb"\r\n(?:connection|keep-alive|proxy-connection|te|upgrade|content-length|transfer-encoding)[ \t]*:|\r\n[ \t]"
)
_TRACE = b"\r\nx-amzn-trace-id:"
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?")


class Malformed(ValueError):  # noqa: N818  reads well as `raise Malformed`
    """The bytes are not a valid HTTP/1 message."""


class Framing(Enum):
    """How the end of a body is marked."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"  # by the end of the connection


class RequestHead(NamedTuple):
    """A client's request. `forward` is the head to send on: each line with its CRLF, without the empty line."""

    forward: bytes
    bare: bool  # HEAD: its answer has no body
    http10: bool
    keep: bool  # the client keeps the connection open
    frame: tuple[Framing, int] | None  # of its body
    traced: bool = False  # it has an X-Amzn-Trace-Id
    upgrade: bytes = b""  # the protocol that it asks to switch to, if that is one that is passed on


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A target's response. `forward` as for a request, without a Connection field, which the client's side adds."""

    forward: bytes
    status: int
    keep: bool  # the target keeps the connection open
    framing: Framing
    length: int
    dated: bool  # `forward` has a Date
    known_length: int  # length of the body; -1 if it is not known in advance


def parse_request(head: bytes) -> RequestHead:
    """Parse a request head: everything before the empty line, the last CRLF included."""
    line, _, _ = head.partition(b"\r\n")
    if not _REQUEST_LINE.fullmatch(line):
        raise Malformed("not a request line")
    bare = line.startswith(b"HEAD ")
    lower = head.lower()
    if line.endswith(b"1") and not _NOT_PLAIN.search(lower):  # the usual case: nothing to remove, no body
        if b"\r\nhost:" not in lower:
            raise Malformed("no Host")
        return RequestHead(head, bare=bare, http10=False, keep=True, frame=None, traced=_TRACE in lower)
    fields = _fields(head)
    tokens = _connection(fields)
    http10 = line.endswith(b"0")
    framing, length = _framing(fields)
    if framing is Framing.CLOSE:  # a request cannot end with its connection
        raise Malformed("the last transfer coding is not chunked")
    kept = [raw for name, _, raw in fields if name not in HOP and name not in tokens]
    if not http10 and not any(name == b"host" for name, _, _ in fields):
        raise Malformed("no Host")
    upgrade = b"" if http10 or b"upgrade" not in tokens else _upgrade(fields)
    if upgrade:
        kept += [b"Connection: Upgrade", b"Upgrade: " + upgrade]
    forward = b"\r\n".join([line[:-1] + b"1", *kept, b""])
    keep = b"keep-alive" in tokens if http10 else b"close" not in tokens
    return RequestHead(
        forward,
        bare=bare,
        http10=http10,
        keep=keep,
        frame=(framing, length) if framing is not Framing.NONE else None,
        traced=_TRACE in lower,
        upgrade=upgrade,
    )


def parse_response(head: bytes, *, bare: bool = False, drop: frozenset[bytes] = frozenset()) -> ResponseHead:
    """Parse a response head. `bare`: it answers HEAD. `drop`: names of further fields to remove, in lower case."""
    line, _, _ = head.partition(b"\r\n")
    match = _STATUS_LINE.fullmatch(line)
    if not match:
        raise Malformed("not a status line")
    status = int(match[2])
    fields = _fields(head)
    tokens = _connection(fields)
    keep = b"close" not in tokens if match[1] == b"1" else b"keep-alive" in tokens
    framing, length = _framing(fields)
    if bare or status < 200 or status in {204, 304}:
        framing, length = Framing.NONE, 0
    elif framing is Framing.NONE:
        framing = Framing.CLOSE
    out = HOP | drop | tokens
    kept = [raw for name, _, raw in fields if name not in out]
    dated = any(name == b"date" for name, _, _ in fields) and b"date" not in out
    forward = b"\r\n".join([b"HTTP/1.1" + line[8:], *kept, b""])
    return ResponseHead(
        forward,
        status=status,
        keep=keep and framing is not Framing.CLOSE,
        framing=framing,
        length=length,
        dated=dated,
        known_length=length if framing in {Framing.NONE, Framing.LENGTH} else -1,
    )


def without(forward: bytes, name: bytes) -> bytes:
    """Remove one field (its name in lower case) from a head that is about to be sent."""
    line, *fields = forward.split(b"\r\n")
    return b"\r\n".join([line, *(field for field in fields if not field.lower().startswith(name + b":"))])


def chunk(data: bytes) -> bytes:
    """Wrap bytes as one chunk; no bytes make no chunk, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _fields(head: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Split a head into (name in lower case, value, whole line) for each field."""
    fields = []
    for raw in head.split(b"\r\n")[1:]:
        if not raw:
            continue
        name, colon, value = raw.partition(b":")
        if not colon or not name or name[:1] in b" \t" or name != name.strip():
            raise Malformed("not a header field")
        fields.append((name.lower(), value.strip(), raw))
    return fields


def _connection(fields: list[tuple[bytes, bytes, bytes]]) -> frozenset[bytes]:
    """Return what the Connection fields list, in lower case."""
    return frozenset(
        token.strip()
        for name, value, _ in fields
        if name == b"connection"
        for token in value.lower().split(b",")
    ) - {b"content-length", b"transfer-encoding", b"host"}  # the framing fields must stay


def _upgrade(fields: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """Return what a request asks to switch to: websocket, or nothing. No other protocol is passed on."""
    asked = {value.lower() for name, value, _ in fields if name == b"upgrade"}
    return b"websocket" if asked == {b"websocket"} else b""


def _framing(fields: list[tuple[bytes, bytes, bytes]]) -> tuple[Framing, int]:
    codings = [value.lower() for name, value, _ in fields if name == b"transfer-encoding"]
    lengths = {value for name, value, _ in fields if name == b"content-length"}
    if codings:
        if lengths:  # request smuggling: the two sides of a proxy would disagree about the body's end
            raise Malformed("both Content-Length and Transfer-Encoding")
        return (Framing.CHUNKED if codings[-1].endswith(b"chunked") else Framing.CLOSE), 0
    if not lengths:
        return Framing.NONE, 0
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > 18:
        raise Malformed("not a Content-Length")
    return Framing.LENGTH, int(length)


class Body:
    """Finds the end of a body as its bytes pass."""

    __slots__ = ("done",)
    done: bool

    def take(self, data: bytes) -> int:
        """Return how many of these bytes, from the front, belong to the body."""
        raise NotImplementedError

    def payload(self) -> bytes:
        """Return the payload of the last `take`, without chunk framing. Only a ChunkedBody with `keep` has any."""
        return b""


class LengthBody(Body):
    """A body of a known length, which may be 0."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length

    def take(self, data: bytes) -> int:
        """See Body."""
        step = min(self._left, len(data))
        self._left -= step
        self.done = not self._left
        return step


class EndlessBody(Body):
    """A body that ends with its connection."""

    __slots__ = ()

    def __init__(self) -> None:
        self.done = False

    def take(self, data: bytes) -> int:
        """See Body."""
        return len(data)


class ChunkedBody(Body):
    """A chunked body, its trailers included."""

    __slots__ = ("_keep", "_left", "_line", "_pieces", "_state")

    def __init__(self, *, keep: bool = False) -> None:
        self.done = False
        self._keep = keep
        self._pieces: list[bytes] = []
        self._left = 0  # of the current chunk
        self._line = b""  # an incomplete line
        self._state = "size"  # or gap (the line end after a chunk), or trailer

    def take(self, data: bytes) -> int:
        """See Body."""
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                step = min(self._left, len(data) - at)
                if self._keep:
                    self._pieces.append(data[at : at + step])
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at)
            self._line += data[at : end + 1] if end >= 0 else data[at:]
            at = end + 1 if end >= 0 else len(data)
            if len(self._line) > HEAD_LIMIT:
                raise Malformed("endless line in a chunked body")
            if end >= 0:
                line, self._line = self._line.rstrip(b"\r\n"), b""
                self._read_line(line)
        return at

    def payload(self) -> bytes:
        """See Body."""
        found, self._pieces = b"".join(self._pieces), []
        return found

    def _read_line(self, line: bytes) -> None:
        if self._state == "gap":
            if line:
                raise Malformed("a chunk longer than its size")
            self._state = "size"
        elif self._state == "trailer":
            self.done = not line
        else:
            size = _CHUNK_SIZE.fullmatch(line)
            if not size:
                raise Malformed("not a chunk size")
            self._left = int(size[1], 16)
            self._state = "gap" if self._left else "trailer"


def body_of(framing: Framing, length: int, *, keep: bool = False) -> Body:
    """Return the Body for a framing. `keep`: the payload of chunks is wanted."""
    if framing is Framing.CHUNKED:
        return ChunkedBody(keep=keep)
    return EndlessBody() if framing is Framing.CLOSE else LengthBody(length)
