from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.lab import app as app_module
from harness.lab.app import ChunkSkipper, Settings
from tests.processes import caught, come_true, ignored

if TYPE_CHECKING:
    from tests.lab.dataplane.conftest import AppProcess, MakeApp


def connect(app: AppProcess) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def talk(app: AppProcess, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", app.port), 30) as sock:
        sock.sendall(request)
        return read_all(sock)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_it_answers_any_method_with_the_name_of_its_pod(app: MakeApp, method: str) -> None:
    client = connect(app(HOSTNAME="web-abc"))
    client.request(method, "/", body=b"x" if method == "POST" else None)
    answer = client.getresponse()
    assert (answer.status, answer.headers["X-Pod"], answer.headers["Content-Length"]) == (200, "web-abc", "3")
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.read() == b"ok\n"
    client.close()


def test_a_connection_carries_many_requests_one_after_the_other_and_sent_ahead(app: MakeApp) -> None:
    answers = talk(
        app(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 9 + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    assert answers.count(b"HTTP/1.1 200 OK") == 10
    assert answers.count(b"Connection: close") == 1


def test_head_has_a_length_and_no_body(app: MakeApp) -> None:
    assert talk(app(), b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").endswith(
        b"Content-Length: 3\r\n\r\n"
    )


def test_http_1_0_is_closed_after_the_answer_unless_it_asks_to_go_on(app: MakeApp) -> None:
    running = app()
    assert talk(running, b"GET / HTTP/1.0\r\n\r\n").count(b"200 OK") == 1
    asked = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert talk(running, asked + b"GET / HTTP/1.0\r\n\r\n").count(b"200 OK") == 2


def test_bodies_are_read_by_length_and_by_chunks_and_the_next_request_is_found_behind_them(
    app: MakeApp,
) -> None:
    sized = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    answers = talk(app(), sized + chunked + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answers.count(b"200 OK") == 3


def test_chunks_may_be_cut_anywhere() -> None:
    body = b"3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n"
    for cut in range(len(body)):
        skipper = ChunkSkipper()
        assert skipper.take(body[:cut]) == cut
        assert not skipper.done
        assert skipper.take(body[cut:] + b"GET /") == len(body) - cut
        assert skipper.done


def test_a_client_that_expects_to_be_asked_for_its_body_is_asked(app: MakeApp) -> None:
    with socket.create_connection(("127.0.0.1", app().port), 30) as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ab")
        assert read_all(sock).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / SPDY/9\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_bytes_that_are_not_http_get_400_and_the_connection_is_closed(
    app: MakeApp, request_bytes: bytes
) -> None:
    assert talk(app(), request_bytes).startswith(b"HTTP/1.1 400 ")


def test_the_path_overrides_how_long_it_takes_and_how_much_it_sends(app: MakeApp) -> None:
    client = connect(app(WORK_MS="1"))
    start = time.monotonic()
    client.request("GET", "/?ms=300&bytes=3000000")
    answer = client.getresponse()
    assert time.monotonic() - start >= 0.29
    assert len(answer.read()) == 3_000_000
    client.close()


def test_each_nth_request_is_a_slow_one(app: MakeApp) -> None:
    client = connect(app(SLOW_EVERY="3", SLOW_MS="300"))
    took = []
    for _ in range(6):
        start = time.monotonic()
        client.request("GET", "/")
        client.getresponse().read()
        took.append(time.monotonic() - start >= 0.29)
    client.close()
    assert took[2]
    assert took[5]
    assert sum(took) < 6


def test_probes_are_answered_at_once_and_do_not_count_as_requests(app: MakeApp) -> None:
    client = connect(app(WORK_MS="60000", SLOW_EVERY="1", SLOW_MS="60000"))
    for path in ("/alive", "/healthz", "/ready", "/alive?x=1"):
        client.request("GET", path)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok\n")
    client.close()


def test_while_it_warms_up_only_the_shallow_probe_passes(app: MakeApp) -> None:
    client = connect(app(WARMUP="1.5"))
    seen = {}
    for path in ("/", "/ready", "/alive"):
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        seen[path] = answer.status
    assert seen == {"/": 503, "/ready": 503, "/alive": 200}
    time.sleep(1.6)
    client.request("GET", "/ready")
    assert client.getresponse().status == 200
    client.close()


def test_it_does_not_listen_before_the_start_up_is_over(app: MakeApp) -> None:
    starting = app(wait=False, STARTUP_DELAY="1")
    time.sleep(0.5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", starting.port), 5)
    assert "listening" in starting.hear()
    socket.create_connection(("127.0.0.1", starting.port), 5).close()


def test_an_idle_connection_is_closed_after_keepalive_and_a_busy_one_is_not(app: MakeApp) -> None:
    running = app(KEEPALIVE="0.5")
    with socket.create_connection(("127.0.0.1", running.port), 30) as idle:
        assert idle.recv(10) == b""
    assert b"200 OK" in talk(running, b"GET /?ms=1200 HTTP/1.1\r\nHost: a\r\n\r\n")


def send_term_in_flight(running: AppProcess, path: str = "/?ms=700") -> tuple[bytes, int]:
    """Send a request, then SIGTERM while it is worked on; return the answer and the exit code."""
    with socket.create_connection(("127.0.0.1", running.port), 30) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        answer = read_all(sock)
    return answer, running.process.wait(10)


def test_exit_on_term_cuts_what_is_in_flight_and_ends_with_0(app: MakeApp) -> None:
    assert send_term_in_flight(app(ON_TERM="exit")) == (b"", 0)


def test_drain_on_term_answers_what_is_in_flight_and_then_ends(app: MakeApp) -> None:
    answer, code = send_term_in_flight(app(ON_TERM="drain"))
    assert b"200 OK" in answer
    assert b"Connection: close\r\n" in answer
    assert code == 0


def test_drain_sends_a_large_answer_to_its_end(app: MakeApp) -> None:
    answer, code = send_term_in_flight(app(ON_TERM="drain"), "/?ms=500&bytes=5000000")
    assert len(answer) > 5_000_000
    assert code == 0


def test_a_draining_app_takes_no_new_connection_and_closes_idle_ones(app: MakeApp) -> None:
    running = app(ON_TERM="drain")
    with (
        socket.create_connection(("127.0.0.1", running.port), 30) as idle,
        socket.create_connection(("127.0.0.1", running.port), 30) as busy,
    ):
        busy.sendall(b"GET /?ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        assert idle.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), 5)
        assert b"200 OK" in busy.recv(1000)
    assert running.process.wait(10) == 0


def test_an_app_that_ignores_term_goes_on_until_it_is_killed(app: MakeApp) -> None:
    running = app(ON_TERM="ignore")
    running.process.send_signal(signal.SIGTERM)
    assert b"200 OK" in talk(running, b"GET / HTTP/1.0\r\n\r\n")
    running.process.kill()
    assert running.process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("on_term", ["exit", "drain"])
def test_term_during_the_start_up_ends_it_at_once(app: MakeApp, on_term: str) -> None:
    starting = app(wait=False, STARTUP_DELAY="60", ON_TERM=on_term)
    assert come_true(lambda: caught(starting.process.pid, signal.SIGTERM))
    starting.process.send_signal(signal.SIGTERM)
    assert starting.process.wait(10) == 0


@pytest.mark.parametrize("delay", ["0", "60"])
def test_it_ends_when_its_lifeline_does_and_not_on_ctrl_c(app: MakeApp, delay: str) -> None:
    running = app(wait=delay == "0", STARTUP_DELAY=delay)
    assert come_true(lambda: ignored(running.process.pid, signal.SIGINT))
    running.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert running.process.poll() is None
    assert running.let_go() == 0


@pytest.mark.parametrize("env", [{"WORK_MS": "fast"}, {"KEEPALIVE": "-1"}, {"ON_TERM": "explode"}])
def test_an_invalid_environment_is_refused_in_one_line(env: dict[str, str]) -> None:
    with pytest.raises(SystemExit, match=next(iter(env))):
        Settings.read(env)


def test_it_is_one_file_that_runs_alone_on_a_bare_interpreter(tmp_path: Path) -> None:
    alone = tmp_path / "app.py"
    alone.write_bytes(Path(app_module.__file__).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # -I -S: no site-packages, so no uvloop, and nothing of ours
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(alone)],
        env={
            "STARTUP_DELAY": "0",
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": str(port),
            "ON_TERM": "drain",
            "HOSTNAME": "bare",
        },
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    with process.stdout:
        assert b"listening" in process.stdout.readline()
        with socket.create_connection(("127.0.0.1", port), 30) as sock:
            sock.sendall(b"GET /?ms=500 HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert b"X-Pod: bare\r\n" in read_all(sock)
    assert process.wait(10) == 0
