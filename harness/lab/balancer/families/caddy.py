"""Caddy 2.11, as measured: 502 for a silent address too, and no body.

Its own answers say `Server: Caddy`, a target's have `Via: 1.1 Caddy`. If a reused connection breaks before any
byte of the answer, Go's transport sends a GET, HEAD, OPTIONS or TRACE without a body again, on a new connection to
the same target.
"""

from __future__ import annotations

from harness.lab.balancer.families.family import Meaning, Profile, Reply, Retry


def _empty(title: str, *, closes: bool = False) -> Reply:
    return Reply(int(title[:3]), f"HTTP/1.1 {title}\r\nServer: Caddy\r\n".encode(), b"", closes)


CADDY = Profile(
    name="caddy",
    replies={
        Meaning.NOBODY: _empty("503 Service Unavailable"),
        Meaning.REFUSED: _empty("502 Bad Gateway"),
        Meaning.CONNECT_TIMEOUT: _empty("502 Bad Gateway"),
        Meaning.BROKEN: _empty("502 Bad Gateway"),
        Meaning.INVALID: _empty("502 Bad Gateway"),
        Meaning.NO_ANSWER: _empty("504 Gateway Timeout"),
        Meaning.BAD_REQUEST: _empty("400 Bad Request", closes=True),
        Meaning.SLOW_REQUEST: _empty("408 Request Timeout", closes=True),
    },
    end="Via: 1.1 Caddy\r\n{date}{close}",
    own_end="{date}Content-Length: 0\r\n{close}",
    client_idle_ns=300_000_000_000,  # servers' idle_timeout
    retries=Retry.GET_TOO,
    asks_again=True,
)
