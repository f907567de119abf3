"""Reading one response, by httptools' parser: is it whole, is it faulty, may its connection be used again?

What the parser does not do is done here: it knows nothing of HEAD, has no call for the end of the stream, takes
an interim (1xx) response for a whole one, bounds nothing, and goes on to the next response in the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httptools

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEAD = 1024 * 1024  # bytes until the head must have ended; interim responses count in
POD_HEADERS = {b"x-pod": 0, b"x-pod-name": 1, b"x-served-by": 2}  # the first of these names the pod
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_BODILESS = frozenset({204, 304})


class Reading:
    """One response on its way in. Feed it until `done` or `fault`; at the end of the stream ask `ended`.

    `extra` is set when bytes came after a complete response. That response stands, but the connection cannot
    be trusted any more: whoever reads on would take those bytes for the next answer.
    """

    __slots__ = (
        "_close",
        "_framed",
        "_head_request",
        "_head_seen",
        "_keep",
        "_parser",
        "_pod_headers",
        "_pod_rank",
        "_seen",
        "done",
        "extra",
        "fault",
        "keep_alive",
        "pod",
        "status",
    )

    def __init__(self, pod_headers: Mapping[bytes, int] = POD_HEADERS, *, head_request: bool = False) -> None:
        self._head_request = head_request
        self._pod_headers = pod_headers
        self._parser: Any = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_headers=True)  # folded lines: old, and still met
        self._start()

    def _start(self) -> None:
        self._seen = 0
        self._head_seen = False  # the final head, not an interim one
        self._forget_headers()
        self.status = 0
        self.keep_alive = False
        self.done = False
        self.extra = False
        self.fault = ""

    def _forget_headers(self) -> None:
        self._framed = False
        self._close = self._keep = False
        self._pod_rank = len(self._pod_headers)
        self.pod = ""

    def again(self, *, head_request: bool) -> bool:
        """Make ready for the next response on the same connection; False when a new reading is wanted."""
        if head_request or self._head_request or not (self.done and self.keep_alive):
            return False  # after HEAD the parser would wait for the body that the head announced
        self._start()
        return True

    def release(self) -> None:
        """Cut the ring of parser and reading: with the collector off, nothing else would ever free them."""
        self._parser = None

    def feed(self, data: bytes) -> None:
        """Take in bytes of the stream. A breach of the protocol sets `fault` (or `extra`) and never raises."""
        if self.done:
            self.extra = True
            return
        self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # 101, for which we never asked
            self.status, self.done, self.keep_alive = 101, True, False
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            self._breach(repr(error))
        if self._seen > MAX_HEAD and not self._head_seen and not self.done:
            self._breach(f"no end of the head within {MAX_HEAD} bytes")

    def _breach(self, what: str) -> None:
        if self.done:  # by the very bytes that held the breach
            self.extra = True
        else:
            self.fault = self.fault or what

    def ended(self) -> bool:
        """Tell whether the response is whole now that the stream has ended in an orderly way."""
        if self._head_seen and not self.done and not self._framed and not self.fault:
            self.done = True
        return self.done

    def on_message_begin(self) -> None:
        """Note the first byte of a response."""
        if self.done:
            self.extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer."""
        if self._head_seen:
            return
        name = name.lower()
        if name == b"connection":
            tokens = value.lower()
            self._close = self._close or b"close" in tokens
            self._keep = self._keep or b"keep-alive" in tokens
        elif name in _FRAMING:
            # Any other coding than chunked leaves the end of the stream as the only end of the body.
            self._framed = name == b"content-length" or value.lower().rstrip().endswith(b"chunked")
        elif self._pod_headers.get(name, self._pod_rank) < self._pod_rank:
            self._pod_rank = self._pod_headers[name]
            self.pod = value.decode("latin-1")[:253]  # no name in Kubernetes is longer

    def on_headers_complete(self) -> None:
        """Take the end of a head: an interim one, or the final one."""
        status = self._parser.get_status_code()
        if self.done:
            return
        if 100 <= status < 200:
            self._forget_headers()
            return
        self.status = status
        self._head_seen = True
        self._framed = self._framed or self._head_request or status in _BODILESS
        if self._head_request:  # the parser itself ends 204 and 304
            self.done = True
            self.keep_alive = self._keeps_alive()

    def on_message_complete(self) -> None:
        """Take the end of a response: an interim one, which says nothing yet, or the final one."""
        if self._head_seen and not self.done:
            self.done = True
            self.keep_alive = self._keeps_alive()

    def _keeps_alive(self) -> bool:
        if self._head_request:  # the parser thinks that a body without a length follows
            return not self._close and (self._keep or self._parser.get_http_version() == "1.1")
        return bool(self._parser.should_keep_alive())


class HeadReading(Reading):
    """The response to a HEAD request. A class of its own, because a parser that has `on_body` copies each body."""

    __slots__ = ()

    def __init__(self, pod_headers: Mapping[bytes, int] = POD_HEADERS) -> None:
        super().__init__(pod_headers, head_request=True)

    def on_body(self, _body: bytes) -> None:
        """Note a body where there is none."""
        self.extra = True


def reading(pod_headers: Mapping[bytes, int] = POD_HEADERS, *, head_request: bool) -> Reading:
    """Make ready for a response on a connection."""
    return HeadReading(pod_headers) if head_request else Reading(pod_headers)
