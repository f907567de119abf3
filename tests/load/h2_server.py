"""The server's side of an HTTP/2 connection, for scripts of the scripted server: what a script says is what happens."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded

if TYPE_CHECKING:
    from tests.load.scripted_server import Visit

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0, 2, 7, 11


@dataclass
class Asked:
    """One request."""

    stream: int
    headers: dict[str, str]
    body: bytes = b""


class H2Visit:
    """A Visit whose bytes are HTTP/2."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._open: dict[int, Asked] = {}
        self._whole: list[Asked] = []
        self.h2.initiate_connection()
        self._flush()

    def request(self) -> Asked | None:
        """Read one whole request; None when the client has closed."""
        while not self._whole:
            try:
                data = self.visit.sock.recv(65536)
            except OSError:
                return None
            if not data:
                return None
            for event in self.h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers = {str(name): str(value) for name, value in event.headers}
                    self._open[event.stream_id] = Asked(event.stream_id, headers)
                elif isinstance(event, DataReceived):
                    self._open[event.stream_id].body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    self._whole.append(self._open.pop(event.stream_id))
                elif isinstance(event, ConnectionTerminated):
                    return None
            self._flush()
        self.visit.server.count("requests")
        return self._whole.pop(0)

    def head(self, asked: Asked, status: int = 200, *, end: bool = False, **headers: str) -> None:
        """Send the head of a response."""
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(asked.stream, [(":status", str(status)), *pairs], end_stream=end)
        self._flush()

    def body(self, asked: Asked, data: bytes, *, end: bool = True) -> None:
        """Send a part of its body."""
        self.h2.send_data(asked.stream, data, end_stream=end)
        self._flush()

    def trailers(self, asked: Asked, **headers: str) -> None:
        """Send what comes behind the body, and end the stream."""
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(asked.stream, pairs, end_stream=True)
        self._flush()

    def answer(self, asked: Asked, status: int = 200, data: bytes = b"ok\n", **headers: str) -> None:
        """Send a whole response."""
        self.visit.server.count("answered")
        self.head(asked, status, end=not data, **headers)
        if data:
            self.body(asked, data)

    def big(self, asked: Asked, size: int) -> None:
        """Send a body of many frames, as fast as the client's windows let it."""
        left = size
        while left:
            window = min(
                self.h2.local_flow_control_window(asked.stream), self.h2.max_outbound_frame_size, left
            )
            if window:
                left -= window
                self.body(asked, b"x" * window, end=not left)
            else:
                self.h2.receive_data(self.visit.sock.recv(65536))
                self._flush()

    def reset(self, asked: Asked, code: int, what: str = "lost") -> None:
        """End the request's stream, and nothing else."""
        self.visit.server.count(what)
        self.h2.reset_stream(asked.stream, code)
        self._flush()

    def goaway(self, last_stream: int, code: int = NO_ERROR) -> None:
        """Say that the connection ends, as a frame of bytes: h2 itself would not go on after it."""
        payload = last_stream.to_bytes(4) + code.to_bytes(4)
        self.raw(len(payload).to_bytes(3) + b"\x07\x00" + (0).to_bytes(4) + payload)

    def raw(self, data: bytes) -> None:
        """Send bytes that h2 knows nothing of."""
        with contextlib.suppress(OSError):
            self.visit.sock.sendall(data)

    def _flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.raw(data)
