from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, strategies as st

from harness.lab.balancer.wire import (
    ChunkedBody,
    EndlessBody,
    Framing,
    LengthBody,
    Malformed,
    RequestHead,
    ResponseHead,
    body_of,
    chunk,
    parse_request,
    parse_response,
    without,
)

GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Request-ID: 7\r\nX-Amzn-Trace-Id: Root=1-2-3\r\n"


def request(*fields: bytes, line: bytes = b"POST / HTTP/1.1", host: bytes = b"Host: x") -> RequestHead:
    return parse_request(b"\r\n".join([line, host, *fields, b""]))


def response(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", **more: Any) -> ResponseHead:
    return parse_response(b"\r\n".join([line, *fields, b""]), **more)


def test_a_plain_request_goes_on_byte_for_byte() -> None:
    assert parse_request(GET).forward == GET
    assert parse_request(GET).frame is None


def test_hop_by_hop_fields_and_those_that_connection_names_are_taken_out() -> None:
    head = request(
        b"Connection: close, X-Secret",
        b"x-secret: 1",
        b"Keep-Alive: 5",
        b"TE: gzip",
        b"Upgrade: h2c",
        b"X-Kept: 1",
    )
    assert head.forward == b"POST / HTTP/1.1\r\nHost: x\r\nX-Kept: 1\r\n"
    assert not head.keep


def test_the_connection_header_cannot_remove_framing_fields() -> None:
    assert request(b"Connection: content-length", b"Content-Length: 3").forward.endswith(
        b"Content-Length: 3\r\n"
    )


def test_http_1_0_goes_on_as_1_1_and_stays_open_only_if_it_asks() -> None:
    head = request(line=b"GET / HTTP/1.0", host=b"A: b")
    assert (head.forward, head.http10, head.keep) == (b"GET / HTTP/1.1\r\nA: b\r\n", True, False)
    assert request(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0").keep


@pytest.mark.parametrize(
    ("fields", "frame"),
    [
        ((b"Content-Length: 12",), (Framing.LENGTH, 12)),
        ((b"content-length: 12", b"Content-Length: 12"), (Framing.LENGTH, 12)),
        ((b"Transfer-Encoding: Chunked",), (Framing.CHUNKED, 0)),
    ],
)
def test_the_frame_of_a_request_body_is_found(fields: tuple[bytes, ...], frame: tuple[Framing, int]) -> None:
    assert request(*fields).frame == frame


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\nHost: x\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nNo-Host: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nno colon\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n",
    ],
)
def test_invalid_requests_are_malformed(head: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request(head)


@pytest.mark.parametrize(
    ("fields", "line", "framing", "keep", "known"),
    [
        ((b"Content-Length: 3",), b"HTTP/1.1 200 OK", Framing.LENGTH, True, 3),
        ((b"Content-Length: 0",), b"HTTP/1.1 200 OK", Framing.LENGTH, True, 0),
        ((b"Content-Length: 3", b"Connection: close"), b"HTTP/1.1 200 OK", Framing.LENGTH, False, 3),
        ((b"Content-Length: 3",), b"HTTP/1.0 200 OK", Framing.LENGTH, False, 3),
        ((b"Content-Length: 3", b"Connection: keep-alive"), b"HTTP/1.0 200 OK", Framing.LENGTH, True, 3),
        ((b"Transfer-Encoding: chunked",), b"HTTP/1.1 200", Framing.CHUNKED, True, -1),
        ((), b"HTTP/1.1 200 OK", Framing.CLOSE, False, -1),
        ((), b"HTTP/1.1 204 No Content", Framing.NONE, True, 0),
        ((b"Content-Length: 3",), b"HTTP/1.1 304 Not Modified", Framing.NONE, True, 0),
        ((), b"HTTP/1.1 103 Early Hints", Framing.NONE, True, 0),
    ],
)
def test_the_frame_of_an_answer_and_whether_its_connection_goes_on(
    fields: tuple[bytes, ...], line: bytes, framing: Framing, known: int, *, keep: bool
) -> None:
    head = response(*fields, line=line)
    assert (head.framing, head.keep, head.known_length) == (framing, keep, known)


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    head = response(b"Content-Length: 3", bare=True)
    assert (head.framing, head.known_length) == (Framing.NONE, 0)
    assert b"Content-Length: 3" in head.forward


def test_an_answer_loses_its_connection_fields_and_what_the_profile_drops() -> None:
    head = response(
        b"Server: x",
        b"Date: y",
        b"Connection: close",
        b"Content-Length: 0",
        drop=frozenset({b"server", b"date"}),
    )
    assert head.forward == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
    assert not head.dated
    assert response(b"Date: y").dated


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 OK", b"HTTP/2 200", b"nonsense", b"", b"HTTP/1.1 999 No", b"SSH-2.0-OpenSSH"]
)
def test_invalid_answers_are_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        response(line=line)


def test_without_takes_one_field_out() -> None:
    assert (
        without(b"HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n", b"transfer-encoding")
        == b"HTTP/1.1 200 OK\r\nA: 1\r\n"
    )


@given(
    pieces=st.lists(st.binary(max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    after=st.binary(max_size=9),
)
def test_a_chunked_body_ends_where_it_ends_however_it_is_cut(
    pieces: list[bytes], cuts: list[int], after: bytes
) -> None:
    body = b"".join(map(chunk, pieces)) + b"0\r\nTrailer: x\r\n\r\n"
    data = body + after
    reader, taken, payload = ChunkedBody(keep=True), 0, b""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(edges):
        used = reader.take(data[start:end])
        taken += used
        payload += reader.payload()
        if used < end - start:
            break
    assert reader.done
    assert taken == len(body)
    assert payload == b"".join(pieces)


@pytest.mark.parametrize("body", [b"\r\n", b"x\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3" * 16 + b"\r\n"])
def test_invalid_chunks_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        ChunkedBody().take(body)


def test_an_endless_line_in_a_chunked_body_is_malformed() -> None:
    with pytest.raises(Malformed):
        ChunkedBody().take(b"1" * 100_000)


def test_a_body_of_known_length_leaves_what_is_behind_it() -> None:
    body = body_of(Framing.LENGTH, 5)
    assert (body.take(b"abc"), body.done) == (3, False)
    assert (body.take(b"defg"), body.done) == (2, True)
    assert LengthBody(0).done


def test_a_body_that_ends_with_its_connection_takes_all() -> None:
    assert EndlessBody().take(b"abc") == 3
    assert not EndlessBody().done
