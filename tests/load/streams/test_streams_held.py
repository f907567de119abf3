"""Streams on real sockets: what a server does to them, and what is on record then."""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from tests.load.load_run import LoadResult, completed, plan_for, read_stream, run_load
from tests.load.scripted_server import ScriptedServer, Visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.load.generator import Load

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Pod: web-1\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 3\r\n\r\nno\n"
END = b"0\r\n\r\n"
QUICK = b"retry: 10\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(number: int, more: bytes = b"") -> bytes:
    return chunk(b"%bid: %d\ndata: x\n\n" % (more, number))


def upgraded(visit: Visit, *frames: Frame) -> bytes:
    """Answer a handshake, and send these frames after it. Returns the request."""
    request = visit.request()
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Pod: web-1\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key[1].decode()).encode() + b"\r\n\r\n"
    )
    visit.answer(head + b"".join(frame.serialize(mask=False) for frame in frames))
    return request


def text(number: int) -> Frame:
    return Frame(Opcode.TEXT, b'{"id":%d}' % number)


def streams(directory: Path) -> list[dict[str, Any]]:
    rows = [row for path in sorted((directory / "streams").glob("*.arrow")) for row in read_stream(path)]
    return sorted(rows, key=lambda row: row["opened_ns"])


def hold(
    script: Callable[[Visit], None], directory: Path, until: Callable[[Load], bool], **changes: Any
) -> tuple[LoadResult, list[dict[str, Any]], ScriptedServer]:
    with ScriptedServer(script) as server:
        plan = plan_for(server.url, changes.pop("concurrency", 1), stream=True, **changes)
        result = run_load(plan, directory, until=until, seconds=20)
        return result, streams(directory), server


def test_an_event_stream_that_is_cut_fails_and_goes_on_after_its_last_event(tmp_path: Path) -> None:
    requests: list[bytes] = []

    def script(visit: Visit) -> None:
        requests.append(visit.request())
        if visit.number == 1:
            visit.answer(EVENTS + event(41, QUICK) + event(42))
            visit.fin()
        elif visit.number == 2:
            visit.answer(REFUSED)
        else:
            visit.answer(EVENTS + event(45))
            visit.stall()

    result, rows, _ = hold(script, tmp_path, completed(4))
    cut, back = rows
    assert (cut["kind"], cut["how"], cut["ended_by"], cut["code"]) == ("sse", "eof", "peer", 0)
    assert (cut["messages"], cut["first_id"], cut["last_id"], cut["missing"]) == (2, 41, 42, 0)
    assert (back["replaces"], back["lost_ns"], back["tries"], back["refused"]) == (
        cut["conn"], cut["ended_ns"], 2, "502",
    )  # fmt: skip
    assert (back["how"], back["ended_by"], back["first_id"]) == ("over", "us", 45)
    assert back["first_message_ns"] >= back["handshake_ns"] > cut["ended_ns"]
    assert [b"Last-Event-ID: 42" in request for request in requests] == [False, True, True]
    assert [(hit["outcome"], hit["status"], hit["pod"]) for hit in result.hits] == [
        ("response", 200, "web-1"),
        ("eof_mid_response", 200, "web-1"),
        ("response", 502, ""),
        ("response", 200, "web-1"),
    ]
    handshake, lost = result.hits[:2]
    # The failed row is the whole stream, under the number that the balancer's log knows.
    assert (lost["seq"], lost["due_ns"], lost["conn"]) == (
        handshake["seq"], handshake["sent_ns"], handshake["conn"],
    )  # fmt: skip


