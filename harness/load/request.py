"""The request for a target, built once: the origin to connect to, and the bytes to send."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from harness import __version__, masking
from harness.errors import UsageError
from harness.recording import trace

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from harness.model import Target

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "grpc": 80, "grpcs": 443}
_GRPC = frozenset({"grpc", "grpcs"})
_KNOWN = 512  # how many responses to remember,
_KNOWN_SIZE = 8 * 1024  # and up to what size: looking up a longer one costs more than parsing it
_REPEATABLE = 64 * 1024  # our own headers are shorter; a longer one is a mistake
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
# Placeholders for ids in a request, until the run and the worker are known.
_REQUEST_ID, _TRACE_ID = "{zdtest-request-id}", "{zdtest-trace-id}"
_ID = re.compile(rb"(\{zdtest-request-id\}|\{zdtest-trace-id\}|\{seq\}|\{uuid\}|%7Bseq%7D|%7Buuid%7D)")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect to for a target. `host` has no brackets; `literal` is true if it is an address, not a name."""

    host: str
    port: int
    tls: bool
    literal: bool


@dataclass(slots=True, eq=False)
class PreparedRequest:
    """The request for one target, ready to send.

    `known` maps the bytes of complete responses that were parsed before to their kind (see rows.py): the same
    bytes in response to the same request mean the same, so they are parsed only once. A response after which the
    connection cannot be used at once is not kept there.
    """

    index: int
    origin: Origin
    method: str
    request: bytes
    template: bytes = b""  # the request with a place for the hit's number in each id, if it has ids
    places: int = 0  # how many; the request's length does not depend on the number
    # The bytes between the places, if each place takes 12 hexadecimal digits: joining is faster than formatting.
    pieces: tuple[bytes, ...] = ()
    known: dict[bytes, Any] = field(default_factory=dict)
    framed: Any = None  # over HTTP/2: a FramedRequest

    def remember(self, whole: bytes, kind: Any) -> None:
        """Keep a response's bytes with their kind, if they are not too long nor too many."""
        if 0 < len(whole) <= _KNOWN_SIZE and len(self.known) < _KNOWN:
            self.known[whole] = kind


@dataclass(frozen=True, slots=True)
class Marking:
    """What the requests of one worker contain besides the target: the basis of their ids, and optional headers."""

    wall_ns: int
    monotonic_ns: int
    worker: int
    trace: bool = False  # send the trace headers
    close: bool = False  # send Connection: close


def prepare(index: int, target: Target, marking: Marking | None = None) -> PreparedRequest:
    """Build the request. Raises UsageError for a URL or a header that cannot be sent."""
    shown = masking.broken_url(target.url)
    try:
        url = urlsplit(target.url)
    except ValueError:  # its text may contain a part of a password
        raise UsageError(f"{shown!r} is not a URL: its host or port cannot be read") from None
    if url.scheme not in _DEFAULT_PORTS or not url.hostname:
        raise UsageError(
            f"{shown!r} is not an http://, https://, ws://, wss://, grpc:// or grpcs:// URL with a host"
        )
    try:
        port = url.port or _DEFAULT_PORTS[url.scheme]
        host = url.hostname if url.hostname.isascii() else url.hostname.encode("idna").decode()
    except ValueError:  # UnicodeError is one too
        raise UsageError(f"the host or port of {shown!r} cannot be used") from None
    origin = Origin(host, port, url.scheme in {"https", "wss", "grpcs"}, _is_address(host))
    path = quote(url.path, safe="/:@!$&'()*+,;=~%[]") or "/"
    query = f"?{quote(url.query, safe='/:@!$&()*+,;=~%?[]' + chr(39))}" if url.query else ""

    headers = _headers(target, origin, url, marking)
    lines = [f"{target.method} {path}{query} HTTP/1.1", *map(_line, headers)]
    whole = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + target.body
    prepared = PreparedRequest(index, origin, target.method, whole)
    if marking is not None:
        _mark(prepared, marking)
    return prepared


def _headers(
    target: Target, origin: Origin, url: SplitResult, marking: Marking | None
) -> list[tuple[str, str]]:
    """Combine our headers with the user's."""
    headers = {
        "Host": _host_header(origin, url.scheme),
        "User-Agent": f"zdtest/{__version__}",
        "Accept": "*/*",
    }
    if url.username is not None:
        pair = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
    if url.scheme in _GRPC:  # its own clients send neither, and a call's length is in its messages
        del headers["Accept"]
    elif target.body or target.method in _BODY_METHODS:
        headers["Content-Length"] = str(_length(target.body))
    if marking is not None and marking.close:
        headers["Connection"] = "close"
    if marking is not None and marking.trace:
        headers["X-Request-ID"] = _REQUEST_ID
        headers["X-Amzn-Trace-Id"] = _TRACE_ID
    ours = {name.lower(): name for name in headers}
    for name, _ in target.headers:  # a header of the user replaces ours; given twice, it is sent twice
        if name.lower() in ours:
            headers.pop(ours[name.lower()], None)
    return [*headers.items(), *target.headers]


def _mark(prepared: PreparedRequest, marking: Marking) -> None:
    """Turn the id placeholders in a request into places for the hit's number. Nothing else changes."""
    pieces = _ID.split(prepared.request)  # every second one is an id
    if len(pieces) == 1:
        return
    ids = _ids(marking)
    if all(ids[piece].endswith(b"%012x") for piece in pieces[1::2]):
        around = [ids[piece].removesuffix(b"%012x") if at % 2 else piece for at, piece in enumerate(pieces)]
        prepared.pieces = tuple(
            b"".join(pair) for pair in zip(around[::2], [*around[1::2], b""], strict=True)
        )
    pieces[::2] = [piece.replace(b"%", b"%%") for piece in pieces[::2]]
    pieces[1::2] = [ids[piece] for piece in pieces[1::2]]
    prepared.places = len(pieces) // 2
    prepared.template = b"".join(pieces)
    prepared.request = prepared.template % ((0,) * prepared.places)


def _ids(marking: Marking) -> dict[bytes, bytes]:
    """Return the template that replaces each placeholder."""
    row = marking.wall_ns, marking.monotonic_ns, marking.worker, 0
    seq = trace.number(marking.worker, 0)[:-10].encode() + b"%010d"
    uuid = trace.uuid(*row)[:-12].encode() + b"%012x"
    return {
        _REQUEST_ID.encode(): trace.request_id(*row)[:-12].encode() + b"%012x",
        _TRACE_ID.encode(): trace.amzn_trace_id(*row)[:-12].encode() + b"%012x",
        b"{seq}": seq,
        b"%7Bseq%7D": seq,
        b"{uuid}": uuid,
        b"%7Buuid%7D": uuid,
    }


def _length(body: bytes) -> int:
    """Return the length of a body with its ids filled in."""
    seqs, uuids = body.count(b"{seq}"), body.count(b"{uuid}")
    return len(body) + (12 - len("{seq}")) * seqs + (36 - len("{uuid}")) * uuids


def _line(header: tuple[str, str]) -> str:
    name, value = header
    text = f"{name}: {value}"
    if not name or any(c in "\r\n\0" for c in text) or ":" in name or " " in name or not _is_latin1(text):
        raise UsageError(
            f"the header {name!r} cannot be sent: the name must not contain spaces, and the value must be on one line"
        )
    if len(text) > _REPEATABLE:
        raise UsageError(f"the header {name!r} is longer than {_REPEATABLE} bytes")
    return text


def _host_header(origin: Origin, scheme: str) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == _DEFAULT_PORTS[scheme] else f"{host}:{origin.port}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
