"""What a client gets when a target fails: who answers, with which status, after what time."""

from __future__ import annotations

import http.client
import signal
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.dataplane.conftest import Line, MakeApp, MakeBalancer, MakeTarget

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Pod: scripted\r\n\r\nok\n"


def read_request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return b""
        data += part
    return data


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_target_killed_with_a_request_in_flight_is_a_502(balancer: MakeBalancer, app: MakeApp) -> None:
    front, running = balancer(), app()
    front.set(running.endpoint())
    client = front.client()
    client.request("GET", "/?ms=60000")
    time.sleep(0.3)
    running.process.kill()
    answer = client.answer()
    assert (answer.status, answer.headers["Server"], answer.headers["X-Pod"]) == (502, "awselb/2.0", None)
    assert b"<center><h1>502 Bad Gateway</h1></center>" in answer.body
    client.close()


def test_a_target_that_has_stopped_listening_is_a_502_and_the_client_connection_goes_on(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front, running = balancer(), app()
    front.set(running.endpoint())
    client = front.client()
    for _ in range(2):
        client.request("GET", "/")
        assert client.answer().body == b"ok\n"
    running.process.kill()
    running.process.wait()
    time.sleep(0.1)
    for _ in range(2):
        client.request("GET", "/")
        answer = client.answer()
        assert (answer.status, answer.headers["Connection"]) == (502, "keep-alive")
    client.close()


def test_no_endpoint_is_a_503(balancer: MakeBalancer) -> None:
    front = balancer()
    front.set()
    answer = front.get()
    assert (answer.status, answer.reason) == (503, "Service Temporarily Unavailable")


def test_an_address_that_stays_silent_is_a_504_after_the_connect_timeout(
    balancer: MakeBalancer, silent: Line
) -> None:
    front = balancer(connect=0.5)
    front.set(silent)
    start = time.monotonic()
    assert front.get().status == 504
    assert time.monotonic() - start >= 0.49


def test_a_target_that_answers_nothing_is_a_504_after_the_idle_timeout(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front, running = balancer(idle=0.6), app()
    front.set(running.endpoint())
    client = front.client()
    client.request("GET", "/?ms=400")  # in time, so the clock starts anew with the next
    assert client.answer().body == b"ok\n"
    start = time.monotonic()
    client.request("GET", "/?ms=60000")
    answer = client.answer()
    assert (answer.status, answer.reason) == (504, "Gateway Time-out")
    assert time.monotonic() - start >= 0.59
    client.close()


def test_an_idle_timeout_in_the_middle_of_a_body_cuts_it(balancer: MakeBalancer, target: MakeTarget) -> None:
    def stall(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        time.sleep(20)

    front = balancer(idle=0.6)
    front.set(target(stall).endpoint())
    client = front.client()
    client.request("GET", "/")
    with pytest.raises(http.client.IncompleteRead) as cut:
        client.answer()
    assert cut.value.partial == b"only this"
    client.close()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("end", [reset, socket.socket.close])
def test_a_target_that_ends_before_its_head_is_whole_is_a_502(
    balancer: MakeBalancer, target: MakeTarget, begun: bytes, end: Callable[[socket.socket], None]
) -> None:
    def script(sock: socket.socket) -> None:
        read_request(sock)
        if begun:
            sock.sendall(begun)
        end(sock)

    front = balancer()
    front.set(target(script).endpoint())
    assert front.get().status == 502


@pytest.mark.parametrize(
    "nonsense",
    [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"x" * 200_000],
)
def test_a_target_that_does_not_speak_http_is_a_502(
    balancer: MakeBalancer, target: MakeTarget, nonsense: bytes
) -> None:
    def script(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(nonsense)
        time.sleep(20)

    front = balancer()
    front.set(target(script).endpoint())
    assert front.get().status == 502


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("end", [reset, socket.socket.close])
@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_a_body_that_the_target_cut_reaches_the_client_cut(
    balancer: MakeBalancer,
    target: MakeTarget,
    begun: bytes,
    end: Callable[[socket.socket], None],
    *,
    tls: bool,
) -> None:
    def script(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(begun)
        time.sleep(0.2)
        end(sock)

    front = balancer(tls=tls)
    front.set(target(script).endpoint())
    client = front.client()
    client.request("GET", "/")
    with client.getresponse() as answer:
        assert answer.status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
    client.close()


def test_data_and_reset_that_come_together_are_seen_at_once_not_at_the_idle_timeout(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    def script(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        reset(sock)

    front = balancer()
    front.set(target(script).endpoint())
    for _ in range(20):  # whether they are read together is chance
        assert front.get().status == 502


def test_no_request_is_ever_sent_a_second_time(
    balancer: MakeBalancer, target: MakeTarget, app: MakeApp
) -> None:
    seen = []

    def script(sock: socket.socket) -> None:
        seen.append(read_request(sock))
        reset(sock)

    front, dead, well = balancer(), target(script), app()
    front.set(dead.endpoint(), well.endpoint())
    statuses = [front.get().status for _ in range(6)]
    assert statuses.count(502) == len(seen) == 3
    assert statuses.count(200) == 3


def test_a_pooled_connection_whose_end_was_seen_is_not_used_again(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    def one_answer(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(OK)

    scripted = target(one_answer)
    front = balancer()
    front.set(scripted.endpoint())
    client = front.client()
    for _ in range(5):
        client.request("GET", "/")
        assert client.answer().body == b"ok\n"
        time.sleep(0.1)
    assert scripted.accepted == 5
    client.close()


def test_a_pooled_connection_closed_as_we_send_on_it_is_a_502(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    def close_on_the_second(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(OK)
        read_request(sock)  # it has crossed our decision to close
        sock.close()

    scripted = target(close_on_the_second)
    front = balancer()
    front.set(scripted.endpoint())
    client = front.client()
    statuses = []
    for _ in range(4):
        client.request("GET", "/")
        answer = client.answer()
        statuses.append(answer.status)
    assert statuses == [200, 502, 200, 502]
    assert scripted.accepted == 2
    client.close()


def test_a_client_that_goes_away_takes_its_request_with_it(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    gone = threading.Event()

    def wait_for_the_end(sock: socket.socket) -> None:
        read_request(sock)
        if sock.recv(1) == b"":
            gone.set()

    front = balancer()
    front.set(target(wait_for_the_end).endpoint())
    sock = front.socket()
    sock.sendall(REQUEST)
    time.sleep(0.2)
    sock.close()
    assert gone.wait(10)


def test_nginx_signs_what_it_passes_on_and_what_it_answers_itself(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    def signed(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: yesterday\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )

    endpoint = target(signed).endpoint()
    nginx, alb = balancer(profile="nginx"), balancer()
    nginx.set(endpoint)
    alb.set(endpoint)
    assert nginx.get().headers["Server"] == "nginx"
    assert nginx.get().headers["Date"].endswith("GMT")
    assert (alb.get().headers["Server"], alb.get().headers["Date"]) == ("app", "yesterday")
    nginx.set()
    answer = nginx.get()
    assert (answer.status, answer.headers["Server"]) == (503, "nginx")
    assert b"<center>nginx</center>" in answer.body


def test_a_drained_target_that_dies_under_its_last_request_is_a_502(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front, running, other = balancer(), app(ON_TERM="drain"), app()
    front.set(running.endpoint())
    client = front.client()
    client.request("GET", "/?ms=60000")
    time.sleep(0.2)
    front.set(other.endpoint())
    running.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    running.process.kill()
    assert client.answer().status == 502
    assert front.get().status == 200
    client.close()
