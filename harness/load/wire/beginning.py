"""Parse the beginning of a response a second time, for its headers and the part of its body that has come. Pure.

Only responses that are kept are parsed in this way: the parser that classifies all responses would copy every header.
"""

from __future__ import annotations

import re

from harness.load.answers import KEPT, Said

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d 1(?!01)\d\d")
_LENGTH = re.compile(r"[0-9]{1,15}")
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[^\r\n]*\r?\n")


def said(status: int, begin: bytes, seen: int, *, bodiless: bool, done: bool) -> Said:
    """Return the headers and the beginning of the body of a response. `begin`: its first bytes; `seen`: bytes so far.

    `bodiless`: it answers HEAD; `done`: it is complete. Interim responses before it are left out.
    """
    data = begin.lstrip(b"\r\n")
    start = 0
    while (end := _HEAD_END.search(data, start)) and _INTERIM.match(data, start):
        start = end.end()
    head, body = (data[start:], b"") if end is None else (data[start : end.start()], data[end.end() :])
    headers = _headers(head)
    lengths = [value for name, value in headers if name == "content-length"]
    length = int(lengths[0]) if lengths and _LENGTH.fullmatch(lengths[0]) else None
    size = seen - (len(begin) - len(body))
    whole = seen <= len(begin)
    if bodiless:
        body = b""
    elif any(name == "transfer-encoding" and "chunked" in value.lower() for name, value in headers):
        body = _unchunked(body)
        size = len(body) if whole else size
    elif length is not None:
        body, size = body[:length], length
        whole = whole or len(body) == length
    closes = any(name == "connection" and "close" in value.lower() for name, value in headers)
    return Said(status, headers, body[:KEPT], not whole or len(body) > KEPT, size, done, closes)


def _headers(head: bytes) -> list[tuple[str, str]]:
    """Return names in lower case, and values. Bytes that are not UTF-8 become U+FFFD. Folded lines are joined."""
    found: list[tuple[str, str]] = []
    for line in head.split(b"\n")[1:]:
        text = line.decode(errors="replace").rstrip("\r")
        if text[:1] in {" ", "\t"} and found:
            name, value = found.pop()
            found.append((name, f"{value} {text.strip()}"))
        else:
            name, _, value = text.partition(":")
            found.append((name.strip().lower(), value.strip()))
    return found


def _unchunked(data: bytes) -> bytes:
    """Return what has come of a chunked body, as far as it can be read."""
    parts: list[bytes] = []
    at = 0
    while found := _SIZE.match(data, at):
        size = int(found[1], 16)
        if not size:
            break
        parts.append(data[found.end() : found.end() + size])
        at = found.end() + size
        at += 2 if data.startswith(b"\r\n", at) else 1 if data.startswith(b"\n", at) else 0
    return b"".join(parts)
