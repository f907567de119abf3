"""The balancer's log of lost requests."""

from __future__ import annotations

import json
import resource
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.dataplane.sockets import answering, ask, read_head, talk

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.lab.dataplane.conftest import BalancerProcess, MakeApp, MakeBalancer, MakeTarget

NS = 1_000_000_000


@pytest.fixture
def noting(own_balancer: MakeBalancer, tmp_path: Path) -> BalancerProcess:
    """A balancer that logs what it loses."""
    return own_balancer(losses_file=str(tmp_path / "losses.jsonl"))


def lines(balancer: BalancerProcess, folder: Path) -> list[dict[str, Any]]:
    assert balancer.let_go() == 0
    text = (folder / "losses.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["what"] == "lost"]


def test_a_refusal_is_logged_with_the_clients_request_id_and_time(
    noting: BalancerProcess, app: MakeApp, tmp_path: Path
) -> None:
    gone = app(wait=False)
    gone.let_go()
    noting.set(gone.endpoint())
    before = time.monotonic_ns()
    assert b" 502 " in talk(noting, ask(b"x-request-ID:  a7 ", b"Connection: close"))
    (line,) = lines(noting, tmp_path)
    assert before <= line["t_ns"] <= time.monotonic_ns()
    assert abs(line["wall_ns"] - time.time_ns()) < 60 * NS
    shown = {key: line[key] for key in ("request_id", "method", "status", "loss", "stage", "pod", "uses")}
    assert shown == {
        "request_id": "a7",
        "method": "GET",
        "status": 502,
        "loss": "refused",
        "stage": "connecting",
        "pod": "web-1",
        "uses": 1,
    }


def test_a_missing_target_and_a_missing_id_are_logged_as_such(
    noting: BalancerProcess, tmp_path: Path
) -> None:
    assert noting.get(method="POST").status == 503
    (line,) = lines(noting, tmp_path)
    assert (line["method"], line["status"], line["loss"], line["request_id"]) == (
        "POST",
        503,
        "no_target",
        None,
    )
    assert "pod" not in line


def test_a_request_lost_on_a_reused_connection_is_logged_with_its_idle_time(
    noting: BalancerProcess, target: MakeTarget, tmp_path: Path
) -> None:
    def once(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        read_head(sock)

    noting.set(target(once).endpoint())
    with closing(noting.client()) as client:
        client.request("GET", "/")
        client.answer()
        time.sleep(0.2)
        client.request("GET", "/")
        assert client.answer().status == 502
    (line,) = lines(noting, tmp_path)
    assert (line["loss"], line["stage"], line["uses"], line["listed"]) == ("eof", "waiting", 2, True)
    assert 0.1 * NS < line["rested_ns"] < 10 * NS
    assert line["began_ns"] <= line["t_ns"] + NS // 500


def test_an_answer_cut_off_in_its_body_has_status_0(
    noting: BalancerProcess, target: MakeTarget, tmp_path: Path
) -> None:
    noting.set(target(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True)).endpoint())
    talk(noting, ask())
    (line,) = lines(noting, tmp_path)
    assert (line["status"], line["stage"]) == (0, "answering")


def test_a_targets_own_error_is_passed_on_and_logged(
    noting: BalancerProcess, target: MakeTarget, tmp_path: Path
) -> None:
    noting.set(target(answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")).endpoint())
    assert noting.get().status == 500
    (line,) = lines(noting, tmp_path)
    assert (line["status"], line["loss"], line["pod"]) == (500, "error_status", "scripted")


def test_a_client_that_leaves_is_logged_as_an_alb_does(
    noting: BalancerProcess, app: MakeApp, tmp_path: Path
) -> None:
    noting.set(app().endpoint())
    with noting.socket() as sock:
        sock.sendall(ask(line=b"GET /?ms=5000 HTTP/1.1"))
        time.sleep(0.3)
    time.sleep(0.2)
    (line,) = lines(noting, tmp_path)
    assert (line["status"], line["loss"]) == (460, "client_left")


def test_good_answers_leave_no_line(noting: BalancerProcess, app: MakeApp, tmp_path: Path) -> None:
    noting.set(app().endpoint())
    assert noting.get().status == 200
    assert lines(noting, tmp_path) == []


def test_without_a_descriptor_left_the_request_is_a_502_and_the_balancer_goes_on(
    own_balancer: MakeBalancer, app: MakeApp, tmp_path: Path
) -> None:
    front = own_balancer(losses_file=str(tmp_path / "losses.jsonl"))
    front.set(app().endpoint())
    assert front.get().status == 200  # on a pooled connection, which is given up next
    front.set()
    front.set(app().endpoint())
    pid = front.process.pid
    with closing(front.client()) as client:
        client.request("GET", "/?ms=1")
        assert client.answer().status == 200
        front.set()  # closes the pooled connection: the next request must open one
        front.set(app().endpoint())
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        client.request("GET", "/")
        assert client.answer().status == 502
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        client.request("GET", "/")
        assert client.answer().status == 200
    assert [line["loss"] for line in lines(front, tmp_path)] == ["no_descriptor"]


def test_an_alb_numbers_a_request_that_has_no_number_and_leaves_one_that_has(
    own_balancer: MakeBalancer, target: MakeTarget
) -> None:
    seen: list[bytes] = []

    def script(sock: socket.socket) -> None:
        seen.append(read_head(sock)[0])
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    for profile in ("alb", "nginx"):
        front = own_balancer(profile=profile)
        front.set(target(script).endpoint())
        front.get()
        talk(front, ask(b"X-AMZN-Trace-ID: mine", b"Connection: close"))
    counts = [head.lower().count(b"x-amzn-trace-id: ") for head in seen]
    assert counts == [1, 1, 0, 1]
    assert b"X-Amzn-Trace-Id: Root=1-" in seen[0]
    assert b"mine" in seen[1]
