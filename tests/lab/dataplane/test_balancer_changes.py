"""Changes of endpoints: when they take effect, and how the balancer ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.dataplane.conftest import MakeApp, MakeBalancer, MakeTarget


def test_a_change_counts_when_its_lag_is_over_and_changes_keep_their_order(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front, one, two = balancer(lag=0.5), app(HOSTNAME="one"), app(HOSTNAME="two")
    front.set(one.endpoint(), wait=0)
    start = time.monotonic()
    time.sleep(0.3)
    front.set(two.endpoint(), wait=0)
    seen: list[tuple[str | None, float]] = []
    while time.monotonic() - start < 1.3:
        pod = front.get().headers["X-Pod"]
        if not seen or seen[-1][0] != pod:
            seen.append((pod, time.monotonic() - start))
        time.sleep(0.01)
    assert [pod for pod, _ in seen] == [None, "one", "two"]
    assert seen[1][1] >= 0.49
    assert seen[2][1] >= 0.79


def test_a_removed_target_finishes_what_it_has_and_gets_nothing_new(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front, old, new = balancer(), app(HOSTNAME="old"), app(HOSTNAME="new")
    front.set(old.endpoint())
    client = front.client()
    client.request("GET", "/?ms=800")
    time.sleep(0.2)
    front.set(new.endpoint())
    assert {front.get().headers["X-Pod"] for _ in range(5)} == {"new"}
    answer = client.answer()
    assert (answer.status, answer.headers["X-Pod"]) == (200, "old")
    client.close()


def test_idle_connections_to_a_removed_target_are_closed_and_busy_ones_after_their_answer(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    ended = [threading.Event(), threading.Event()]

    def script(sock: socket.socket) -> None:
        busy = b"/busy" in sock.recv(1000)
        time.sleep(0.8 if busy else 0)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert sock.recv(1) == b""
        ended[busy].set()

    front = balancer()
    front.set(target(script).endpoint())
    busy = front.client()
    busy.request("GET", "/busy")
    time.sleep(0.2)
    front.get("/idle")
    assert not ended[False].is_set()
    front.set()
    assert ended[False].wait(5)
    assert not ended[True].is_set()
    assert busy.answer().status == 200
    assert ended[True].wait(5)
    busy.close()


def test_a_target_that_stays_keeps_its_pooled_connections(
    balancer: MakeBalancer, target: MakeTarget, app: MakeApp
) -> None:
    def script(sock: socket.socket) -> None:
        while sock.recv(1000):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    scripted = target(script)
    front = balancer()
    front.set(scripted.endpoint())
    front.get()
    front.set(scripted.endpoint(), app().endpoint())
    for _ in range(4):
        front.get()
    front.set(scripted.endpoint())
    front.get()
    assert scripted.accepted == 1


def test_a_pooled_connection_is_closed_when_it_was_idle_too_long(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    ended = threading.Event()

    def script(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert sock.recv(1) == b""
        ended.set()

    front = balancer(idle=0.6)
    front.set(target(script).endpoint())
    assert front.get().status == 200
    assert ended.wait(5)
    assert front.get().status == 200


def test_the_end_of_standard_input_ends_it_at_once_with_requests_in_flight(
    own_balancer: MakeBalancer, app: MakeApp
) -> None:
    front = own_balancer()
    front.set(app().endpoint())
    client = front.client()
    client.request("GET", "/?ms=60000")
    time.sleep(0.2)
    assert front.let_go() == 0
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", front.port), 5)
    client.close()


def test_it_ends_when_its_parent_is_killed() -> None:
    config = (
        '{"profile":"alb","tls":false,"listen":"127.0.0.1","port":0,'
        '"connect_timeout_ns":1,"idle_timeout_ns":1,"lag_ns":0}'
    )
    program = f"""
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-m", "harness.lab.balancer"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
)
child.stdin.write(b'{config}\\n')
child.stdin.flush()
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout
    with parent.stdout:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and _runs(pid):
            time.sleep(0.02)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_does_not_reach_it(own_balancer: MakeBalancer) -> None:
    front = own_balancer()
    front.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert front.get().status == 503


def test_a_configuration_that_it_cannot_use_is_a_one_line_error() -> None:
    for config, said in (
        ('{"tls": true, "cert_file": "/nowhere.pem", "key_file": "/nowhere.pem"}', b"No such file"),
        ('{"listen": "192.0.2.1"}', b"192.0.2.1"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "harness.lab.balancer"],
            input=config.encode() + b"\n",
            capture_output=True,
            check=False,
            timeout=30,
        )
        # the end of standard input races with the line; both say no
        assert ended.stdout == b""
        assert ended.returncode == 1
        assert said in ended.stderr
