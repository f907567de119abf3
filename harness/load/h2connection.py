"""httpcore's HTTP/2 connection, with what it leaves out: trailers, and the rules for headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
from h2.config import H2Configuration
from h2.events import Event, TrailersReceived

if TYPE_CHECKING:
    from harness.load.h2stream import Stream


class Connection(httpcore.AsyncHTTP2Connection):
    """httpcore's connection, which keeps trailers, and takes no header that RFC 9113 forbids."""

    CONFIG = H2Configuration(validate_inbound_headers=True)

    def __init__(self, origin: httpcore.Origin, stream: Stream) -> None:
        super().__init__(origin=origin, stream=stream)
        self.trailers: dict[bytes, bytes] = {}
        state: Any = self._h2_state
        take = state.receive_data

        def receive_data(data: bytes) -> list[Event]:
            events: list[Event] = take(data)
            for event in events:
                if isinstance(event, TrailersReceived):
                    self.trailers = {_bytes(name): _bytes(value) for name, value in event.headers}
            return events

        state.receive_data = receive_data

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send one request, once."""
        self.trailers = {}
        return await super().handle_async_request(request)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)
