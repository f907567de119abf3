"""What a client sees, and what the log says, when targets fail in every way behind each balancer that the lab imitates.

The table holds what the real ones were measured to do (nginx 1.22, HAProxy 2.6, Envoy 1.40, Caddy 2.11, Apache 2.4.71).
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.accesslogs.formats import parse
from tests.lab.dataplane.test_balancer_losses import OK, read_request, reset

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.lab.dataplane.conftest import BalancerProcess, Line, MakeBalancer, MakeTarget

FAMILIES = ("alb", "nginx", "haproxy", "envoy", "caddy", "apache")
CLOSED = 0  # in place of a status: the connection is closed without an answer
NO_SERVER = b"No server is available to handle this request."
INVALID = b"The server returned an invalid or incomplete response."
RESET = b"upstream connect error or disconnect/reset before headers. reset reason: "
DOWN = b"temporarily unable to service your\nrequest due to maintenance downtime or capacity\nproblems."
PROXY_ERROR = b"<h1>Proxy Error</h1>"

# way of failing -> family -> (status for the first request of a client's connection, for a later one, words)
TABLE: dict[str, dict[str, tuple[int, int, bytes]]] = {
    "refused": {
        "alb": (502, 502, b"502 Bad Gateway"),
        "nginx": (502, 502, b"<hr><center>nginx</center>"),
        "haproxy": (503, 503, NO_SERVER),
        "envoy": (503, 503, RESET + b"remote connection failure"),
        "caddy": (502, 502, b""),
        "apache": (503, 503, DOWN),
    },
    "silent": {
        "alb": (504, 504, b"504 Gateway Time-out"),
        "nginx": (504, 504, b"504 Gateway Time-out"),
        "haproxy": (503, CLOSED, NO_SERVER),
        "envoy": (503, 503, RESET + b"connection timeout"),
        "caddy": (502, 502, b""),
        "apache": (503, 503, DOWN),
    },
    "reset": {
        "alb": (502, 502, b"502 Bad Gateway"),
        "nginx": (502, 502, b"502 Bad Gateway"),
        "haproxy": (502, CLOSED, INVALID),
        "envoy": (503, 503, RESET + b"connection termination"),
        "caddy": (502, 502, b""),
        "apache": (502, CLOSED, PROXY_ERROR),
    },
    "never answers": {
        "alb": (504, 504, b"504 Gateway Time-out"),
        "nginx": (504, 504, b"504 Gateway Time-out"),
        "haproxy": (504, 504, b"The server didn't respond in time."),
        "envoy": (504, 504, b"upstream request timeout"),
        "caddy": (504, 504, b""),
        "apache": (502, 502, PROXY_ERROR),
    },
    "nobody": {
        "alb": (503, 503, b"503 Service Temporarily Unavailable"),
        "nginx": (503, 503, b"503 Service Temporarily Unavailable"),
        "haproxy": (503, 503, NO_SERVER),
        "envoy": (503, 503, b"no healthy upstream"),
        "caddy": (503, 503, b""),
        "apache": (503, 503, DOWN),
    },
}
SAID = {  # in the log, for the first request
    "alb": {
        "refused": "502 -",
        "silent": "504 -",
        "reset": "502 -",
        "never answers": "504 -",
        "nobody": "503 -",
    },
    "nginx": {"refused": "502", "silent": "504", "reset": "502", "never answers": "504", "nobody": ""},
    "haproxy": {"refused": "SC", "silent": "sC", "reset": "SH", "never answers": "sH", "nobody": "SC NOSRV"},
    "envoy": {"refused": "UF", "silent": "UF", "reset": "UC", "never answers": "UT", "nobody": "UH"},
}
WHOLE = 0xABC


def good(sock: socket.socket) -> None:
    while read_request(sock):
        sock.sendall(OK)


def breaks(sock: socket.socket) -> None:
    read_request(sock)
    reset(sock)


def breaks_when_reused(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(OK)
    read_request(sock)
    reset(sock)


def stalls(sock: socket.socket) -> None:
    read_request(sock)
    time.sleep(5)


def cut(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")


class Front:
    """A balancer with a log, and one client connection at a time."""

    def __init__(self, balancer: BalancerProcess, log: Path) -> None:
        self.balancer, self.log = balancer, log
        self.asked = 0
        self.client = balancer.socket()

    def ask(self, method: str = "GET") -> tuple[int, bytes, bytes]:
        """Return status (CLOSED for none), head and body."""
        self.asked += 1
        ids = f"X-Request-ID: {WHOLE:028x}{self.asked:04x}\r\nX-Amzn-Trace-Id: Root=1-{WHOLE:08x}-{self.asked:024x}\r\n"
        tail = "Content-Length: 0\r\n" if method == "POST" else ""
        self.client.sendall(f"{method} / HTTP/1.1\r\nHost: a\r\n{ids}{tail}\r\n".encode())
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n\r\n" not in data:
                part = self.client.recv(65536)
                if not part:
                    return CLOSED, b"", b""
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
            while len(body) < length:
                part = self.client.recv(65536)
                if not part:
                    break
                body += part
            return int(head[9:12]), head, body
        return CLOSED, b"", b""

    def again(self) -> None:
        self.client.close()
        self.client = self.balancer.socket()

    def logged(self, number: int, pods: set[str]) -> Any:
        wanted = re.compile(f"{WHOLE:028x}{number:04x}|Root=1-{WHOLE:08x}-{number:024x}")
        until = time.monotonic() + 0.5  # what is written is on disk after 0.25 s
        while time.monotonic() < until:
            for line in self.log.read_text().splitlines() if self.log.exists() else []:
                seen = wanted.search(line)
                if seen:
                    return parse(line, pods, seen.start(), seen.end())
            time.sleep(0.02)
        return None


@pytest.fixture
def front(own_balancer: MakeBalancer, tmp_path: Path) -> Any:
    made: list[Front] = []

    def make(family: str, **config: Any) -> Front:
        log = tmp_path / f"{family}.log"
        short = {"connect_timeout_ns": 300_000_000, "idle_timeout_ns": 400_000_000, "access_log": str(log)}
        made.append(Front(own_balancer(profile=family, **(short | config)), log))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_client_gets_when_a_target_fails_is_what_the_real_one_sends(
    family: str, front: Any, target: MakeTarget, silent: Line
) -> None:
    works = target(good).endpoint()
    refuses = target(good)
    refuses.stop_listening()
    ways = {
        "refused": refuses.endpoint(),
        "silent": silent,
        "reset": target(breaks).endpoint(),
        "never answers": target(stalls).endpoint(),
        "nobody": None,
    }
    one = front(family)
    for way, endpoint in ways.items():
        first, later, words = TABLE[way][family]
        failing = [endpoint] if endpoint else []
        one.balancer.set(*failing)
        one.again()
        status, head, body = one.ask()
        assert (way, status) == (way, first)
        assert words in body
        assert bool(body) == (family != "caddy")
        entry = one.logged(one.asked, {"127.0.0.1"})
        assert entry is not None, way
        assert entry.address == ("" if way == "nobody" else "127.0.0.1")
        assert entry.said == SAID.get(family, {}).get(way, "")
        closes = b"connection: close" in head.lower()
        assert closes == (family == "apache" and status == 503)

        one.balancer.set(works)
        one.again()
        assert one.ask()[0] == 200
        one.balancer.set(*failing)
        assert (way, one.ask()[0]) == (way, later)
        failed = one.asked
        if later != CLOSED and not closes:  # the connection goes on
            one.balancer.set(works)
            assert one.ask()[0] == 200
        missing = one.logged(failed, {"127.0.0.1"}) is None
        assert missing == (later == CLOSED and way == "reset"), (
            "a silent close is logged only while connecting"
        )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_caddy_resends_a_request_when_a_reused_connection_breaks(
    family: str, method: str, front: Any, target: MakeTarget
) -> None:
    one = front(family)
    one.balancer.set(target(breaks_when_reused).endpoint())
    assert one.ask()[0] == 200
    expected = TABLE["reset"][family][1]
    assert one.ask(method)[0] == (200 if (family, method) == ("caddy", "GET") else expected)


def test_when_the_second_try_breaks_too_caddy_says_502(front: Any, target: MakeTarget) -> None:
    scripts = iter([breaks_when_reused, breaks])

    def each_by_its_own(sock: socket.socket) -> None:
        next(scripts)(sock)

    one = front("caddy")
    one.balancer.set(target(each_by_its_own).endpoint())
    assert [one.ask()[0], one.ask()[0]] == [200, 502]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_that_ends_early_is_passed_on_and_cut_and_envoy_takes_a_second_for_it(
    family: str, front: Any, target: MakeTarget
) -> None:
    one = front(family)
    one.balancer.set(target(cut).endpoint())
    start = time.monotonic()
    status, _, body = one.ask()
    assert (status, body) == (200, b"half of it")
    assert (time.monotonic() - start > 0.9) == (family == "envoy")
    entry = one.logged(1, {"127.0.0.1"})
    assert entry.address == ("" if family == "caddy" else "127.0.0.1")
    assert entry.said == {"haproxy": "SD", "envoy": "UPE", "nginx": "200", "alb": "200 200"}.get(family, "")


@pytest.mark.parametrize(
    ("family", "present", "absent"),
    [
        ("nginx", [b"Server: nginx\r\n"], [b"Via:", b"x-envoy"]),
        (
            "haproxy",
            [b"x-pod: scripted\r\n", b"content-length: 3\r\n"],
            [b"erver:", b"ia:", b"ate:", b"onnection:"],
        ),
        (
            "envoy",
            [b"server: envoy\r\n", b"x-envoy-upstream-service-time: ", b"date: ", b"x-pod: scripted"],
            [b"onnection:"],
        ),
        ("caddy", [b"Via: 1.1 Caddy\r\n", b"Date: ", b"X-Pod: scripted"], [b"Server:", b"onnection:"]),
        ("apache", [b"Server: Apache/", b"Date: ", b"X-Pod: scripted"], [b"Via:", b"onnection:"]),
    ],
)
def test_good_answers_name_the_balancer_as_the_real_ones_do(
    family: str, present: list[bytes], absent: list[bytes], front: Any, target: MakeTarget
) -> None:
    one = front(family)
    one.balancer.set(target(good).endpoint())
    head = one.ask()[1] + b"\r\n"
    assert [word for word in present if word not in head] == []
    assert [word for word in absent if word in head] == []


def test_a_target_that_names_its_server_is_hidden_by_nginx_and_envoy_and_shown_by_the_others(
    front: Any, target: MakeTarget
) -> None:
    def named(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nServer: pod\r\nContent-Length: 3\r\n\r\nok\n")

    shown = set()
    for family in FAMILIES:
        one = front(family)
        one.balancer.set(target(named).endpoint())
        if b"server: pod" in one.ask()[1].lower():
            shown.add(family)
    assert shown == {"alb", "haproxy", "caddy", "apache"}


@pytest.mark.parametrize("family", ["nginx", "envoy", "haproxy", "caddy", "apache"])
def test_with_tries_a_refused_request_goes_to_another_target_and_nginx_names_both(
    family: str, front: Any, target: MakeTarget
) -> None:
    refuses, works = target(good), target(good)
    refuses.stop_listening()
    one = front(family, tries=2)
    one.balancer.set(refuses.endpoint(), works.endpoint())
    assert [one.ask()[0] for _ in range(4)] == [200] * 4
    said = [entry.said for number in range(1, 5) if (entry := one.logged(number, {"127.0.0.1"}))]
    assert set(said) == {"502, 200" if family == "nginx" else ""}


def test_a_targets_own_error_is_in_the_log_as_an_answer(front: Any, target: MakeTarget) -> None:
    def busy(sock: socket.socket) -> None:
        while read_request(sock):
            sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")

    said = {}
    for family in FAMILIES:
        one = front(family)
        one.balancer.set(target(busy).endpoint())
        assert one.ask()[::2] == (503, b"busy")
        said[family] = one.logged(1, {"127.0.0.1"})[::2]
    assert said == {
        "alb": ("127.0.0.1", "503 503"),
        "nginx": ("127.0.0.1", "503"),
        "haproxy": ("127.0.0.1", ""),
        "envoy": ("127.0.0.1", ""),
        "caddy": ("127.0.0.1", ""),
        "apache": ("127.0.0.1", ""),
    }


def test_a_client_can_neither_forge_a_log_line_nor_put_a_secret_into_the_log(front: Any) -> None:
    for family in FAMILIES:
        one = front(family)
        one.balancer.set()
        fields = (
            b'Host: s3cret\r\nUser-Agent: s3cret" 200 \x07\r\nReferer: s3cret\r\nX-Request-ID: '
            b"s3cret\r\nX-Amzn-Trace-Id: s3cret\r\n\r\n"
        )
        for target in (b"/?token=s3cret", b'/"\x9b\\x?a=s3cret'):
            with one.balancer.socket() as sock:
                sock.sendall(b"GET " + target + b" HTTP/1.1\r\n" + fields)
                sock.recv(65536)
        one.again()
        one.ask()
        assert one.logged(1, set())
        text = one.log.read_text()
        assert "s3cret" not in text
        assert "/?token=" in text
        assert len(text.splitlines()) == 3
        assert text.isprintable() or set(text) - {"\n"} <= set(map(chr, range(32, 127)))
