"""HTTP/2 frames as bytes (RFC 9113, 4 and 6): their numbers, how they are written, and where one ends. Pure."""

from __future__ import annotations

HEAD = 9  # bytes of a frame's head: length (3), type (1), flags (1), stream (4)
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITIZED = 0x4, 0x8, 0x20

# Error codes (RFC 9113, 7).
(
    NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED,
) = range(14)  # fmt: skip
_CODES = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
# Settings (RFC 9113, 6.5.2).
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 1, 2, 3, 4, 5

SHORTEST_MAX_FRAME = 16_384  # the longest frame of a peer that has not said otherwise; we never say otherwise
LONGEST_MAX_FRAME = 0xFF_FFFF
LARGEST_WINDOW = LAST_STREAM = 0x7FFF_FFFF
FIRST_WINDOW = 65_535  # of a connection, and of each stream of a peer that has not said otherwise
REFILL = 1 << 30  # how many bytes we take before we open our windows again
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return b"%b%c%c%b%b" % (len(payload).to_bytes(3), kind, flags, stream.to_bytes(4), payload)


def head(length: int, kind: int, flags: int) -> bytes:
    """Return the head of a frame without its last four bytes, the stream."""
    return b"%b%c%c" % (length.to_bytes(3), kind, flags)


def settings() -> bytes:
    """Return our settings.

    No dynamic table for the peer's header blocks: without it a block means the same whenever it comes. No pushed
    streams. The largest windows: a load test waits for nothing but the server.
    """
    ours = ((TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW, LARGEST_WINDOW))
    return frame(SETTINGS, 0, 0, b"".join(name.to_bytes(2) + value.to_bytes(4) for name, value in ours))


def window_update(stream: int, increment: int) -> bytes:
    """Let the peer send more."""
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4))


def reset(stream: int, code: int) -> bytes:
    """End one stream."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def goaway(code: int) -> bytes:
    """Say that we end the connection. We accept no streams, so the last one is 0."""
    return frame(GOAWAY, 0, 0, bytes(4) + code.to_bytes(4))


def opening() -> bytes:
    """Return what a client sends first: the preface, its settings, and the connection's window at its largest."""
    return _PREFACE + settings() + window_update(0, LARGEST_WINDOW - FIRST_WINDOW)


def code_name(code: int) -> str:
    """Return an error code as text: "7 (REFUSED_STREAM)"."""
    return f"{code} ({_CODES[code]})" if code < len(_CODES) else str(code)


def answer_end(data: bytes, at: int) -> tuple[int, int, int]:
    """Return where the response ends that begins at `at`, its number of frames, and the bytes of DATA in it.

    All three are 0 if that is not so simple. Simple is: HEADERS that are whole, then DATA, then HEADERS again if these
    end the stream (trailers), without padding, all of one stream and nothing in between, to the frame that ends the
    stream. Such bytes mean the same on every stream.
    """
    stream = data[at + 5 : at + HEAD]
    end, count, content = at, 0, 0
    while len(data) >= end + HEAD and data[end + 5 : end + HEAD] == stream:
        kind, flags = data[end + 3], data[end + 4]
        if kind == HEADERS:
            if not flags & END_HEADERS or (count and not flags & END_STREAM):
                return 0, 0, 0
        elif kind != DATA or not count:
            return 0, 0, 0
        if flags & ~(END_STREAM | END_HEADERS):
            return 0, 0, 0
        length = data[end] << 16 | data[end + 1] << 8 | data[end + 2]
        end += HEAD + length
        count += 1
        content += 0 if kind == HEADERS else length
        if flags & END_STREAM:
            return (end, count, content) if end <= len(data) else (0, 0, 0)
    return 0, 0, 0
