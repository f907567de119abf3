"""Reads the common log formats many lines at a time.

Most lines of a log differ in their times alone. So one pattern finds in a block, line by line, the id and those parts
that decide what a line says; a line whose parts were met before is not parsed again. What no pattern fits is left to
formats.py, and so is the first line with new parts: there is one reading of each format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.judge.accesslogs.formats import ALB, CADDY, ENVOY, HAPROXY, NGINX

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIST = rb"((?:[^ \n]+, ){0,8}[^ \n]+)"
_UNNAMED_LIST = rb"(?:[^ \n]+, ){0,8}[^ \n]+"
_FLAGS = 80  # characters that a status and response flags take at most
_PATTERNS = {  # %s: the id; the other groups are the parts that decide
    NGINX: rb"\] \[[^\]\n]*\] "
    + _LIST
    + rb" "
    + _UNNAMED_LIST
    + rb" "
    + _UNNAMED_LIST
    + rb" "
    + _LIST
    + rb" %s",
    ENVOY: rb'"%s" "[^"\n]*+" "([^"\n]*+)"',
    # What stands between the time and the timers, and all that follows the id: an address may be in either.
    HAPROXY: rb"\] ([^\n]*?) (?:-?\d+/){4}\+?\d+ (?:-1|\d{3}) \+?\d+ \S+ \S+ ([A-Za-z-]{4}) [^\n.]*?%s([^\n]*)",
    ALB: (
        rb"(?m)^(?:https?|h2|grpcs|wss?) \S+ \S+ \S+ (\S+) \S+ \S+ \S+ (\d{3}|-) (\d{3}|-) "
        rb'(?:[^"\n]*+"[^"\n]*+"){0,9}?[^"\n]*+"Root=[^"\n-]*-[^"\n-]*-%s'
    ),
    CADDY: rb'"%s"[^\n]*?"duration":[^,\n]*,([^\n]*)',
}


class Quick:
    """Finds the lines of one family in blocks of a log. `ids` has one group, the 16 digits."""

    def __init__(self, family: str, ids: re.Pattern[bytes]) -> None:
        named = ids.pattern.replace(b"([0-9a-f]{16})", b"(?P<id>[0-9a-f]{16})")
        self._pattern = re.compile(_PATTERNS[family].replace(b"%s", named))
        mine = self._pattern.groupindex["id"]
        self._parts = [number for number in range(1, self._pattern.groups + 1) if number != mine]
        self._flags = family == ENVOY

    def lines(self, block: bytes) -> Iterator[tuple[bytes, Any, int]]:
        """Yield of each line the digits, the parts that decide, and where in the block the digits begin."""
        parts, flags = self._parts, self._flags
        for match in self._pattern.finditer(block):
            start = match.start("id")
            decide: Any = match.group(*parts)
            if flags:
                decide = (decide, *_status_and_flags(block, start))
            yield match["id"], decide, start


def known(family: str) -> bool:
    """Whether there is a pattern for a family."""
    return family in _PATTERNS


def _status_and_flags(block: bytes, at: int) -> list[bytes]:
    """Return the two words that follow the request line."""
    begin = block.find(b'" ', block.rfind(b"\n", 0, at) + 1, at) + 2
    return block[begin : begin + _FLAGS].split(b" ", 2)[:2]