def test_a_body_that_is_ended_properly_is_no_failure(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        visit.answer(EVENTS + event(visit.number, QUICK) + END)
        visit.fin()

    result, rows, _ = hold(script, tmp_path, completed(6))
    assert {row["how"] for row in rows} == {"end"}
    assert set(result.outcomes) == {"response"}
    assert result.counts.failed == 0
    assert [row["replaces"] for row in rows] == [-1, *(row["conn"] for row in rows[:-1])]


def test_a_reset_is_told_from_a_clean_close(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        visit.answer(EVENTS + event(1, QUICK))
        time.sleep(0.1)
        visit.reset()

    result, rows, _ = hold(script, tmp_path, completed(3))
    assert rows[0]["how"] == "reset"
    assert result.outcomes["reset_mid_response"] >= 1


def test_a_websocket_that_goes_away_is_told_from_one_that_is_cut(tmp_path: Path) -> None:
    ends = {
        1: [text(1), Frame(Opcode.CLOSE, b"\x03\xe9bye")],
        2: [text(2), Frame(Opcode.CLOSE, b"\x03\xf4restart")],
        3: [text(3), Frame(Opcode.CLOSE, b"\x03\xf3oops")],
        4: [text(4)],
    }
    answered: list[bytes] = []

    def script(visit: Visit) -> None:
        upgraded(visit, *ends.get(visit.number, [text(5)]))
        if visit.number <= 3:
            answered.append(visit.sock.recv(100))
        if visit.number == 4:
            visit.fin()
        elif visit.number > 4:
            visit.stall()

    result, rows, server = hold(
        script, tmp_path, lambda load: load.counts.completed >= 9, websocket=True, expect=((101, 101),)
    )
    assert [(row["how"], row["code"]) for row in rows] == [
        ("close", 1001), ("close", 1012), ("close", 1011), ("eof", 1006), ("over", 0),
    ]  # fmt: skip
    failed = [hit for hit in result.hits if hit["outcome"] != "response"]
    assert [hit["outcome"] for hit in failed] == ["eof_mid_response", "eof_mid_response"]  # 1011 and 1006
    assert all(frame[:1] == b"\x88" for frame in answered)  # the close frame is answered
    assert server.seen["connections"] == 5
    waits = [after["opened_ns"] - before["ended_ns"] for before, after in itertools.pairwise(rows)]
    assert all(450_000_000 < wait < 2_500_000_000 for wait in waits)


def test_a_handshake_that_opens_no_websocket_is_a_failed_hit(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    result, rows, _ = hold(script, tmp_path, completed(1), websocket=True, expect=((101, 101),))
    assert rows == []
    assert result.hits[0]["status"] == 200
    assert result.counts.failed == result.counts.completed > 0


def test_a_stream_without_the_messages_that_were_promised_has_stalled(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        visit.answer(EVENTS + event(1, QUICK))
        for _ in range(100):  # comments are signs of life, and no messages
            time.sleep(0.05)
            visit.answer(chunk(b": still here\n\n"))

    result, rows, _ = hold(
        script, tmp_path, lambda load: load.counts.failed >= 1, expect_every_ns=300_000_000
    )
    assert rows[0]["how"] == "silent"
    assert result.outcomes["read_timeout_body"] == 1
    assert rows[0]["messages"] == 1


def test_a_websocket_that_answers_no_ping_is_dead(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        upgraded(visit, text(1))
        visit.stall()

    _, rows, _ = hold(
        script, tmp_path, lambda load: load.counts.failed >= 1, websocket=True, expect=((101, 101),),
        ping_ns=200_000_000,
    )  # fmt: skip
    assert rows[0]["how"] == "silent"
    assert rows[0]["ended_ns"] - rows[0]["handshake_ns"] >= 400_000_000


def test_messages_of_ours_are_answered_and_timed(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        upgraded(visit)
        for number in range(1000):
            if not visit.sock.recv(1000):
                return
            time.sleep(0.02)
            visit.answer(text(number).serialize(mask=False))

    result, rows, _ = hold(
        script, tmp_path, completed(6), websocket=True, expect=((101, 101),), message="hello",
        every_ns=50_000_000,
    )  # fmt: skip
    echoes = [hit["done_ns"] - hit["due_ns"] for hit in result.hits[1:]]
    assert all(15_000_000 < took < 2_000_000_000 for took in echoes)
    assert rows[0]["messages"] >= len(echoes) >= 5


def test_many_streams_are_held_by_several_workers_and_end_with_the_load(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        for number in range(1000):
            visit.answer((EVENTS if not number else b"") + event(number))
            if visit.server.stopping.wait(0.2):
                return

    result, rows, server = hold(script, tmp_path, completed(60), concurrency=20, workers=2)
    assert len(rows) == 20
    assert {row["how"] for row in rows} == {"over"}
    assert server.seen["connections"] == 20
    assert {row["worker"] for row in rows} == {0, 1}
    assert result.counts.failed == 0
    # At most one row a second of a stream that lives, besides its handshake.
    assert len(result.hits) <= 20 * (2 + (max(hit["done_ns"] for hit in result.hits) / 1e9))
    assert len(result.connections) == 20
