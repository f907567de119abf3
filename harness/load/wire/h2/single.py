"""A single request on a new HTTP/2 connection, for the checks before the load. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load import failures
from harness.load.wire.h2 import frames
from harness.load.wire.h2.blocks import Blocks
from harness.load.wire.h2.connection import BEGUN, ENDED, Connection
from harness.load.wire.h2.requests import framed
from harness.load.wire.h2.response import StreamReader
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load.request import PreparedRequest


class Exchange:
    """One request and its response. `status`, `pod` and `location` are set once the response's head has come."""

    def __init__(
        self, prepared: PreparedRequest, pod_headers: Mapping[bytes, int], most: int | None = None
    ) -> None:
        """Begin. `most`: bytes of the response's body that are kept, where its beginning is not enough."""
        self.prepared = prepared
        prepared.framed = framed(prepared)
        self.reader: StreamReader | None = StreamReader(head_request=False, most=most) if most else None
        self.bytes_in = 0
        self._connection = Connection(Blocks(pod_headers))
        self._connection.open(self, 0)

    @property
    def status(self) -> int:
        """The response's status."""
        return self.reader.status if self.reader else 0

    @property
    def pod(self) -> str:
        """The pod that it names."""
        return self.reader.pod if self.reader else ""

    @property
    def location(self) -> str:
        """Its Location header."""
        head = self.reader.head if self.reader else None
        return next((value for name, value in head.headers() if name == "location"), "") if head else ""

    def to_write(self) -> bytes:
        """Return what is to be written now."""
        data = b"".join(self._connection.out)
        self._connection.out.clear()
        return data

    def take(self, data: bytes, error: OSError | None) -> tuple[Outcome | None, str]:
        """Take bytes, none at the end. Return the outcome, None if it is open, and why it failed, in words."""
        connection = self._connection
        for news in connection.feed(data):
            if news.what == ENDED:
                return self._ended()
            if news.what != BEGUN:
                return _reset(
                    news.what, answered=bool(self.status)
                ), f"the stream was reset: {_code(news.what)}"
        if connection.fault:
            return Outcome.PROTOCOL_ERROR, connection.fault
        if connection.last_stream == 0 or (connection.gone_code and not data):
            return Outcome.H2_GOAWAY, f"GOAWAY, {_code(connection.gone_code)}"
        if data:
            return None, ""
        outcome = failures.lost(error, answered=bool(self.status))
        return outcome, failures.reason(error) if error else "the connection was closed"

    def _ended(self) -> tuple[Outcome, str]:
        fault, short = (self.reader.fault, self.reader.short) if self.reader else ("", False)
        if not fault:
            return Outcome.RESPONSE, ""
        return Outcome.EOF_MID_RESPONSE if short else Outcome.PROTOCOL_ERROR, fault


def _code(code: int) -> str:
    return f"code {frames.code_name(code)}"


def _reset(code: int, *, answered: bool) -> Outcome:
    if code == frames.REFUSED_STREAM:
        return Outcome.H2_REFUSED_STREAM
    return Outcome.H2_RESET_MID_RESPONSE if answered else Outcome.H2_RESET_BEFORE_RESPONSE
