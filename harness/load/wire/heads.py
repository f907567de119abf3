"""What RFC 9112 forbids in the head of a response, and the parser accepts. Pure.

The parser is set to be lenient where a head can mean only one thing (folded lines, LF alone). But its leniency goes
further: a space before a colon, a line of white space before the first header, control characters. Two clients could
read such a head in two ways, one of them as a shorter response, so no such response counts as complete.
"""

from __future__ import annotations

import re

_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_FIELD = _NAME + rb":" + _TEXT + rb"\r?\n(?:[ \t]" + _TEXT + rb"\r?\n)*+"
_HEAD = rb"HTTP/1\.\d \d\d\d(?: " + _TEXT + rb")?\r?\n(?:" + _FIELD + rb")*+\r?\n"
_SOUND = re.compile(rb"(?:\r?\n)*+(?:" + _HEAD + rb")++")  # interim heads, and the final one
_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d 1\d\d")
_FAULTS = (
    (re.compile(rb"^(?!HTTP/1\.\d )"), "a version that is not HTTP/1"),
    (re.compile(rb"\n[^\s:]+[ \t]+:"), "white space before a header's colon"),
    (re.compile(rb"^[^\n]*\n[ \t]"), "white space before the first header"),
    (re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"), "a control character in the head"),
)


def breach(received: bytes) -> str:
    """Return what is wrong with the head at the start of these bytes, or "". Names no header and no value."""
    if _SOUND.match(received):
        return ""
    end = _END.search(received)
    head = received.lstrip(b"\r\n")[: end.end() if end else None]
    return next((what for pattern, what in _FAULTS if pattern.search(head)), "a malformed head")


def codings(value: bytes) -> tuple[str, bool]:
    """Read a Transfer-Encoding: return what is wrong with it, or "", and whether the last coding is chunked."""
    names = [token.strip().lower() for token in value.split(b",")]
    wrong = "chunked more than once" if names.count(b"chunked") > 1 else ""
    return wrong, names[-1] == b"chunked"


def one_length(data: bytes) -> bytes | None:
    """Return the response with its Content-Length once, if it is repeated with the same value.

    Return anything else unchanged, and None as long as the head is incomplete.
    """
    start = 0
    while (end := _END.search(data, start)) and _INTERIM.match(data, start):
        start = end.end()
    if end is None:
        return None
    status, *lines = data[start : end.start()].split(b"\n")
    pairs = [(line, *line.lower().split(b":", 1)) for line in lines]
    values = [pair[2] for pair in pairs if len(pair) == 3 and pair[1] == b"content-length"]
    lengths = {length.strip() for value in values for length in value.split(b",")}
    if len(lengths) != 1:
        return data
    others = [pair[0] for pair in pairs if pair[1] != b"content-length"]
    head = b"\n".join([status, b"Content-Length: " + lengths.pop() + b"\r", *others])
    return data[:start] + head.removesuffix(b"\r") + data[end.start() :]
