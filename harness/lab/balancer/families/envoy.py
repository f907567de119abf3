"""Envoy 1.40, as measured: 503 for every failure before an answer, with a text of its own that names the failure.

Every answer says `server: envoy`, and those of a target carry x-envoy-upstream-service-time. An answer that is cut
off leaves the client's connection open for 1 s more (delayed_close_timeout). No retries unless a route says so.
Istio's default, 2, retries only requests that have not been sent yet.
"""

from __future__ import annotations

from harness.lab.balancer.families.family import Meaning, Profile, Reply, Retry


def _text(title: str, words: str, *, closes: bool = False) -> Reply:
    head = f"HTTP/1.1 {title}\r\ncontent-length: {len(words)}\r\ncontent-type: text/plain\r\n"
    return Reply(int(title[:3]), head.encode(), words.encode(), closes)


def _reset(reason: str, title: str = "503 Service Unavailable") -> Reply:
    return _text(title, f"upstream connect error or disconnect/reset before headers. reset reason: {reason}")


ENVOY = Profile(
    name="envoy",
    replies={
        Meaning.NOBODY: _text("503 Service Unavailable", "no healthy upstream"),
        Meaning.REFUSED: _reset("remote connection failure"),
        Meaning.CONNECT_TIMEOUT: _reset("connection timeout"),
        Meaning.BROKEN: _reset("connection termination"),
        Meaning.INVALID: _reset("protocol error", "502 Bad Gateway"),
        Meaning.NO_ANSWER: _text("504 Gateway Timeout", "upstream request timeout"),
        Meaning.BAD_REQUEST: _text("400 Bad Request", "Bad Request", closes=True),
        Meaning.SLOW_REQUEST: _text("408 Request Timeout", "stream timeout", closes=True),
    },
    end="{date}server: envoy\r\n{close}",
    own_end="{date}server: envoy\r\n{close}",
    drop=frozenset({b"server"}),
    lower=True,
    times=True,
    client_idle_ns=3600_000_000_000,  # common_http_protocol_options.idle_timeout
    cut_after_s=1.0,
    retries=Retry.CONNECTING,
)
