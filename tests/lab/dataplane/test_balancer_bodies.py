"""Heads and bodies that pass through, with every kind of framing."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from tests.lab.dataplane.sockets import answering, ask, read_head, talk

if TYPE_CHECKING:
    import socket

    from tests.lab.dataplane.conftest import MakeApp, MakeBalancer, MakeTarget

CLOSE = b"Connection: close\r\n"


@pytest.mark.parametrize("tls", [False, True])
def test_requests_go_round_over_one_connection(balancer: MakeBalancer, app: MakeApp, *, tls: bool) -> None:
    front = balancer(tls=tls)
    front.set(*(app(HOSTNAME=f"web-{n}").endpoint() for n in range(3)))
    client = front.client()
    pods = []
    for _ in range(6):
        client.request("GET", "/")
        answer = client.answer()
        assert (answer.status, answer.body, answer.headers["Connection"]) == (200, b"ok\n", "keep-alive")
        assert answer.headers["Date"].endswith("GMT")
        pods.append(answer.headers["X-Pod"])
    assert sorted(pods[:3]) == ["web-0", "web-1", "web-2"]
    assert pods[:3] == pods[3:]
    client.close()


def test_the_target_sees_the_request_as_it_was_and_who_sent_it(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    heads = []

    def script(sock: socket.socket) -> None:
        heads.append(read_head(sock)[0])
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    front = balancer(tls=True)
    front.set(target(script).endpoint())
    talk(
        front,
        ask(
            b"X-Request-ID: 0001",
            b"X-Amzn-Trace-Id: Root=1-a-b",
            b"Connection: close",
            line=b"GET /p?q=%20 HTTP/1.1",
        ),
    )
    assert b"".join(heads) == (
        b"GET /p?q=%20 HTTP/1.1\r\nHost: a\r\nX-Request-ID: 0001\r\nX-Amzn-Trace-Id: Root=1-a-b\r\n"
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
    )


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\n|Content-Length: 5\r\n\r\n|hel|lo", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5|\r\nhe|llo\r\n0\r\nT: x\r\n|\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    ],
)
def test_every_frame_of_an_answer_ends_where_it_ends_and_both_connections_go_on(
    balancer: MakeBalancer, target: MakeTarget, sent: bytes, body: bytes
) -> None:
    scripted = target(answering(sent, sent, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast", pause=0.02))
    front = balancer()
    front.set(scripted.endpoint())
    client = front.client()
    for expected in (body, body, b"last"):
        client.request("GET", "/")
        assert client.answer().body == expected
    assert scripted.accepted == 1
    client.close()


def test_interim_answers_are_passed_on_before_the_real_one(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    hint, real = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    )
    front = balancer()
    front.set(target(answering(hint + b"|" + hint + real, hint + real, pause=0.05)).endpoint())
    answers = talk(front, ask() + ask(b"Connection: close"))
    assert answers.count(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") == 3
    assert answers.count(b"\r\n\r\nhello") == 2
    assert answers.startswith(hint)


def test_a_body_that_ends_with_the_targets_connection_is_passed_on_in_chunks(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    front = balancer()
    front.set(target(answering(b"HTTP/1.1 200 OK\r\n\r\nhel|lo", close=True, pause=0.05)).endpoint())
    client = front.client()
    for _ in range(2):
        client.request("GET", "/")
        answer = client.answer()
        assert (answer.headers["Transfer-Encoding"], answer.body) == ("chunked", b"hello")
    client.close()


def test_a_client_of_http_1_0_gets_no_chunks(balancer: MakeBalancer, target: MakeTarget) -> None:
    front = balancer()
    front.set(
        target(
            answering(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n|2\r\nlo\r\n0\r\n\r\n",
                pause=0.05,
            )
        ).endpoint()
    )
    answer = talk(front, ask(line=b"GET / HTTP/1.0"))
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"chunked" not in answer
    assert CLOSE in answer


def test_a_client_of_http_1_0_sees_a_cut_body_as_a_reset_not_as_the_end(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    front = balancer()
    front.set(
        target(
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", close=True)
        ).endpoint()
    )
    with pytest.raises(ConnectionResetError):
        talk(front, ask(line=b"GET / HTTP/1.0"))


def test_a_client_of_http_1_0_may_keep_its_connection(balancer: MakeBalancer, app: MakeApp) -> None:
    front = balancer()
    front.set(app().endpoint())
    answers = talk(
        front, ask(b"Connection: keep-alive", line=b"GET / HTTP/1.0") + ask(line=b"GET / HTTP/1.0")
    )
    assert answers.count(b"200 OK") == 2


def test_head_is_answered_without_a_body_by_targets_and_by_the_balancer(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front = balancer()
    front.set()
    assert talk(front, ask(b"Connection: close", line=b"HEAD / HTTP/1.1")).endswith(b"\r\n\r\n")
    front.set(app().endpoint())
    answers = talk(front, ask(line=b"HEAD / HTTP/1.1") + ask(b"Connection: close"))
    assert answers.count(b"Content-Length: 3") == 2
    assert answers.count(b"ok\n") == 1


def test_requests_sent_ahead_are_answered_in_order(balancer: MakeBalancer, app: MakeApp) -> None:
    front = balancer()
    front.set(app().endpoint())
    answers = talk(front, ask() * 200 + ask(b"Connection: close"))
    assert answers.count(b"200 OK") == 201


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"x" * 200_000,
        ask(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.1") + b"zz\r\n",
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_does_not_speak_http_gets_400_and_a_close(
    balancer: MakeBalancer, app: MakeApp, nonsense: bytes, *, tls: bool
) -> None:
    front = balancer(tls=tls)
    front.set(app().endpoint())
    answer = talk(front, nonsense)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert CLOSE in answer


def test_an_idle_client_is_closed_and_one_within_a_request_gets_an_error(
    balancer: MakeBalancer,
) -> None:
    front = balancer(idle=0.6)
    front.set()
    assert talk(front, b"") == b""
    assert talk(front, b"GET / HT").startswith(b"HTTP/1.1 408 ")
    assert front.get().status == 503


def test_a_client_without_tls_does_not_disturb_others(balancer: MakeBalancer, app: MakeApp) -> None:
    front = balancer(tls=True)
    front.set(app().endpoint())
    plain = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    plain.request("GET", "/")
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()
    assert front.get().status == 200
