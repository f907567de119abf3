"""Large bodies both ways, and requests whose body is still coming when they are answered."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.dataplane.sockets import ask, read_all, read_head

if TYPE_CHECKING:
    from tests.lab.dataplane.conftest import MakeApp, MakeBalancer, MakeTarget


@pytest.mark.parametrize("tls", [False, True])
def test_100_mb_pass_in_both_directions_and_neither_is_held_in_memory(
    balancer: MakeBalancer, app: MakeApp, *, tls: bool
) -> None:
    size = 100_000_000
    front = balancer(tls=tls)
    front.set(app().endpoint())
    client = front.client()
    client.request("GET", f"/?bytes={size}")
    with client.getresponse() as answer:
        got = 0
        while part := answer.read(1 << 20):
            got += len(part)
    assert got == size
    block = b"y" * (1 << 20)
    client.putrequest("POST", "/")
    client.putheader("Content-Length", str(size))
    client.endheaders()
    for start in range(0, size, len(block)):
        client.send(block[: size - start])
    assert client.answer().body == b"ok\n"
    client.close()
    status = Path(f"/proc/{front.process.pid}/status").read_text()
    peak_kb = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    assert peak_kb < 80_000


@pytest.mark.parametrize("way", ["length", "chunked"])
def test_an_upload_reaches_the_target_byte_for_byte(
    balancer: MakeBalancer, target: MakeTarget, way: str
) -> None:
    data = bytes(range(256)) * 20_000
    digests = []

    def script(sock: socket.socket) -> None:
        head, rest = read_head(sock)
        if way == "length":
            while len(rest) < len(data):
                rest += sock.recv(1 << 20)
            digests.append(hashlib.sha256(rest).hexdigest())
        else:
            while not rest.endswith(b"\r\n0\r\n\r\n"):
                rest += sock.recv(1 << 20)
            assert b"Transfer-Encoding: chunked\r\n" in head
            lines, body = rest, b""
            while lines != b"0\r\n\r\n":
                size, _, lines = lines.partition(b"\r\n")
                body, lines = body + lines[: int(size, 16)], lines[int(size, 16) + 2 :]
            digests.append(hashlib.sha256(body).hexdigest())
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    front = balancer()
    front.set(target(script).endpoint())
    client = front.client()
    parts = [data[start : start + 777_777] for start in range(0, len(data), 777_777)]
    if way == "length":
        client.request("POST", "/", body=data)
    else:
        client.request(
            "POST", "/", body=iter(parts), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
    assert client.answer().status == 200
    assert digests == [hashlib.sha256(data).hexdigest()]
    client.close()


def test_a_target_that_reads_slowly_slows_the_client_down(balancer: MakeBalancer, target: MakeTarget) -> None:
    go_on = threading.Event()

    def script(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        read_head(sock)
        go_on.wait(20)
        left = 30_000_000
        while left > 0:
            left -= len(sock.recv(1 << 20))
            if left < 65536:
                break
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        time.sleep(1)

    front = balancer()
    front.set(target(script).endpoint())
    sock = front.socket()
    sock.settimeout(0.5)
    sock.sendall(ask(b"Content-Length: 30000000", line=b"POST / HTTP/1.1"))
    sent = 0
    with suppress(TimeoutError):
        while sent < 30_000_000:
            sent += sock.send(b"z" * min(1 << 20, 30_000_000 - sent))
    assert sent < 25_000_000
    go_on.set()
    sock.settimeout(30)
    while sent < 30_000_000:
        sent += sock.send(b"z" * min(1 << 20, 30_000_000 - sent))
    assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK")
    sock.close()


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_by_the_target(
    balancer: MakeBalancer, app: MakeApp
) -> None:
    front = balancer()
    front.set(app().endpoint())
    with front.socket() as sock:
        sock.sendall(
            ask(b"Expect: 100-continue", b"Content-Length: 2", b"Connection: close", line=b"POST / HTTP/1.1")
        )
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ab")
        assert read_all(sock).startswith(b"HTTP/1.1 200 OK")


def test_an_answer_of_our_own_does_not_wait_for_the_body_and_the_connection_goes_on_behind_it(
    balancer: MakeBalancer,
) -> None:
    front = balancer()
    front.set()
    with front.socket() as sock:
        sock.sendall(ask(b"Content-Length: 200000", line=b"POST / HTTP/1.1"))
        assert sock.recv(1000).startswith(b"HTTP/1.1 503 ")
        sock.sendall(b"x" * 200_000 + ask(b"Connection: close"))
        assert b"HTTP/1.1 503 " in read_all(sock)


def test_a_target_that_answers_before_it_has_read_the_body_is_heard_and_not_used_again(
    balancer: MakeBalancer, target: MakeTarget
) -> None:
    def script(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        read_all(sock)

    scripted = target(script)
    front = balancer()
    front.set(scripted.endpoint())
    with front.socket() as sock:
        sock.sendall(ask(b"Content-Length: 10", line=b"POST / HTTP/1.1"))
        assert sock.recv(1000).startswith(b"HTTP/1.1 413 ")
        sock.sendall(b"0123456789" + ask(b"Connection: close"))
        assert read_all(sock).startswith(b"HTTP/1.1 413 ")
    assert scripted.accepted == 2
