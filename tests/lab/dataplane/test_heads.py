"""Heads that the balancer has cached are not parsed again, and still pass through unchanged."""

from __future__ import annotations

import pytest
import uvloop

from harness.lab.balancer.families import PROFILES
from harness.lab.balancer.heads import HEADS_KEPT, Heads
from harness.lab.balancer.wire import Malformed

LINE = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def heads() -> Heads:
    return Heads(PROFILES["alb"], uvloop.new_event_loop())


def numbered(n: int) -> bytes:
    return LINE + b"X-Request-ID: %d\r\nX-Amzn-Trace-Id: Root=1-%d\r\nAccept: */*\r\n" % (n, n * 1000)


def test_a_head_that_differs_in_its_numbers_only_is_known_and_keeps_them(heads: Heads) -> None:
    first, forward = heads.read_request(numbered(1))
    again, other = heads.read_request(numbered(2))
    assert again is first
    assert (forward, other) == (numbered(1), numbered(2))
    assert first.traced


def test_a_head_with_another_field_or_a_body_is_another(heads: Heads) -> None:
    plain, _ = heads.read_request(numbered(1))
    closing, forward = heads.read_request(numbered(1) + b"Connection: close\r\n")
    assert (plain.keep, closing.keep) == (True, False)
    assert b"Connection" not in forward
    for n in (3, 44):
        long, forward = heads.read_request(numbered(n) + b"Content-Length: 4\r\n")
        assert long.frame is not None
        assert b"X-Request-ID: %d\r\n" % n in forward


def test_digits_cannot_hide_a_malformed_head(heads: Heads) -> None:
    heads.read_request(numbered(10**40))
    smuggled = b"1\r\nContent-Length: 9\r\nX: ".ljust(41, b"1")
    long, _ = heads.read_request(numbered(10**40).replace(b"%d" % 10**40, smuggled))
    assert long.frame is not None
    with pytest.raises(Malformed):
        heads.read_request(b"GET / HTTP/1.1\r\nX-Request-ID: 1\r\n")
    long, _ = heads.read_request(
        LINE + b"X-Request-ID: 1\r\nContent-Length: 7\r\nX-Amzn-Trace-Id: Root=1-1000\r\nAccept: */*\r\n"
    )
    assert long.frame is not None


def test_heads_of_one_length_that_differ_in_more_than_digits_are_always_parsed(heads: Heads) -> None:
    paths = [heads.read_request(b"GET /%d HTTP/1.1\r\nHost: a\r\n" % n) for n in (11, 22, 11, 22)]
    assert [forward[5:7] for _, forward in paths] == [b"11", b"22", b"11", b"22"]
    assert paths[0][0] is not paths[2][0]


def test_cached_heads_are_keyed_by_length_and_bounded(heads: Heads) -> None:
    for n in range(2 * HEADS_KEPT):
        line = b"GET /%b HTTP/1.1\r\nHost: a\r\n" % (b"a" * n)
        request, forward = heads.read_request(line)
        assert (request.forward, forward) == (line, line)
    first = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert heads.read_request(first)[0] is heads.read_request(first)[0]
