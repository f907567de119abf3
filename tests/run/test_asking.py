"""What the target is asked before a load: the load's own bytes, and nothing that the load itself would take as data
ends the run.
"""

import asyncio
import itertools
import socket
import ssl
import time
from dataclasses import replace

import pytest
import trustme

from harness.model import LoadPlan, Target
from harness.run.preflight.asking import Answers, ask
from tests.complaints import complaint
from tests.load.h2_server import H2Visit
from tests.load.load_run import plan_for
from tests.load.scripted_server import OK, ScriptedServer, Visit, always


def asked(plan: LoadPlan, timeout_s: float = 15) -> Answers:
    return asyncio.run(ask(plan, timeout_s=timeout_s))


def refused(plan: LoadPlan, timeout_s: float = 15) -> str:
    return complaint(lambda: asked(plan, timeout_s))


def posting(url: str) -> LoadPlan:
    return plan_for(url, target=Target(url, "POST", body=b"order={uuid}"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("after_s", [0, 0.002])
def test_a_server_that_ends_each_connection_after_its_answer_has_answered(after_s: float) -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            visit.answer()
            time.sleep(after_s)
            visit.fin()

    with ScriptedServer(script) as server:
        answers = asked(plan_for(server.url))
    assert answers == Answers((200, 200, 200), ((server.url, ()),))


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_one_lost_request_of_three_is_told_and_ends_nothing(turn: int) -> None:
    turns = itertools.count()

    def script(visit: Visit) -> None:
        if visit.request():
            if next(turns) == turn:
                visit.reset()
            else:
                visit.answer()

    with ScriptedServer(script) as server:
        answers = asked(plan_for(server.url))
    assert answers.statuses == (200, 200)
    assert answers.notes == (
        f"1 of 3 requests to {server.url} before the load were lost (reset_before_response: 1)",
    )


def test_a_server_that_loses_every_request_does_not_answer() -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            visit.fin()

    with ScriptedServer(script) as server:
        message = refused(plan_for(server.url))
    assert message.startswith(
        f"{server.url} does not answer: each of 3 requests was lost (eof_before_response: 3;"
    )


def test_what_is_no_http_is_named_without_a_name_of_ours() -> None:
    with ScriptedServer(always(b"nonsense\r\n\r\n")) as server:
        message = refused(plan_for(server.url))
    assert "(protocol_error: 3; Expected HTTP/" in message


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokjunk",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        "bytes after it",
        "long head",
        "two codings",
        "interim",
        "ended by the stream's end",
        "error status",
    ],
)
def test_what_the_load_takes_for_an_answer_is_one_here_too(data: bytes) -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            visit.answer(data)

    with ScriptedServer(script) as server:
        answers = asked(plan_for(server.url))
    assert len(answers.statuses) == 3
    assert not answers.notes


def test_a_long_body_is_not_waited_for_longer_than_the_preflights_own_patience() -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Pod: a-1\r\n\r\nhalf")
            visit.stall()

    with ScriptedServer(script) as server:
        answers = asked(plan_for(server.url), timeout_s=0.5)
    assert answers == Answers((200,) * 3, ((server.url, ("a-1",) * 3),))


def test_a_silent_server_does_not_answer_in_time() -> None:
    with ScriptedServer(Visit.stall) as server:
        assert "does not answer within 0.2 s; check the URL" in refused(plan_for(server.url), timeout_s=0.2)


def test_an_expected_status_is_no_redirect() -> None:
    found = b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(always(found)) as server:
        assert "answers 302 to /login; redirects are not followed" in refused(plan_for(server.url))
        assert asked(plan_for(server.url, expect=((200, 299), (302, 302)))).statuses == (302,) * 3
    with ScriptedServer(always(b"HTTP/1.1 304 Not Modified\r\n\r\n")) as server:
        assert asked(plan_for(server.url, expect=((200, 299), (304, 304)))).statuses == (304,) * 3


@pytest.mark.parametrize("order", [("127.0.0.9", "127.0.0.1"), ("127.0.0.1", "127.0.0.9")])
def test_one_dead_address_behind_a_name_does_not_end_the_run(order: tuple[str, ...]) -> None:
    with ScriptedServer(always(OK)) as server:
        url = f"http://shop.invalid:{server.port}/"
        answers = asked(plan_for(url, resolve=tuple(("shop.invalid", server.port, one) for one in order)))
    assert 200 in answers.statuses
    assert any("connect_refused" in note for note in answers.notes)


def test_placeholders_are_filled_and_no_two_requests_are_the_same() -> None:
    heads: list[bytes] = []

    def script(visit: Visit) -> None:
        while request := visit.request():
            heads.append(request.split(b"\r\n")[0])
            visit.answer()

    with ScriptedServer(script) as server:
        asked(plan_for(server.url + "items/{seq}?u={uuid}"))
    assert len(set(heads)) == 3
    assert {b"{" in head or b"%7B" in head for head in heads} == {False}
    assert {head.startswith(b"GET /items/99") for head in heads} == {True}  # no worker has this number


def test_nothing_is_sent_where_every_request_may_change_something() -> None:
    with ScriptedServer(always(OK)) as server:
        answers = asked(posting(server.url))
    assert server.seen["requests"] == 0
    assert answers.statuses == ()
    assert answers.notes == (
        f"{server.url} accepts connections; no request was sent before the load, since a POST may change something",
    )


def test_a_host_that_is_not_asked_must_still_take_connections() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    assert "refuses connections" in refused(posting(url))
    with ScriptedServer(lambda visit: visit.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        assert "is it http://?" in refused(posting(server.url.replace("http:", "https:")))


def test_the_harmless_target_of_a_host_is_asked_for_all_of_them() -> None:
    with ScriptedServer(always(OK)) as server:
        plan = replace(posting(server.url), targets=(Target(server.url, "POST"), Target(server.url, "HEAD")))
        assert asked(plan).statuses == (200,) * 3


def test_what_cannot_be_reached_is_told_in_plain_words() -> None:
    assert "nowhere.invalid does not resolve (" in refused(plan_for("http://nowhere.invalid/"))
    assert "refuses connections; is it up" in refused(plan_for(f"http://127.0.0.1:{free_port()}/"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(always(OK), tls=context) as server:
        message = refused(plan_for(server.url))
        assert asked(plan_for(server.url, insecure=True)).statuses == (200,) * 3
    assert "cannot be verified (" in message
    assert message.endswith("use -k to go on without")
    assert "Error(" not in message


def test_http2_is_asked_as_the_load_will_send_it() -> None:
    heads: list[str] = []

    def script(visit: Visit) -> None:
        session = H2Visit(visit)
        while request := session.request():
            heads.append(request.headers[":path"])
            session.answer(request, x_pod="a-1")

    with ScriptedServer(script) as server:
        answers = asked(plan_for(server.url + "a/{seq}", http2=True))
    assert answers.statuses == (200,) * 3
    assert answers.pods[0][1] == ("a-1",) * 3
    assert len(set(heads)) == 3
    assert not answers.notes


def test_what_speaks_http1_alone_is_told_to_drop_http2() -> None:
    def hang_up(visit: Visit) -> None:
        visit.sock.recv(1024)
        visit.fin()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(always(OK), tls=context) as server:  # no ALPN
        assert refused(plan_for(server.url, http2=True, insecure=True)).endswith("then drop --http2")
    with ScriptedServer(hang_up) as server:
        assert refused(plan_for(server.url, http2=True)).endswith("else drop --http2")
    with ScriptedServer(Visit.stall) as server:
        assert refused(plan_for(server.url, http2=True), timeout_s=0.3).endswith("or drop --http2")
