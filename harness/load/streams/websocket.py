"""A WebSocket connection after its handshake, and the handshake's own rules. Sans-IO.

Frames are websockets' (its sans-IO class): masking, fragments, pings that are answered, the closing handshake. The
handshake is our own, because its answer may be any answer of a balancer, which the load reads and keeps as all others.
"""

from __future__ import annotations

import os
from base64 import b64encode
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol
from websockets.utils import accept_key

from harness.load.streams.life import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_CODE = 1005  # RFC 6455, 7.4.1: a close frame that gives no code
ABNORMAL = 1006  # no close frame came
# Codes that end a connection as announced: RFC 6455 7.4.1 (1000, 1001), the IANA registry (1012 service restart, 1013
# try again later), and what applications and libraries define for themselves. All others say that something is wrong.
ANNOUNCED = frozenset({1000, 1001, NO_CODE, 1012, 1013})
_OWN_CODES = range(3000, 5000)
_PING = b"zdtest"
_DATA = frozenset({Opcode.CONT, Opcode.TEXT, Opcode.BINARY})
_NUMBER_BYTES = 64  # of a message, in which its number is looked for


def is_announced(code: int) -> bool:
    """Whether a server that closes with this code ends the connection in an orderly way."""
    return code in ANNOUNCED or code in _OWN_CODES


def new_key() -> bytes:
    """Return a key for a handshake: random for each connection (RFC 6455, 4.1)."""
    return b64encode(os.urandom(16))


def refusal(key: bytes, headers: Sequence[tuple[str, str]]) -> str:
    """Return why a 101 does not open a WebSocket connection (RFC 6455, 4.1); "" if it does. Names are in lower case."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    if found.get("upgrade", "").strip().lower() != "websocket":
        return "the answer upgrades to something else than websocket"
    if "upgrade" not in {token.strip().lower() for token in found.get("connection", "").split(",")}:
        return "the answer has no Connection: Upgrade"
    if found.get("sec-websocket-accept", "").strip() != accept_key(key.decode()):
        return "the answer's Sec-WebSocket-Accept does not belong to the request"
    if found.get("sec-websocket-extensions", "").strip():
        return "the answer chooses an extension that was not asked for"
    if found.get("sec-websocket-protocol", "").strip():
        return "the answer chooses a subprotocol that was not asked for"
    return ""


class Frames:
    """The frames of one connection. `code` is set once the server has closed, or broken the protocol (`fault`)."""

    __slots__ = ("_begin", "_protocol", "code", "fault")

    kind = "websocket"
    last_id = b""
    retry_ns = 0

    def __init__(self) -> None:
        self._protocol = Protocol(CLIENT, state=OPEN, max_size=1 << 24)
        self._begin = b""  # of the message that is coming, which may come in fragments
        self.code = 0
        self.fault = ""

    def take(self, data: bytes) -> list[int]:
        """Return the number of each message that these bytes complete, UNNUMBERED where it has none."""
        self._protocol.receive_data(data)
        numbers = []
        for frame in self._protocol.events_received():
            if not isinstance(frame, Frame):
                continue
            if frame.opcode is Opcode.CLOSE:
                closed = self._protocol.close_rcvd
                self.code = closed.code if closed is not None else NO_CODE
            elif frame.opcode in _DATA:
                if frame.opcode is not Opcode.CONT:
                    self._begin = bytes(frame.data[:_NUMBER_BYTES])
                if frame.fin:
                    numbers.append(number_of(self._begin))
        if self._protocol.parser_exc is not None and not self.code:
            self.fault = type(self._protocol.parser_exc).__name__
        return numbers

    def to_send(self) -> bytes:
        """Return what must be sent now: pongs, the answer to a close frame, and what was asked for."""
        return b"".join(self._protocol.data_to_send())

    def ping(self) -> None:
        """Ask for a pong."""
        if self._protocol.state is OPEN:
            self._protocol.send_ping(_PING)

    def message(self, text: bytes) -> None:
        """Send a text message."""
        if self._protocol.state is OPEN:
            self._protocol.send_text(text)

    def close(self) -> None:
        """Begin the closing handshake: our side goes (1000)."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
