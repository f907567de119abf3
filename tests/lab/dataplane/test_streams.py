"""The sample app's streams, and streams through the lab's balancer. The client is websockets' own."""

from __future__ import annotations

import http.client
import json
import signal
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.lab.dataplane.sockets import read_head

if TYPE_CHECKING:
    import socket

    from tests.lab.dataplane.conftest import AppProcess, BalancerProcess, MakeApp, MakeBalancer, MakeTarget

QUICK = {"STREAM_EVERY_MS": "50"}


def websocket(server: AppProcess | BalancerProcess) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None, compression=None, close_timeout=5)


def end_of(stream: ClientConnection) -> int:
    """The code of the close frame; 1006 without one."""
    try:
        while True:
            stream.recv(10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def test_a_websocket_gets_numbered_messages_and_its_own_back(app: MakeApp) -> None:
    with websocket(app(**QUICK)) as stream:
        first, second = (json.loads(stream.recv(10)) for _ in range(2))
        assert second["id"] == first["id"] + 1
        stream.send("hello" * 50)
        assert "hello" * 50 in {stream.recv(10) for _ in range(20)}
        assert stream.ping().wait(10)


@pytest.mark.parametrize(("code", "sent"), [("1001", 1001), ("1012", 1012)])
def test_an_app_that_closes_its_streams_says_so_and_ends(app: MakeApp, code: str, sent: int) -> None:
    pod = app(wait=False, ON_TERM="drain", STREAM_ON_TERM="close", STREAM_CODE=code, **QUICK)
    assert "listening" in pod.hear()
    with websocket(pod) as stream:
        stream.recv(10)
        pod.process.send_signal(signal.SIGTERM)
        assert end_of(stream) == sent
    assert pod.process.wait(10) == 0


def test_an_app_that_exits_cuts_its_streams(app: MakeApp) -> None:
    pod = app(wait=False, **QUICK)
    assert "listening" in pod.hear()
    with websocket(pod) as stream:
        stream.recv(10)
        pod.process.send_signal(signal.SIGTERM)
        assert end_of(stream) == 1006


def test_streams_are_closed_over_the_time_that_was_asked_for(app: MakeApp) -> None:
    pod = app(wait=False, ON_TERM="drain", STREAM_ON_TERM="close", STREAM_SPREAD="0.6", **QUICK)
    assert "listening" in pod.hear()
    with websocket(pod) as one, websocket(pod) as two, websocket(pod) as three:
        began = time.monotonic()
        pod.process.send_signal(signal.SIGTERM)
        assert [end_of(stream) for stream in (one, two, three)] == [1001, 1001, 1001]
        assert time.monotonic() - began >= 0.35
    assert pod.process.wait(10) == 0


def test_events_go_on_after_the_last_one_that_was_seen(app: MakeApp) -> None:
    client = http.client.HTTPConnection("127.0.0.1", app(STREAM_RETRY_MS="70", **QUICK).port, timeout=30)
    client.request("GET", "/events")
    answer = client.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.readline() == b"retry: 70\n"
    lines = [answer.readline() for _ in range(4)]
    number = int(lines[1].removeprefix(b"id: "))
    client.close()
    time.sleep(0.2)
    client.request("GET", "/events", headers={"Last-Event-ID": str(number)})
    answer = client.getresponse()
    assert [answer.readline() for _ in range(3)][2] == b"id: %d\n" % (number + 1)
    client.close()


def test_the_balancer_passes_a_websocket_through_until_its_pod_ends(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    pod = app(wait=False, **QUICK)
    assert "listening" in pod.hear()
    front = balancer(profile="nginx")
    front.set(pod.endpoint())
    with websocket(front) as stream:
        assert stream.response is not None
        assert stream.response.headers["X-Pod"] == "web-1"
        stream.send("ping me")
        assert "ping me" in {stream.recv(10) for _ in range(20)}
        pod.process.send_signal(signal.SIGTERM)
        assert end_of(stream) == 1006


def test_a_close_frame_comes_through_the_balancer(balancer: MakeBalancer, app: MakeApp) -> None:
    pod = app(wait=False, ON_TERM="drain", STREAM_ON_TERM="close", **QUICK)
    assert "listening" in pod.hear()
    front = balancer(profile="envoy")
    front.set(pod.endpoint())
    with websocket(front) as stream:
        stream.recv(10)
        pod.process.send_signal(signal.SIGTERM)
        assert end_of(stream) == 1001


def test_a_silent_stream_meets_the_balancers_idle_timeout(balancer: MakeBalancer, app: MakeApp) -> None:
    front = balancer(profile="nginx", idle=0.4)
    front.set(app(STREAM_EVERY_MS="1000000000").endpoint())
    began = time.monotonic()
    with websocket(front) as stream:
        assert end_of(stream) == 1006
    assert 0.3 < time.monotonic() - began < 5


def test_a_handshake_without_a_pod_is_answered_by_the_balancer(balancer: MakeBalancer) -> None:
    front = balancer(profile="nginx")
    front.set()
    with pytest.raises(InvalidStatus) as caught:
        websocket(front)
    assert caught.value.response.status_code == 503


def test_a_101_that_nobody_asked_for_is_a_bad_answer(balancer: MakeBalancer, target: MakeTarget) -> None:
    def script(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        sock.recv(1)

    front = balancer(profile="nginx")
    front.set(target(script).endpoint())
    assert front.get().status == 502
