"""Read one response with httptools' parser: is it complete, is it malformed, can its connection be used again?

This module does what the parser does not. The parser knows nothing of HEAD, has no call for the end of the stream,
takes an interim (1xx) response for a complete one, limits nothing, goes on to the next response in the same bytes,
takes trailers for headers, and rejects a repeated Content-Length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httptools

from harness.load.answers import KEPT
from harness.load.wire import beginning, heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.answers import Said

MAX_HEAD = 1024 * 1024  # bytes within which the head must end, interim responses included
# Bytes that are kept of a response until it is judged, besides as many of a later body as answers need.
_BEGIN = 8 * 1024
POD_HEADERS = {b"x-pod": 0, b"x-pod-name": 1, b"x-served-by": 2}  # the first of these names the pod
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_OF_GRPC = frozenset({b"content-type", b"grpc-status"})
_BODILESS = frozenset({204, 304})
_LENGTHS = re.compile(rb"\ncontent-length:([^\r\n]*)", re.IGNORECASE)


class ResponseReader:
    """Reads one response. Call `feed` until `done` or `fault`; at the end of the stream call `ended`.

    `extra` is set if bytes came after a complete response. That response is valid, but the connection cannot be used
    any more: those bytes would be taken for the next response.
    """

    __slots__ = (
        "_close",
        "_codings",
        "_doubt",
        "_framed",
        "_head_request",
        "_head_seen",
        "_keep",
        "_parser",
        "_pieces",
        "_pod_headers",
        "_pod_rank",
        "_room",
        "_seen",
        "_used_up",
        "begin",
        "content_type",
        "done",
        "extra",
        "fault",
        "grpc_status",
        "keep_alive",
        "next_status",
        "pod",
        "status",
        "until_close",
    )

    def __init__(self, pod_headers: Mapping[bytes, int] = POD_HEADERS, *, head_request: bool = False) -> None:
        self._head_request = head_request
        self._pod_headers = pod_headers
        self._parser: Any = self._fresh()
        self._start()

    def _fresh(self) -> Any:
        parser = httptools.HttpResponseParser(self)
        # Accept deviations that occur in practice and can mean only one thing: folded lines, lines that end with LF
        # alone, and a Content-Length next to chunked, which is ignored then.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_chunked_length=True
        )
        return parser

    def _start(self) -> None:
        self._seen = 0
        self._pieces: list[bytes] = []  # until the head has ended
        self._doubt = ""  # an error of the parser in the head that may still turn out to be harmless
        self._head_seen = False  # the final head, not an interim one
        self._forget_headers()
        self.begin = b""  # the response's first bytes, once its head has ended
        self._room = 0  # how many more are wanted
        self.status = 0
        self.keep_alive = False
        self.done = False
        self.extra = False
        self.next_status = 0  # the status of the next response, if those bytes begin one
        self.until_close = False  # its end was marked only by the end of the stream
        self.fault = ""

    def _forget_headers(self) -> None:
        self._framed = self._used_up = False
        self._codings: list[bytes] = []
        self._close = self._keep = False
        self._pod_rank = len(self._pod_headers)
        self.pod = ""
        self.content_type = ""
        self.grpc_status: str | None = None

    def reuse(self, *, head_request: bool) -> bool:
        """Prepare for the next response on the same connection; return False if a new reader is needed."""
        if head_request or self._head_request or not (self.done and self.keep_alive):
            return False  # after HEAD, the parser would wait for the body that the head announced
        if self._used_up:
            return False  # a Connection trailer: the parser accepts nothing more
        self._start()
        return True

    def release(self) -> None:
        """Break the reference cycle of parser and reader: with garbage collection off, nothing else would free them."""
        self._parser = None

    def feed(self, data: bytes) -> None:
        """Read bytes of the stream. A protocol error sets `fault` (or `extra`) and never raises."""
        if self.done:
            self.extra = True
            return
        self._seen += len(data)
        if not self._head_seen:
            self._pieces.append(data)
        elif self._room > 0:
            self.begin += data[: self._room]
            self._room -= len(data)
        if not self._doubt:
            self._parse(data)
        if self._doubt:
            self._read_again()
        if self._seen > MAX_HEAD and not self._head_seen and not self.done:
            self._breach(f"the head does not end within {MAX_HEAD} bytes")

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # 101, which we never request
            self.status, self.done, self.keep_alive = 101, True, False
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            if self._head_seen:
                self._breach(repr(error))
            else:
                self._doubt = repr(error)

    def _read_again(self) -> None:
        """Once the head is complete, read it again with a repeated Content-Length given once, if all values agree."""
        received = b"".join(self._pieces)
        lengths = _LENGTHS.findall(received)
        if len(lengths) > 1 or b"," in b"".join(lengths):
            if (whole := heads.one_length(received)) is None:
                return
            if whole != received:
                seen = self._seen
                self._parser = self._fresh()
                self._start()
                self._seen = seen
                self._pieces = [received]  # other errors in it are still found
                self._parse(whole)
        if self._doubt:
            self._breach(self._doubt)

    def _breach(self, what: str) -> None:
        if self.done:  # the bytes with the error also completed the response
            self.extra = True
        else:
            self.fault = self.fault or what

    def said(self) -> Said:
        """Return what the response said, as far as it came."""
        return beginning.said(
            self.status, self.begin, self._seen, bodiless=self._head_request, done=self.done
        )

    def ended(self) -> bool:
        """Return whether the response is complete, now that the stream has ended in an orderly way."""
        if self._head_seen and not self.done and not self._framed and not self.fault:
            self.done = self.until_close = True
        return self.done

    def on_message_begin(self) -> None:
        """Note the first byte of a response."""
        if self.done:
            self.extra = True

    def on_status(self, _reason: bytes) -> None:
        """Note a second response in the same bytes. Garbage begins a message, too, but never has a status."""
        if self.done:
            self.next_status = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, or one trailer."""
        name = name.lower()
        if self._head_seen:
            self._used_up = self._used_up or name == b"connection"
            if b"\0" in value:
                self._breach("a control character in a trailer")
            if name == b"grpc-status":
                self.grpc_status = value.decode("latin-1")
            return
        if name == b"connection":
            tokens = value.lower()
            self._close = self._close or b"close" in tokens
            self._keep = self._keep or b"keep-alive" in tokens
        elif name in _FRAMING:
            if name == b"content-length":
                self._framed = True
            else:
                self._codings.append(value)
        elif name in _OF_GRPC:
            if name == b"content-type":
                self.content_type = value.decode("latin-1")
            else:
                self.grpc_status = value.decode("latin-1")
        elif self._pod_headers.get(name, self._pod_rank) < self._pod_rank:
            self._pod_rank = self._pod_headers[name]
            self.pod = value.decode("latin-1")[:253]  # the longest name in Kubernetes

    def on_headers_complete(self) -> None:
        """Handle the end of a head: an interim one, or the final one."""
        status = self._parser.get_status_code()
        if self.done:
            return
        if 100 <= status < 200:
            self._forget_headers()
            return
        self.status = status
        self._head_seen = True
        received = b"".join(self._pieces)
        self.begin = received[:_BEGIN]
        self._room = KEPT if len(received) <= _BEGIN else 0
        if wrong := heads.breach(received):
            self._breach(wrong)
        if self._codings:
            self._judge_codings()
        self._framed = self._framed or self._head_request or status in _BODILESS
        self._pieces = []
        self.keep_alive = self._keeps_alive()  # asked later, the parser would include trailers
        self.done = self._head_request and not self.fault  # the parser itself ends 204 and 304

    def _judge_codings(self) -> None:
        """Decide what ends the body. A coding overrides a length; all but chunked last to the end of the stream."""
        wrong, self._framed = heads.codings(b",".join(self._codings))
        if not wrong and self._parser.get_http_version() != "1.1":
            wrong = "a transfer coding in HTTP/1.0"
        if wrong:
            self._breach(wrong)

    def on_message_complete(self) -> None:
        """Handle the end of a response; that of an interim one means nothing."""
        if self._head_seen and not self.done and not self.fault:
            self.done = True

    def _keeps_alive(self) -> bool:
        if self._head_request:  # the parser expects a body of unknown length
            return not self._close and (self._keep or self._parser.get_http_version() == "1.1")
        return bool(self._parser.should_keep_alive())


class HeadResponseReader(ResponseReader):
    """Reads the response to a HEAD request. A class of its own, because with `on_body` the parser copies each body."""

    __slots__ = ()

    def __init__(self, pod_headers: Mapping[bytes, int] = POD_HEADERS) -> None:
        super().__init__(pod_headers, head_request=True)

    def on_body(self, _body: bytes) -> None:
        """Note a body where none is allowed."""
        self.extra = True


def next_reader(
    reader: ResponseReader | None, pod_headers: Mapping[bytes, int], *, head_request: bool
) -> ResponseReader:
    """Return a reader for the next response on a connection: the previous one's, if it can be reused."""
    if reader is not None:
        if reader.reuse(head_request=head_request):
            return reader
        reader.release()
    return reader_for(pod_headers, head_request=head_request)


def reader_for(pod_headers: Mapping[bytes, int] = POD_HEADERS, *, head_request: bool) -> ResponseReader:
    """Return a reader for the first response on a connection."""
    return HeadResponseReader(pod_headers) if head_request else ResponseReader(pod_headers)
