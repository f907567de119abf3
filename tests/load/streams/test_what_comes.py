"""What comes on one connection, byte for byte and without a network: heads, events, lines, frames."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.utils import accept_key

from harness.load.streams.backoff import wait_ns
from harness.load.streams.conversation import Conversation, request_for
from harness.load.streams.eventsource import EventStream, LineStream
from harness.load.streams.life import UNNUMBERED, Life, number_of
from harness.load.streams.websocket import Frames, is_announced, new_key
from harness.load.wire.response import POD_HEADERS

EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nX-Pod: web-1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def switched(key: bytes, *more: bytes, accept: str = "") -> bytes:
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: WebSocket",
        b"Connection: keep-alive, Upgrade",
        b"Sec-WebSocket-Accept: " + (accept or accept_key(key.decode())).encode(),
        b"X-Pod: web-7",
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def from_server(*frames: Frame) -> bytes:
    return b"".join(frame.serialize(mask=False) for frame in frames)


def test_events_are_read_by_the_rules_of_browsers_however_the_bytes_are_cut() -> None:
    body = (
        b"\xef\xbb\xbf: a comment\nretry: 250\ndata: one\rid: 7\r\n\r\ndata:two\ndata\n\nid: 9\n\n"
        b"id: 8\0\ndata: x\n\n"
    )
    for size in (3, 4, 5, 7, len(body)):  # the byte order mark in one piece
        events = EventStream()
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        numbers = [number for piece in pieces for number in events.take(piece)]
        assert numbers == [7, 7, 9]
        assert events.last_id == b"9"  # an id with NUL is ignored, and one without data counts
        assert events.retry_ns == 250_000_000


def test_a_retry_that_is_not_all_digits_changes_nothing() -> None:
    events = EventStream()
    events.take(b"retry: 5s\nretry: -1\nretry: 99999999999999\ndata: x\n\n")
    assert events.retry_ns == 0


def test_an_event_without_data_is_none() -> None:
    assert EventStream().take(b"event: ping\n\n: nothing\n\n") == []


def test_an_event_that_is_not_finished_is_none() -> None:
    assert EventStream().take(b"data: half\n") == []


def test_each_line_of_another_body_is_a_message() -> None:
    lines = LineStream()
    assert lines.take(b'{"id": 4, "x": 1}\r') == [4]
    assert lines.take(b'\n{"id":5}\n\n6 six\nsev') == [5, 6]
    assert lines.take(b"en\n") == [UNNUMBERED]


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"12", 12), (b"12 words", 12), (b'{"seq":3,"a":1}', 3), (b'{"id":"44"}', 44), (b"1.5", -1), (b"2026-01-01", -1),
     (b"12ab", -1), (b'{"price":3}', -1), (b"", -1)],
)  # fmt: skip
def test_a_number_is_one_only_where_it_can_be_meant_as_one(text: bytes, number: int) -> None:
    assert number_of(text) == number


def test_numbers_that_are_skipped_within_a_stream_are_counted() -> None:
    life = Life(0, 0, 0)
    for now, number in enumerate([5, 6, 9, 9, UNNUMBERED, 10], 1):
        life.message(number, now * 10)
    assert (life.first_id, life.last_id, life.jumps, life.missing) == (5, 10, 2, 2)
    assert (life.messages, life.first_ns, life.last_ns, life.gap_ns) == (6, 10, 60, 10)


def test_a_handshake_is_accepted_with_its_own_key_alone() -> None:
    key = new_key()
    talk = Conversation(POD_HEADERS, key)
    whole = switched(key) + from_server(Frame(Opcode.TEXT, b'{"id":1}'))
    assert talk.feed(whole[:30]) == []
    assert not talk.open
    assert talk.feed(whole[30:]) == [1]
    assert (talk.status, talk.pod, talk.kind, talk.fault) == (101, "web-7", "websocket", "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (switched(b"x" * 24, accept="bm9uc2Vuc2U="), "Sec-WebSocket-Accept"),
        (switched(b"x" * 24, b"Sec-WebSocket-Extensions: permessage-deflate"), "extension"),
        (switched(b"x" * 24, b"Sec-WebSocket-Protocol: chat"), "subprotocol"),
        (switched(b"x" * 24).replace(b"Upgrade: WebSocket", b"Upgrade: h2c"), "something else"),
        (switched(b"x" * 24).replace(b"keep-alive, Upgrade", b"keep-alive"), "Connection"),
    ],
)
def test_a_101_that_opens_no_websocket_says_why(answer: bytes, why: str) -> None:
    talk = Conversation(POD_HEADERS, b"x" * 24)
    talk.feed(answer)
    assert why in talk.fault
    assert not talk.open


def test_a_refused_handshake_is_read_like_any_answer() -> None:
    talk = Conversation(POD_HEADERS, new_key())
    talk.feed(b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 5\r\n\r\n")
    assert (talk.status, talk.done) == (502, False)
    talk.feed(b"sorry")
    assert (talk.done, talk.open, talk.said().body) == (True, False, b"sorry")
    assert ("server", "nginx") in talk.said().headers


def test_fragments_are_one_message_and_pings_are_none() -> None:
    key = new_key()
    talk = Conversation(POD_HEADERS, key)
    talk.feed(switched(key))
    first = Frame(Opcode.TEXT, b'{"id":3', fin=False)
    assert talk.feed(from_server(first, Frame(Opcode.PING, b"?"), Frame(Opcode.CONT, b"}"))) == [3]


def test_a_close_frame_gives_its_code_and_none_gives_1005() -> None:
    for payload, code in ((b"\x03\xe9going away", 1001), (b"\x03\xf4", 1012), (b"", 1005)):
        key = new_key()
        talk = Conversation(POD_HEADERS, key)
        talk.feed(switched(key) + from_server(Frame(Opcode.CLOSE, payload)))
        assert talk.code == code
        assert talk.fault == ""


def test_frames_that_break_the_protocol_are_a_fault() -> None:
    key = new_key()
    talk = Conversation(POD_HEADERS, key)
    talk.feed(switched(key) + b"\xf1\x02hi")
    assert talk.fault


def test_what_we_send_on_a_websocket_is_understood_by_a_server() -> None:
    key = new_key()
    talk = Conversation(POD_HEADERS, key)
    talk.feed(switched(key))
    feed = talk.feed_
    assert isinstance(feed, Frames)
    server = Protocol(SERVER, state=OPEN)
    feed.message(b"hello")
    feed.ping()
    feed.close()
    server.receive_data(feed.to_send())
    opcodes = [frame.opcode for frame in server.events_received() if isinstance(frame, Frame)]
    assert opcodes == [Opcode.TEXT, Opcode.PING, Opcode.CLOSE]


def test_codes_that_announce_the_end_are_told_from_those_of_errors() -> None:
    announced = {code for code in range(1000, 5000) if is_announced(code)}
    assert {1000, 1001, 1005, 1012, 1013, 3000, 4999} <= announced
    assert not announced & {1002, 1003, 1006, 1007, 1008, 1009, 1011, 1014, 1015, 2000}


def test_a_body_that_ends_is_complete_and_one_that_is_cut_is_not() -> None:
    talk = Conversation(POD_HEADERS, b"")
    assert talk.feed(EVENTS + chunk(b"id: 1\ndata: x\n\n")) == [1]
    assert (talk.open, talk.kind, talk.pod, talk.done) == (True, "sse", "web-1", False)
    assert not talk.ended()
    talk.feed(b"0\r\n\r\n")
    assert talk.done


def test_a_body_without_chunks_or_length_ends_with_its_connection() -> None:
    talk = Conversation(POD_HEADERS, b"")
    talk.feed(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
    assert talk.open
    assert talk.ended()
    assert talk.until_close


def test_a_request_asks_for_what_browsers_ask_for() -> None:
    plain = b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"
    assert request_for(plain, b"", b"") == (
        b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream, */*\r\nCache-Control: no-cache\r\n\r\n"
    )
    assert b"\r\nLast-Event-ID: 41\r\n" in request_for(plain, b"", b"41")
    handshake = request_for(plain, b"k" * 24, b"")
    assert handshake.endswith(
        b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"k" * 24 + b"\r\n\r\n"
    )


def test_an_event_source_waits_as_it_was_told_or_as_browsers_do() -> None:
    assert wait_ns("sse", 0, 0, 0.5) == wait_ns("sse", 7, 0, 0.1) == 3_000_000_000
    assert wait_ns("sse", 0, 250_000_000, 0.5) == 250_000_000


def test_a_websocket_waits_longer_after_each_try_and_never_in_step() -> None:
    middle = [wait_ns("websocket", tries, 0, 0.5) for tries in range(5)]
    assert middle == [1_000_000_000, 2_000_000_000, 4_000_000_000, 5_000_000_000, 5_000_000_000]
    assert wait_ns("websocket", 0, 0, 0.0) == 500_000_000
    assert wait_ns("websocket", 99, 0, 0.0) <= 5_000_000_000
