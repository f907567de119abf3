"""What the balancer knows of heads: those that it has read before, and how its own and passed-on ones end."""

from __future__ import annotations

import re
import secrets
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from harness.lab.balancer.wire import RequestHead, ResponseHead, parse_request, parse_response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from harness.lab.balancer.profiles import Profile

HEADS_KEPT = 512  # heads that were read before: a pod sends the same one again and again
_NUMBERS = (b"\r\nX-Request-ID: ", b"\r\nX-Amzn-Trace-Id: ")  # fields of which each request has another value


class Heads:
    """Of one balancer. Heads are remembered, for they are read thousands of times a second and are few."""

    def __init__(self, profile: Profile, loop: asyncio.AbstractEventLoop) -> None:
        self._profile, self._loop = profile, loop
        self.traces = profile.traces
        self._trace = secrets.token_hex(8).encode()
        self._traced = 0
        self._responses: dict[bytes, ResponseHead] = {}
        self._requests: dict[int, tuple[RequestHead, Callable[[bytes], object]] | None] = {}  # by length
        self._tails: dict[tuple[bool, bool], bytes] = {}
        self._own_tails: dict[bool, bytes] = {}
        self._date()

    def read_response(self, head: bytes) -> ResponseHead:
        """Read the head of an answer to anything but HEAD."""
        known = self._responses.get(head)
        if known is None:
            known = parse_response(head, drop=self._profile.drop)
            if len(self._responses) >= HEADS_KEPT:
                self._responses.clear()
            self._responses[head] = known
        return known

    def read_request(self, head: bytes) -> tuple[RequestHead, bytes]:
        """Read the head of a request; return it, and its bytes as they go on. Raises Malformed.

        A client sends the same head again and again, but for the values by which it numbers its requests.
        """
        length = len(head)
        known = self._requests.get(length)
        if known is not None and known[1](head):
            return known[0], head
        request = parse_request(head)
        if request.forward is head:  # else it goes on otherwise than it came, and is read each time
            # One that differs in more is no pattern: heads of its length are read each time from then on.
            new = length not in self._requests and len(self._requests) < HEADS_KEPT
            self._requests[length] = (request, _like(head)) if new else None
        return request, request.forward

    def tail(self, *, keep: bool, dated: bool) -> bytes:
        """Return what a target's head still wants: Date unless it has one, Server where it was taken out, Connection, the end."""
        return self._tails[keep, dated]

    def trace(self) -> bytes:
        """Return the field by which an ALB numbers a request that has no number yet (user guide, "Request tracing")."""
        self._traced += 1
        return b"X-Amzn-Trace-Id: Root=1-%08x-%b%08x\r\n" % (int(time.time()), self._trace, self._traced)

    def own_tail(self, *, keep: bool) -> bytes:
        """Return the end of a head of our own."""
        return self._own_tails[keep]

    def _date(self) -> None:
        date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        server = b"" if self._profile.passes_server else self._profile.server
        for keep in (True, False):
            end = b"Connection: keep-alive\r\n\r\n" if keep else b"Connection: close\r\n\r\n"
            self._own_tails[keep] = date + end
            for dated in (True, False):
                self._tails[keep, dated] = server + (b"" if dated else date) + end
        self._loop.call_later(1, self._date)


def _like(head: bytes) -> Callable[[bytes], object]:
    """Return what tells whether another head is this one, but for the values of its numbers."""
    spans = []
    for name in _NUMBERS:
        at = head.find(name)
        if at > 0:
            at += len(name)
            spans.append((at, head.find(b"\r\n", at)))
    parts, since = [], 0
    for begin, end in sorted(spans):
        parts += [re.escape(head[since:begin]), rb"[^\r]*"]
        since = end
    return re.compile(b"".join([*parts, re.escape(head[since:])]), re.DOTALL).fullmatch
