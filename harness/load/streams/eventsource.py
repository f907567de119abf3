"""Server-sent events, as a browser reads them; and plain lines, for a response that is merely held open. Sans-IO.

WHATWG HTML, 9.2.6 "Interpreting an event stream" (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with CR LF, LF or CR; a byte order mark at the start is skipped; a line that begins with a colon is a comment;
an event is dispatched at an empty line, and only if it has data; an id with NUL, and a retry that is not all digits,
are ignored. What is written here is the whole of it, so there is no library in between.
"""

from __future__ import annotations

import re

from harness.load.streams.life import number_of

_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 20
_LONGEST_RETRY = 12  # digits


class TooLongError(ValueError):
    """A line has no end within LONGEST_LINE bytes."""


class Lines:
    """Splits bytes into lines, however they arrive."""

    __slots__ = ("_after_cr", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False  # the last byte was a CR: a LF that comes next is part of the same end

    def take(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without their ends. Raises TooLongError."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        *lines, self._rest = _END.split(self._rest + data)
        if len(self._rest) > LONGEST_LINE:
            raise TooLongError(f"a line does not end within {LONGEST_LINE} bytes")
        return lines


class EventStream:
    """A body of type text/event-stream. `last_id` is what Last-Event-ID says at the next connection."""

    __slots__ = ("_begun", "_data", "_id", "_lines", "last_id", "retry_ns")

    kind = "sse"

    def __init__(self, last_id: bytes = b"") -> None:
        self._lines = Lines()
        self._begun = False
        self._data: list[bytes] = []
        self.last_id = self._id = last_id
        self.retry_ns = 0  # as the server asked for; 0: it has not

    def take(self, data: bytes) -> list[int]:
        """Return the number of each event that these bytes complete, UNNUMBERED where it has none."""
        if not self._begun and data:
            # A mark that is cut in two by the network is one byte of a field that nobody knows: it does no harm.
            self._begun, data = True, data.removeprefix(_BOM)
        numbers = []
        for line in self._lines.take(data):
            if line:
                self._field(line)
                continue
            self.last_id = self._id
            if self._data:
                numbers.append(number_of(self._id) if self._id else number_of(b"\n".join(self._data)))
                self._data = []
        return numbers

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit() and len(value) <= _LONGEST_RETRY:
            self.retry_ns = int(value) * 1_000_000


class LineStream:
    """A body of any other type: each line that is not empty is a message."""

    __slots__ = ("_lines",)

    kind = "chunked"
    last_id = b""
    retry_ns = 0

    def __init__(self) -> None:
        self._lines = Lines()

    def take(self, data: bytes) -> list[int]:
        """Return the number of each line that these bytes complete, UNNUMBERED where it has none."""
        return [number_of(line) for line in self._lines.take(data) if line]
