"""What failed answers said: servers on real sockets, real workers, and what they left on disk."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import stat
import string
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from harness.model import Target
from harness.recording import answers
from harness.recording.answers import LONGEST_BODY, MOST, NONE, OTHER, Answer, Answers
from tests.load.h2_server import INTERNAL_ERROR, Asked, H2Visit
from tests.load.load_run import (
    LoadResult,
    completed,
    plan_for,
    read,
    read_stream,
    run_load,
    running_load,
    wait_until,
)
from tests.load.scripted_server import OK, ScriptedServer, Visit, always

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENVOY_BODY = (
    b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"
)
ENVOY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 95\r\ncontent-type: text/plain\r\n"
    b"date: Mon, 30 Nov 2026 10:00:00 GMT\r\nserver: envoy\r\n\r\n" + ENVOY_BODY
)
HAPROXY_BODY = (
    b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to "
    b"handle this request.\n</body></html>\n"
)
GZIPPED = gzip.compress(b"x" * 5000, mtime=0)
HAPROXY = (
    b"HTTP/1.0 503 Service Unavailable\r\ncache-control: no-cache\r\nconnection: "
    b"close\r\ncontent-type: text/html\r\n\r\n"
) + HAPROXY_BODY


def response(body: bytes = b"", status: bytes = b"502 Bad Gateway", /, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status,
        "".join(lines).encode(),
        len(body),
        body,
    )


def kept(folder: Path, workers: int = 1) -> Answers:
    return answers.kept(folder, range(workers))


def bad(found: Answers) -> list[Answer]:
    return [answer for answer in found.known if not answer.good]


def good(found: Answers) -> list[Answer]:
    return [answer for answer in found.known if answer.good]


def load(
    script: Callable[[Visit], None], folder: Path, count: int = 40, concurrency: int = 2, **changes: Any
) -> tuple[LoadResult, Answers]:
    target = changes.pop("target", None)
    with ScriptedServer(script) as server:
        if target is not None:
            target = Target(server.url + target.url, target.method, target.headers, target.body)
        plan = plan_for(server.url, concurrency, target=target, **{"error_backoff": False} | changes)
        result = run_load(plan, folder, until=completed(count))
    assert len(result.hits) >= count
    return result, kept(folder, changes.get("workers", 1))


def only(script: Callable[[Visit], None], folder: Path, **changes: Any) -> Answer:
    """Load a server that gives every request one failed answer, and return that."""
    result, found = load(script, folder, **changes)
    (answer,) = found.known
    assert {hit["answer"] for hit in result.hits if hit["outcome"] != "cut_at_deadline"} == {0}
    return answer


def in_turn(*responses: bytes) -> Callable[[Visit], None]:
    turns, lock = itertools.cycle(responses), threading.Lock()

    def script(visit: Visit) -> None:
        while visit.request():
            time.sleep(0.002)
            with lock:
                data = next(turns)
            visit.answer(data)

    return script


def once(data: bytes, end: Callable[[Visit], None] = Visit.fin) -> Callable[[Visit], None]:
    def script(visit: Visit) -> None:
        if visit.request():
            time.sleep(0.002)
            visit.answer(data)
            end(visit)

    return script


# --- who answered, and what ---------------------------------------------------------------------------------


def test_envoy_is_known_by_its_server_header_and_its_words(tmp_path: Path) -> None:
    answer = only(always(ENVOY), tmp_path)
    assert answer == Answer(503, (("content-type", "text/plain"), ("server", "envoy")), ENVOY_BODY.decode())


def test_haproxy_is_known_by_its_words_and_announces_the_end(tmp_path: Path) -> None:
    answer = only(once(HAPROXY), tmp_path)
    text = " ".join(HAPROXY_BODY.decode().split())
    assert answer == Answer(503, (("content-type", "text/html"),), text, closes=True)


def test_only_headers_that_identify_the_server_are_kept_and_ids_without_values(
    tmp_path: Path,
) -> None:
    data = response(
        Date="Mon, 30 Nov 2026 10:00:00 GMT", Set_Cookie="session=1", X_Own="s", Location="/x", Via="1.1 Caddy",
        CF_Ray="8f1b2c-FRA", X_Amz_Cf_Id="a9==", X_Amz_Cf_Pop="FRA56-P1", X_Cache="Error from cloudfront",
        Retry_After="5", Server="x" * 300,
    )  # fmt: skip
    assert dict(only(always(data), tmp_path).headers) == {
        "via": "1.1 Caddy",
        "cf-ray": "***",
        "x-amz-cf-id": "***",
        "x-amz-cf-pop": "FRA56-P1",
        "x-cache": "Error from cloudfront",
        "retry-after": "5",
        "server": "x" * 128,
    }


def test_a_body_in_chunks_is_read_without_their_frames(tmp_path: Path) -> None:
    data = b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n6;a=b\r\nno one\r\n7\r\n there!\r\n0\r\n\r\n"
    assert only(always(data), tmp_path).body == "no one there!"


def test_a_body_that_comes_byte_by_byte_after_an_interim_response_is_the_same(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            for byte in b"HTTP/1.1 103 Early Hints\r\nServer: hint\r\n\r\n" + response(
                b"slowly", Server="caddy"
            ):
                visit.sock.sendall(bytes([byte]))

    answer = only(script, tmp_path, count=5)
    assert (answer.status, answer.body, answer.headers) == (502, "slowly", (("server", "caddy"),))


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ({"Content_Encoding": "gzip"}, GZIPPED, f"(gzip, {len(GZIPPED)} bytes)"),
        ({"Content_Type": "image/png"}, b"\x89PNG" * 3, "(image/png, 12 bytes)"),
        ({"Content_Type": "text/plain; charset=ISO-8859-1"}, "gestört".encode("latin-1"), "gestört"),
        ({"Content_Type": "application/problem+json"}, '{"title":"gestört"}'.encode(), '{"title":"gestört"}'),
        ({"Content_Type": "text/html; charset=utf-7"}, b"\xff plain", "\ufffd plain"),
    ],
)
def test_text_bodies_are_decoded_and_others_described(
    tmp_path: Path, headers: dict[str, str], body: bytes, text: str
) -> None:
    assert only(always(response(body, **headers)), tmp_path).body == text


def test_a_coding_that_no_one_knows_is_not_repeated(tmp_path: Path) -> None:
    result, found = load(once(response(b"abc", Content_Encoding="\x1b[31m")), tmp_path)
    assert result.outcomes["protocol_error"] > 0  # a control character in a head
    assert found.known[0].body == "(encoded, 3 bytes)"
    assert found.known[0].header("content-encoding") == ""


def test_of_a_large_body_the_beginning_is_kept_and_all_bytes_counted(tmp_path: Path) -> None:
    size = 10_000_000
    result, found = load(always(response(b"word " * (size // 5))), tmp_path, count=6)
    (answer,) = found.known
    assert answer.body.startswith("word word")
    assert LONGEST_BODY - 5 <= len(answer.body) <= LONGEST_BODY
    assert all(hit["bytes_in"] > size for hit in result.hits if hit["outcome"] == "response")
    assert (tmp_path / "answers" / "0.jsonl").stat().st_size < 1000


def test_an_answer_to_head_has_no_body(tmp_path: Path) -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nServer: nginx\r\nContent-Length: 190\r\n\r\n"
    answer = only(always(head), tmp_path, target=Target("", "HEAD"))
    assert answer == Answer(503, (("server", "nginx"),))


@pytest.mark.parametrize(("status", "body"), [(b"200 OK", ""), (b"502 Bad Gateway", "half of")])
@pytest.mark.parametrize("end", [Visit.fin, Visit.reset])
def test_a_cut_answer_keeps_what_arrived_unless_it_is_the_applications_own_data(
    tmp_path: Path, status: bytes, body: str, end: Callable[[Visit], None]
) -> None:
    def cut(visit: Visit) -> None:
        if visit.request():
            visit.answer(response(b"half of it", status, Server="nginx")[:-3])
            time.sleep(0.03)  # so that a reset does not overtake it
            end(visit)

    result, found = load(cut, tmp_path)
    (answer,) = found.known
    assert answer == Answer(int(status[:3]), (("server", "nginx"),), body)
    cuts = [hit for hit in result.hits if hit["outcome"] in {"eof_mid_response", "reset_mid_response"}]
    assert len(cuts) >= 40
    assert {hit["answer"] for hit in cuts} == {0}


def test_answers_cut_at_different_places_count_as_the_same(tmp_path: Path) -> None:
    page = response(b"The quick brown fox jumps over the lazy dog", b"502 Bad Gateway", Server="nginx")
    turn = itertools.count()

    def cut(visit: Visit) -> None:
        if visit.request():
            visit.answer(page[: -1 - next(turn) % 40])
            time.sleep(0.01)
            visit.fin()

    result, found = load(cut, tmp_path, count=100)
    assert len(found.known) == 1
    assert found.known[0].body.startswith("The")
    assert {hit["answer"] for hit in result.only("eof_mid_response")} == {0}


def test_a_malformed_answer_whose_head_came_is_kept(tmp_path: Path) -> None:
    chunk = b"HTTP/1.1 502 Bad Gateway\r\nServer: bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nNO SIZE\r\n"
    result, found = load(once(chunk), tmp_path)
    assert [(answer.status, answer.body) for answer in found.known] == [(502, "abc")]
    assert {hit["answer"] for hit in result.only("protocol_error")} == {0}


def test_bytes_that_are_not_an_answer_are_not_kept(tmp_path: Path) -> None:
    result, found = load(once(b"SSH-2.0-OpenSSH\r\n"), tmp_path)
    assert found.known == ()
    assert {hit["answer"] for hit in result.only("protocol_error")} == {NONE}


def test_an_answer_that_stops_is_kept_when_its_time_is_up(tmp_path: Path) -> None:
    def stall(visit: Visit) -> None:
        if visit.request():
            visit.answer(response(b"x" * 50, b"200 OK", Server="slow")[:-20])
            visit.stall()

    result, found = load(stall, tmp_path, count=2, timeout_ns=200_000_000)
    assert [answer.header("server") for answer in found.known] == ["slow"]
    assert {hit["answer"] for hit in result.only("read_timeout_body")} == {0}


@pytest.mark.parametrize("script", [once(b""), once(b"", Visit.reset)])
def test_without_an_answer_nothing_is_kept(tmp_path: Path, script: Callable[[Visit], None]) -> None:
    result, found = load(script, tmp_path)
    assert found.known == ()
    assert {hit["answer"] for hit in result.hits} == {NONE}
    assert not (tmp_path / "answers" / "0.jsonl").exists()


# --- how many -----------------------------------------------------------------------------------------------


def letters(number: int) -> bytes:
    word = "".join(string.ascii_lowercase[number // 26**place % 26] for place in range(3))
    return f"reason {word.replace('', 'z')}".encode()


def test_distinct_answers_are_kept_up_to_the_limit_and_the_rest_is_marked_other(
    tmp_path: Path,
) -> None:
    pages = [response(letters(number)) for number in range(1000)]
    result, found = load(in_turn(*pages), tmp_path, count=4000, concurrency=8)
    assert len(found.known) == MOST
    assert len(set(found.known)) == MOST
    indices = {hit["answer"] for hit in result.hits}
    assert indices - set(range(MOST)) == {OTHER}
    for hit in result.hits[:50]:
        assert hit["answer"] == OTHER or found.known[hit["answer"]].body.startswith("reason z")


@pytest.mark.parametrize(
    "form",
    ["id %d", "req-%08x", "{{'trace': '4bf92f3577b34da6a3ce929d0e0e%04x'}}", "<b>Xq%dz/Zz0+kPp4Lw9Rt==</b>"],
)
def test_answers_that_differ_only_in_an_id_count_as_the_same(tmp_path: Path, form: str) -> None:
    pages = [response((form % number).encode(), Server=f"nginx/1.2{number}") for number in range(300)]
    result, found = load(in_turn(*pages), tmp_path, count=600, concurrency=8)
    assert len(found.known) == 1
    assert {hit["answer"] for hit in result.hits} == {0}


def test_answers_that_differ_in_a_word_a_status_or_their_end_are_not(tmp_path: Path) -> None:
    pages = [
        response(b"connection failure"),
        response(b"connection termination"),
        response(b"connection failure", b"503 Service Unavailable"),
        response(b"connection failure", Server="envoy"),
        response(b"connection failure", Connection="close"),
    ]
    result, found = load(in_turn(*pages), tmp_path, count=100)
    assert len(found.known) == 5
    assert {hit["answer"] for hit in result.hits} == set(range(5))
    for hit in result.hits:
        assert found.known[hit["answer"]].status == hit["status"]


def test_two_workers_keep_their_own(tmp_path: Path) -> None:
    result, found = load(always(ENVOY), tmp_path, workers=2)
    assert len(found.known) == 2
    assert {(hit["worker"], hit["answer"]) for hit in result.hits} == {(0, 0), (1, 0)}
    assert [found.place(0, 0), found.place(1, 0)] == [0, 1]


# --- good ones ----------------------------------------------------------------------------------------------


def test_a_few_good_answers_are_kept_to_identify_the_server(tmp_path: Path) -> None:
    one = response(b"private", b"200 OK", Server="envoy", X_Envoy_Upstream_Service_Time="3", X_Pod="web-1")
    other = response(b"private", b"200 OK", Via="1.1 Caddy")
    result, found = load(in_turn(one, other, OK), tmp_path, count=200)
    assert set(found.known) == {
        Answer(200, (("server", "envoy"), ("x-envoy-upstream-service-time", "3")), good=True),
        Answer(200, (("via", "1.1 Caddy"),), good=True),
        Answer(200, good=True),
    }
    assert {hit["answer"] for hit in result.hits} == {NONE}


def test_good_answers_never_displace_failed_ones(tmp_path: Path) -> None:
    pages = [response(b"", b"200 OK", Server=letters(number).decode()) for number in range(200)]
    _, found = load(in_turn(*pages, ENVOY), tmp_path, count=1200, concurrency=8)
    assert 10 < len(good(found)) <= 16
    assert [answer.header("server") for answer in bad(found)] == ["envoy"]


# --- HTTP/2 -------------------------------------------------------------------------------------------------


def over_h2(fault: Callable[[H2Visit, Asked], None], folder: Path) -> tuple[LoadResult, Answers]:
    def script(visit: Visit) -> None:
        session = H2Visit(visit)
        while asked := session.request():
            time.sleep(0.002)
            fault(session, asked)

    return load(script, folder, http2=True)


def test_over_http2_failed_answers_are_kept_too(tmp_path: Path) -> None:
    def fault(session: H2Visit, asked: Asked) -> None:
        session.answer(asked, 503, ENVOY_BODY, server="envoy", content_type="text/plain")

    result, found = over_h2(fault, tmp_path)
    assert found.known == (
        Answer(503, (("server", "envoy"), ("content-type", "text/plain")), ENVOY_BODY.decode()),
    )
    assert {hit["answer"] for hit in result.hits if hit["outcome"] == "response"} == {0}


def test_over_http2_reset_answers_and_good_ones_are_kept(tmp_path: Path) -> None:
    turn = itertools.count()

    def fault(session: H2Visit, asked: Asked) -> None:
        if next(turn) % 2:
            session.head(asked, 200, server="envoy", x_envoy_upstream_service_time="2")
            session.body(asked, b"a part", end=False)
            session.reset(asked, INTERNAL_ERROR)
        else:
            session.answer(asked, 200, server="envoy")

    result, found = over_h2(fault, tmp_path)
    (cut,) = bad(found)
    assert (cut.status, cut.body, cut.header("server")) == (200, "", "envoy")
    assert {found.known[hit["answer"]] for hit in result.only("h2_reset_mid_response")} == {cut}
    assert [answer.header("server") for answer in good(found)] == ["envoy"]


def test_of_a_grpc_call_the_status_and_its_message_are_kept(tmp_path: Path) -> None:
    statuses = itertools.cycle(["14", "4"])

    def fault(session: H2Visit, asked: Asked) -> None:
        session.head(asked, 200, server="envoy", content_type="application/grpc")
        session.trailers(asked, grpc_status=next(statuses), grpc_message="no%20one home", x_other="no")

    result, found = over_h2(fault, tmp_path)
    assert {(a.status, a.header("grpc-status"), a.header("grpc-message")) for a in found.known} == {
        (200, "14", "no one home"),
        (200, "4", "no one home"),
    }
    lost = [*result.only("UNAVAILABLE"), *result.only("DEADLINE_EXCEEDED")]
    assert {hit["answer"] for hit in lost} == {0, 1}


# --- killed, and hostile ------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_leaves_what_its_rows_point_to(tmp_path: Path) -> None:
    result = LoadResult()
    pages = [response(letters(number)) for number in range(40)]

    async def main(url: str) -> None:
        plan = plan_for(url, 4, error_backoff=False)
        async with running_load(plan, tmp_path) as running:
            with anyio.fail_after(30):
                # Whole batches: the one that is being written when the worker is killed is lost.
                await wait_until(lambda: len(read_stream(tmp_path / "hits" / "0.arrow")) > 50)
            os.kill(running._workers[0].process.pid, signal.SIGKILL)
            with anyio.fail_after(10):
                await wait_until(lambda: running.lost == (0,))

    with ScriptedServer(in_turn(*pages)) as server:
        anyio.run(main, server.url)
    read(tmp_path, result)
    found = kept(tmp_path)
    assert len(result.hits) > 50
    assert all(found.place(0, hit["answer"]) >= 0 for hit in result.hits)
    assert found.lost == 0


def test_the_file_of_answers_is_its_owner_s_alone(tmp_path: Path) -> None:
    load(always(ENVOY), tmp_path)
    assert stat.S_IMODE((tmp_path / "answers" / "0.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "answers").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\x1b[2J\x1b]0;owned\x07red\x00\x08\xe2\x80\xaeevil\xe2\x80\xac", "redevil"),
        (b"&#27;[31m&lt;b&gt;\\u001b[1m\\u202e", "[31m<b>"),
        (b"\r\n\r\n  a \t\x0b b  \r\n", "a b"),
        (b"\xed\xa0\x80\xff", "\ufffd\ufffd\ufffd\ufffd"),
        (b'{"index": 0}\n{"index": 1}', '{"index": 0} {"index": 1}'),
        (b"\x00" * 500, ""),
    ],
)
def test_a_hostile_body_is_harmless_text(tmp_path: Path, body: bytes, text: str) -> None:
    assert only(always(response(body)), tmp_path).body == text


# --- what was sent ------------------------------------------------------------------------------------------


def echoing(form: str) -> Callable[[Visit], None]:
    """A server that puts the request into its error page, and into its headers."""

    def script(visit: Visit) -> None:
        while request := visit.request():
            text = form.format(
                request=request.decode("latin-1"), first=request.decode("latin-1").split(" ")[1]
            )
            visit.answer(response(text.encode(), Server=text.split("\r")[0][:200], Via="1.1 proxy"))

    return script


@pytest.mark.parametrize(
    "form", ["{request}", "bad: {first}", "<pre>{request}</pre>", "x" * 60 + " {request}"]
)
def test_nothing_that_was_sent_is_kept(tmp_path: Path, form: str) -> None:
    target = Target(
        "orders/s3cret-path?token=s3cret%2Fquery&x=1",
        "POST",
        (
            ("Authorization", "Bearer s3cret.header"),
            ("Cookie", "sid=s3cretcookie"),
            ("X-Key", "hidden words here"),
        ),
        b'{"password": "s3cretbody"}',
    )
    _, found = load(echoing(form), tmp_path, target=target, trace_headers=True)
    assert len(found.known) == 1
    raw = (tmp_path / "answers" / "0.jsonl").read_text().lower()
    for secret in ("s3cret", "hidden words", "orders"):
        assert secret not in raw
    assert found.known[0].header("via") == "1.1 proxy"


def test_request_ids_in_answers_do_not_make_them_distinct(tmp_path: Path) -> None:
    result, found = load(echoing("{request}"), tmp_path, count=300, trace_headers=True)
    assert len(found.known) == 1
    assert {hit["answer"] for hit in result.hits} == {0}
