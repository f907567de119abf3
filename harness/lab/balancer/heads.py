"""Caches of parsed heads, and the last lines of every head that the balancer sends."""

from __future__ import annotations

import dataclasses
import re
import secrets
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from harness.lab.balancer.wire import RequestHead, ResponseHead, parse_request, parse_response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from harness.lab.balancer.families.family import Profile

HEADS_KEPT = 512  # cached heads: a pod sends the same one again and again
_NUMBERS = (b"\r\nX-Request-ID: ", b"\r\nX-Amzn-Trace-Id: ")  # fields with a new value in each request


class Heads:
    """The heads of one balancer, cached: thousands arrive each second, and few of them differ."""

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

    def read_response(self, head: bytes, *, bare: bool = False) -> ResponseHead:
        """Parse the head of a response. `bare`: it answers HEAD."""
        known = self._responses.get(head) if not bare else None
        if known is None:
            known = _as_passed_on(parse_response(head, bare=bare, drop=self._profile.drop), self._profile)
            if bare:
                return known
            if len(self._responses) >= HEADS_KEPT:
                self._responses.clear()
            self._responses[head] = known
        return known

    def read_request(self, head: bytes) -> tuple[RequestHead, bytes]:
        """Parse the head of a request; return it, and the bytes to forward. Raises Malformed.

        A client sends the same head again and again, except for the ids of its requests.
        """
        length = len(head)
        known = self._requests.get(length)
        if known is not None and known[1](head):
            return known[0], head
        request = parse_request(head)
        if request.forward is head:  # else it has to be rewritten, so it is parsed each time
            # If two heads of one length differ in more than ids, heads of that length are always parsed from then on.
            new = length not in self._requests and len(self._requests) < HEADS_KEPT
            self._requests[length] = (request, _like(head)) if new else None
        return request, request.forward

    def tail(self, *, keep: bool, dated: bool) -> bytes:
        """Return a forwarded head's last lines: Date and Server if missing, Connection, the empty line."""
        return self._tails[keep, dated]

    def trace(self) -> bytes:
        """Return the X-Amzn-Trace-Id that an ALB adds to a request without one (user guide, "Request tracing")."""
        self._traced += 1
        return b"X-Amzn-Trace-Id: Root=1-%08x-%b%08x\r\n" % (int(time.time()), self._trace, self._traced)

    def own_tail(self, *, keep: bool) -> bytes:
        """Return the last lines of a head of our own."""
        return self._own_tails[keep]

    def _date(self) -> None:
        profile, now = self._profile, formatdate(usegmt=True)
        date, connection = ("date", "connection") if profile.lower else ("Date", "Connection")
        for keep in (True, False):
            words = {
                "close": "" if keep else f"{connection}: close\r\n",
                "connection": "keep-alive" if keep else "close",
            }
            self._own_tails[keep] = _end(profile.own_end, date=f"{date}: {now}\r\n", **words)
            for dated in (True, False):
                date_line = "" if dated else f"{date}: {now}\r\n"
                self._tails[keep, dated] = _end(profile.end, date=date_line, **words)
        self._loop.call_later(1, self._date)


def _end(template: str, **words: str) -> bytes:
    return template.format(**words).encode() + b"\r\n"


def _as_passed_on(head: ResponseHead, profile: Profile) -> ResponseHead:
    """Write a target's head as this balancer passes it on."""
    forward = head.forward
    if profile.lower:
        line, *fields = forward.split(b"\r\n")
        named = (field.partition(b":") for field in fields)
        forward = b"\r\n".join([line, *(name.lower() + colon + value for name, colon, value in named)])
    if profile.server and b"\r\nserver:" not in forward.lower():
        forward += profile.server
    return head if forward == head.forward else dataclasses.replace(head, forward=forward)


def _like(head: bytes) -> Callable[[bytes], object]:
    """Return a function that tells whether another head is the same except for its ids."""
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
