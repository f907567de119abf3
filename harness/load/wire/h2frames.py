"""Finding GOAWAY in the bytes of an HTTP/2 connection, before the h2 package sees it. Pure.

h2 takes a GOAWAY for the end of everything: what the server still answers on a stream that it has accepted would count
as a fault. RFC 9113 (6.8) says otherwise: streams up to the last one it names go on, those above it were not touched.
So the frame is taken out here and kept, and whoever owns the connection decides.
"""

from __future__ import annotations

from dataclasses import dataclass

_HEAD = 9
_GOAWAY = 7
_LONGEST = 16_384  # what a frame may hold where nothing else was agreed on, and we agree on nothing else


@dataclass(frozen=True, slots=True)
class Goaway:
    """What a server said when it ended a connection: the last stream it will answer, and why (0: no fault)."""

    last_stream: int
    code: int


class Frames:
    """Takes bytes as they come, in any pieces, and gives back all but GOAWAY frames; the newest of those is `goaway`.

    `oversized` is the length of a frame that is longer than any may be: what speaks HTTP/1.1 looks like that, and h2 would
    wait for the whole of it.
    """

    __slots__ = ("_held", "_kept", "goaway", "oversized")

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of a frame that cannot be judged yet
        self._kept = 0  # bytes still to come of a frame that goes through
        self.goaway: Goaway | None = None
        self.oversized = 0

    def feed(self, data: bytes) -> bytes:
        """Return what goes on to the h2 package."""
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
            if length >= 8:  # a shorter one is a breach, and h2 says so
                self._take(bytes(self._held[_HEAD : _HEAD + length]))
                del self._held[: _HEAD + length]
            else:
                self._kept = _HEAD + length
        return bytes(out)

    def _take(self, payload: bytes) -> None:
        last = int.from_bytes(payload[:4]) & 0x7FFF_FFFF
        self.goaway = Goaway(last, int.from_bytes(payload[4:8]))
