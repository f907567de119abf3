"""What goes over the wire for a target: the origin to connect to, and the request's bytes, built once."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urlsplit

from harness import __version__, masking
from harness.errors import UsageError
from harness.recording import trace

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from harness.model import Target

_DEFAULT_PORTS = {"http": 80, "https": 443}
_REPEATABLE = 64 * 1024  # no header of ours is longer; longer ones are a mistake
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
# What stands in a request where ids go, until the run and the worker are known.
_REQUEST_ID, _TRACE_ID = "{zdtest-request-id}", "{zdtest-trace-id}"
_ID = re.compile(rb"(\{zdtest-request-id\}|\{zdtest-trace-id\}|\{seq\}|\{uuid\}|%7Bseq%7D|%7Buuid%7D)")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections of a target go. `host` has no brackets; `literal` when it is an address already."""

    host: str
    port: int
    tls: bool
    literal: bool


@dataclass(slots=True, eq=False)
class PreparedRequest:
    """A target ready to be fired.

    `known` maps the bytes of whole responses that the parser has already judged to their kind (see rows.py).
    The same bytes in answer to the same request mean the same, so they are parsed once. Only what lets the
    connection go on at once is kept there.
    """

    index: int
    origin: Origin
    method: str
    request: bytes
    template: bytes = b""  # the request with a place for the hit's seq in each id, where it holds ids
    places: int = 0  # how many; all forms of a request are of one length
    # What stands around the places, where all of them hold 12 hexadecimal digits: joining is quicker than formatting.
    pieces: tuple[bytes, ...] = ()
    known: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marking:
    """What of a run goes into the requests of one worker."""

    wall_ns: int
    monotonic_ns: int
    worker: int
    trace: bool = False  # send the trace headers
    close: bool = False  # and ask for the connection's end


def prepare(index: int, target: Target, marking: Marking | None = None) -> PreparedRequest:
    """Build the request. Raises UsageError for a URL or a header that cannot be sent."""
    shown = masking.broken_url(target.url)
    try:
        url = urlsplit(target.url)
    except ValueError:  # whose text may be a part of a password
        raise UsageError(f"{shown!r} is no URL: its host or port cannot be read") from None
    if url.scheme not in _DEFAULT_PORTS or not url.hostname:
        raise UsageError(f"{shown!r} is no http:// or https:// URL with a host")
    try:
        port = url.port or _DEFAULT_PORTS[url.scheme]
        host = url.hostname if url.hostname.isascii() else url.hostname.encode("idna").decode()
    except ValueError:  # UnicodeError is one too
        raise UsageError(f"the host or port of {shown!r} cannot be used") from None
    origin = Origin(host, port, url.scheme == "https", _is_address(host))
    path = quote(url.path, safe="/:@!$&'()*+,;=~%[]") or "/"
    query = f"?{quote(url.query, safe='/:@!$&()*+,;=~%?[]' + chr(39))}" if url.query else ""

    headers = _headers(target, origin, url, marking)
    lines = [f"{target.method} {path}{query} HTTP/1.1", *map(_line, headers)]
    whole = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + target.body
    ready = PreparedRequest(index, origin, target.method, whole)
    if marking is not None:
        _mark(ready, marking)
    return ready


def _headers(
    target: Target, origin: Origin, url: SplitResult, marking: Marking | None
) -> list[tuple[str, str]]:
    """Put ours and the user's together."""
    headers = {
        "Host": _host_header(origin, url.scheme),
        "User-Agent": f"zdtest/{__version__}",
        "Accept": "*/*",
    }
    if url.username is not None:
        pair = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
    if target.body or target.method in _BODY_METHODS:
        headers["Content-Length"] = str(_length(target.body))
    if marking is not None and marking.close:
        headers["Connection"] = "close"
    if marking is not None and marking.trace:
        headers["X-Request-ID"] = _REQUEST_ID
        headers["X-Amzn-Trace-Id"] = _TRACE_ID
    ours = {name.lower(): name for name in headers}
    for name, _ in target.headers:  # what the user gives replaces ours; given twice, it is sent twice
        if name.lower() in ours:
            headers.pop(ours[name.lower()], None)
    return [*headers.items(), *target.headers]


def _mark(ready: PreparedRequest, marking: Marking) -> None:
    """Turn the ids in a request into places for a hit's seq. All else is as good as it was before."""
    pieces = _ID.split(ready.request)  # every second one is an id
    if len(pieces) == 1:
        return
    ids = _ids(marking)
    if all(ids[piece].endswith(b"%012x") for piece in pieces[1::2]):
        around = [ids[piece].removesuffix(b"%012x") if at % 2 else piece for at, piece in enumerate(pieces)]
        ready.pieces = tuple(b"".join(pair) for pair in zip(around[::2], [*around[1::2], b""], strict=True))
    pieces[::2] = [piece.replace(b"%", b"%%") for piece in pieces[::2]]
    pieces[1::2] = [ids[piece] for piece in pieces[1::2]]
    ready.places = len(pieces) // 2
    ready.template = b"".join(pieces)
    ready.request = ready.template % ((0,) * ready.places)


def _ids(marking: Marking) -> dict[bytes, bytes]:
    """Return what stands for each id in a template."""
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
    """Return the length of a body once its ids are in."""
    seqs, uuids = body.count(b"{seq}"), body.count(b"{uuid}")
    return len(body) + (12 - len("{seq}")) * seqs + (36 - len("{uuid}")) * uuids


def _line(header: tuple[str, str]) -> str:
    name, value = header
    text = f"{name}: {value}"
    if not name or any(c in "\r\n\0" for c in text) or ":" in name or " " in name or not _is_latin1(text):
        raise UsageError(
            f"the header {name!r} cannot be sent: a name without spaces and a value on one line are wanted"
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
