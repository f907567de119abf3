"""The sample app's faults, each set by a variable."""

from __future__ import annotations

import http.client
import signal
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.dataplane.conftest import AppProcess, MakeApp


def client_of(app: AppProcess) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)


def get(app: AppProcess, path: str = "/") -> int:
    with closing(client_of(app)) as client:
        client.request("GET", path)
        return client.getresponse().status


def test_it_crashes_at_the_configured_request_and_probes_do_not_count(app: MakeApp) -> None:
    running = app(CRASH_AFTER="3")
    for _ in range(5):
        assert get(running, "/alive") == 200
    assert [get(running), get(running)] == [200, 200]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        get(running)
    assert running.process.wait(10) == 1


def test_while_it_warms_up_a_request_takes_longer_and_readiness_says_no(app: MakeApp) -> None:
    running = app(WARMUP="60", WARMUP_MS="400")
    begun = time.monotonic()
    assert (get(running), get(running, "/ready"), get(running, "/alive")) == (200, 503, 200)
    assert time.monotonic() - begun >= 0.4


def test_with_one_worker_requests_wait_for_each_other(app: MakeApp) -> None:
    running = app(WORKERS="1")
    begun = time.monotonic()
    clients = [client_of(running) for _ in range(3)]
    for client in clients:
        client.request("GET", "/?ms=300")
    clients.pop(1).close()  # its turn is skipped, or cut short
    for client in clients:
        assert client.getresponse().status == 200
        client.close()
    assert time.monotonic() - begun >= 0.6
    assert get(running, "/?ms=0") == 200


def test_it_goes_on_for_a_while_after_sigterm_before_it_drains(app: MakeApp) -> None:
    running = app(wait=False, ON_TERM="drain", TERM_DELAY="1")
    assert "listening" in running.hear()
    running.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert get(running) == 200
    assert running.process.wait(20) == 0


def test_it_is_unready_for_a_part_of_each_interval(app: MakeApp) -> None:
    always, never = app(FLAP_EVERY="1000000", FLAP_FOR="1000000"), app(FLAP_EVERY="1", FLAP_FOR="0")
    assert (get(always, "/ready"), get(always), get(never, "/ready")) == (503, 200, 200)


def test_a_request_on_a_connection_that_is_being_closed_is_reset(app: MakeApp) -> None:
    running = app(KEEPALIVE="0.2", CLOSE_LATE="30")
    with socket.create_connection(("127.0.0.1", running.port), 20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in sock.recv(1000)
        time.sleep(1)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            sock.recv(1000)
