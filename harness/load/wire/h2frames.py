"""Take GOAWAY frames out of the bytes of an HTTP/2 connection, before the h2 package sees them. Pure.

For h2, a GOAWAY ends everything: a response on a stream that the server has accepted would count as an error. RFC 9113
(6.8) says otherwise: streams up to the one that GOAWAY names go on, later ones were not processed. So the frame is
taken out here and kept, and the owner of the connection decides.
"""

from __future__ import annotations

from dataclasses import dataclass

_HEAD = 9
_GOAWAY = 7
_LONGEST = 16_384  # the largest frame allowed by default, and we do not negotiate another


@dataclass(frozen=True, slots=True)
class Goaway:
    """What a server says when it ends a connection: the last stream it will respond to, and why (0: no error)."""

    last_stream: int
    code: int


class Frames:
    """Takes bytes in pieces of any size and returns all but GOAWAY frames; the newest of those is `goaway`.

    `oversized` is the length of a frame longer than allowed. HTTP/1.1 read as HTTP/2 looks like one, and h2 would wait
    for all of it.
    """

    __slots__ = ("_held", "_kept", "goaway", "oversized")

    def __init__(self) -> None:
        self._held = bytearray()  # the start of a frame, too short to decide about
        self._kept = 0  # bytes still to come of a frame that is passed on
        self.goaway: Goaway | None = None
        self.oversized = 0

    def feed(self, data: bytes) -> bytes:
        """Return what is passed on to the h2 package."""
        if self._kept >= len(data) and not self._held:
            self._kept -= len(data)
            return data
        out = bytearray()
        self._held += data
        while self._held:
            if self._kept:
                through = min(self._kept, len(self._held))
                out += self._held[:through]
                del self._held[:through]
                self._kept -= through
                continue
            if len(self._held) < _HEAD:
                break
            length = int.from_bytes(self._held[:3])
            if length > _LONGEST:
                self.oversized = length
                break
            if self._held[3] != _GOAWAY:
                self._kept = _HEAD + length
                continue
            if len(self._held) < _HEAD + length:
                break
            if length >= 8:  # a shorter one is an error, which h2 reports
                self._take(bytes(self._held[_HEAD : _HEAD + length]))
                del self._held[: _HEAD + length]
            else:
                self._kept = _HEAD + length
        return bytes(out)

    def _take(self, payload: bytes) -> None:
        last = int.from_bytes(payload[:4]) & 0x7FFF_FFFF
        self.goaway = Goaway(last, int.from_bytes(payload[4:8]))
