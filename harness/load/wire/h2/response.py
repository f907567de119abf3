"""Read one response over HTTP/2 from its frames: is it complete, is it malformed, what did it say? Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.load.answers import KEPT, Said

if TYPE_CHECKING:
    from harness.load.wire.h2.blocks import Head

_LENGTH = re.compile(r"[0-9]{1,15}")
_BODILESS = frozenset({204, 304})
_SWITCHING = 101


class StreamReader:
    """Reads one response. Give it heads and content until `done` or `fault`.

    `short`: it ended before all the content had come that its head had announced. That is a fault, too.
    """

    __slots__ = (
        "_bodiless",
        "_head_request",
        "_most",
        "body",
        "done",
        "fault",
        "flow",
        "head",
        "short",
        "size",
        "trailers",
    )

    def __init__(self, *, head_request: bool, most: int = KEPT) -> None:
        self._head_request = head_request
        self._most = most  # bytes of the body that are kept
        self._bodiless = head_request
        self.head: Head | None = None  # the final one
        self.trailers: Head | None = None
        self.body = bytearray()  # its beginning
        self.size = 0
        self.flow = 0  # bytes of DATA since the stream's window was opened last, padding included
        self.done = self.short = False
        self.fault = ""

    @property
    def status(self) -> int:
        """The status; 0 as long as the final head has not come."""
        return self.head.status if self.head else 0

    @property
    def pod(self) -> str:
        """The pod that the response names."""
        return self.head.pod if self.head else ""

    @property
    def grpc_status(self) -> str | None:
        """The grpc-status of the trailers or, without those, of the head."""
        if self.trailers is not None and self.trailers.grpc_status is not None:
            return self.trailers.grpc_status
        return self.head.grpc_status if self.head else None

    def headers(self, head: Head, *, end: bool) -> None:
        """Take a head: an interim one, the final one, or the trailers."""
        if head.fault:
            self.fault = head.fault
        elif self.head is not None:
            if head.status or not end:
                self.fault = "a second head" if head.status else "trailers that do not end the response"
            self.trailers = head
        elif not head.status:
            self.fault = "a head without a status"
        elif head.status < 200:
            if end or head.status == _SWITCHING:
                self.fault = "an interim response that ends the response" if end else "status 101"
            return
        else:
            self.head = head
            self._bodiless = self._head_request or head.status in _BODILESS
        if end:
            self._end()

    def data(self, content: bytes, *, end: bool) -> None:
        """Take content."""
        if self.head is None:
            self.fault = self.fault or "content before a head"
        elif content:
            if self._bodiless:
                self.fault = self.fault or "content in a response that has none"
            self.size += len(content)
            if len(self.body) < self._most:
                self.body += content[: self._most - len(self.body)]
            if self.head.length is not None and self.size > self.head.length:
                self.fault = self.fault or "more content than its content-length"
        if end:
            self._end()

    def _end(self) -> None:
        if self.fault:
            return
        length = self.head.length if self.head else None
        if length is not None and not self._bodiless and self.size < length:
            self.short = True
            self.fault = f"{self.size} of {length} bytes"
        self.done = not self.fault

    def raw(self) -> bytes:
        """Return bytes that identify this response."""
        return repr(self._said_headers()).encode(errors="replace") + self.body

    def said(self, *, closes: bool) -> Said:
        """Return its headers, with the trailers of gRPC, and the beginning of its body."""
        headers = self._said_headers()
        lengths = [value for name, value in headers if name == "content-length" and _LENGTH.fullmatch(value)]
        size = int(lengths[0]) if lengths else self.size
        return Said(self.status, headers, bytes(self.body), self.size > KEPT, size, self.done, closes)

    def _said_headers(self) -> list[tuple[str, str]]:
        headers = self.head.headers() if self.head else []
        trailers = self.trailers.headers() if self.trailers else []
        return headers + [(name, value) for name, value in trailers if name.startswith("grpc-")]
