"""What the load generator is measured against: nginx, a server that takes its time, and one that takes exactly its
time.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLOW_S = 0.04  # of the seed's load: 200 connections make some 4,300 requests/s of it
EXACT_NS = 20_000_000
STATUS = "status"  # where nginx tells how many requests it has had
BODIES = (0, 1 << 10, 16 << 10, 128 << 10, 1 << 20)  # the sizes of the files that nginx has under /body/
_STAMPS = 35  # SO_TIMESTAMPNS: on the wall clock, which nobody sets in these few seconds
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\nX-Pod: pod-1\r\n\r\nok\n"


class _Slow(asyncio.Protocol):
    """Answers each request after the delay, counted from the moment it was read."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(SLOW_S, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


def serve_slowly(port: int, certificate: str) -> None:
    """Be the server that takes its time, until terminated."""

    async def main() -> None:
        tls = None
        if certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
        server = await asyncio.get_running_loop().create_server(
            _Slow, "127.0.0.1", port, ssl=tls, backlog=1024
        )
        await server.serve_forever()

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    uvloop.run(main())


def serve_exactly(port: int) -> None:
    """Be the server that answers EXACT_NS after a request has come: never sleeps, so that nothing is rounded.

    When terminated it prints what it really took, as JSON: p50 and p99 in ns, from when the kernel received a request
    (whose own time stamp says so: it may have waited for us) to having written its answer; and when each one came.
    """
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    visits: dict[int, socket.socket] = {}
    due: list[tuple[int, int, int]] = []  # when, come when, whose
    took: list[int] = []
    arrived: list[int] = []
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    while not ended:
        for number, _ in poll.poll(0):
            if number == listener.fileno():
                visit, _ = listener.accept()
                visit.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                visit.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)
                visit.setblocking(False)
                visits[visit.fileno()] = visit
                poll.register(visit, select.EPOLLIN)
                continue
            data, stamps, _, _ = visits[number].recvmsg(65536, socket.CMSG_SPACE(16))
            if data:
                came = time.time_ns()
                if stamps:  # what was here before we asked for stamps has none
                    seconds, ns = struct.unpack("qq", stamps[0][2])
                    came = seconds * 1_000_000_000 + ns
                arrived.append(came)
                heapq.heappush(due, (came + EXACT_NS, came, number))
            else:
                poll.unregister(number)
                visits.pop(number).close()
        while due and due[0][0] <= time.time_ns():
            _, came, number = heapq.heappop(due)
            if number in visits:
                visits[number].send(ANSWER)
                took.append(time.time_ns() - came)
    took.sort()
    print(  # noqa: T201
        json.dumps(
            {
                "p50": took[len(took) // 2],
                "p99": took[len(took) * 99 // 100],
                "count": len(took),
                "arrived": sorted(arrived),
            }
        )
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    for _ in range(500):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on {port}")


@contextmanager
def server(kind: str, certificate: str = "") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start `slow` or `exact` as a process of its own; yield its URL and the process."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load_servers", kind, str(port), certificate],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(port)
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nginx(folder: Path, certificate: str, *, http2: bool = False) -> Iterator[dict[str, str]]:
    """Start one nginx worker with a tiny answer, and files under /body/; yield its URLs by scheme, and its STATUS.

    `http2`: it speaks nothing else.
    """
    speaks = "http2 " if http2 else ""
    plain, secure, status = free_port(), free_port(), free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "body").mkdir(exist_ok=True)
    for size in BODIES:
        (folder / "body" / str(size)).write_bytes(bytes(size))
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;"
        "worker_rlimit_nofile 16384; events { worker_connections 12000; }"
        f"http {{ access_log off; keepalive_requests 1000000000; {temporary} open_file_cache max=16;"
        f"server {{ listen 127.0.0.1:{plain} {speaks}backlog=4096; listen 127.0.0.1:{secure} ssl {speaks}backlog=4096;"
        f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        f"location /body/ {{ root {folder}; sendfile on; }}"
        'location / { add_header X-Pod pod-1; return 200 "ok\\n"; } }'
        f"server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }} }}",
        encoding="utf-8",
    )
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        wait_for(plain)
        addresses = {"http": plain, "https": secure, STATUS: status}
        yield {
            name: f"{'https' if name == 'https' else 'http'}://127.0.0.1:{port}/"
            for name, port in addresses.items()
        }
    finally:
        process.terminate()
        process.wait()


def served(status: str) -> int:
    """Return how many requests nginx has had, without those of this question's kind in between."""
    with urllib.request.urlopen(status) as answer:  # our own
        return int(answer.read().split(b"requests\n")[1].split()[2])


if __name__ == "__main__":
    if sys.argv[1] == "slow":
        serve_slowly(int(sys.argv[2]), sys.argv[3])
    else:
        serve_exactly(int(sys.argv[2]))
