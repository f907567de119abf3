"""What the lab's data plane costs: `python tests/bench/balancer_bench.py [--http] [-c 200] [-d 10] [--work-ms 45]
[--rounds 3]`.

Three app processes, a closed loop of plain non-blocking connections, and between them in turn the lab's balancer and,
where it is installed, nginx doing the same: processor time on a busy or virtual machine means little, their ratio
does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from tests.lab.dataplane.conftest import CA, AppProcess, BalancerProcess

if TYPE_CHECKING:
    import asyncio

TICK = os.sysconf("SC_CLK_TCK")
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nX-Request-ID: %032x\r\nX-Amzn-Trace-Id:"
    b" Root=1-00000000-%024x\r\n\r\n"
)
NGINX = """worker_processes 1; daemon off; master_process off; pid {dir}/pid; error_log {dir}/log;
events {{ worker_connections 8000; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream pods {{ {servers} keepalive 512; }}
  server {{
    listen 127.0.0.1:{port} {ssl};
    location / {{ proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream
    off; }}
  }}
}}
"""


def cpu(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Slot:
    """One place of a closed loop."""

    sent_so_far = 0

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, statuses: Counter[str], ms: list[float]
    ) -> None:
        self.loop, self.sock, self.statuses, self.ms = loop, sock, statuses, ms
        sock.setblocking(False)
        loop.add_reader(sock, self.readable)
        self.send()

    def send(self) -> None:
        self.sent = time.monotonic()
        Slot.sent_so_far += 1
        self.sock.send(
            REQUEST % (Slot.sent_so_far, Slot.sent_so_far)
        )  # as the real generator: no two are alike

    def readable(self) -> None:
        try:
            data = self.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        self.statuses[data[9:12].decode() or "closed"] += 1
        self.ms.append((time.monotonic() - self.sent) * 1000)
        if data:
            self.send()
        else:
            self.loop.remove_reader(self.sock)


def connect(port: int, *, tls: bool) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not tls:
        return sock
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context.wrap_socket(sock, server_hostname="127.0.0.1")


def start_nginx(folder: Path, apps: list[AppProcess], *, tls: bool) -> tuple[subprocess.Popen[bytes], int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    secured = f"ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem" if tls else ""
    servers = "".join(f"server 127.0.0.1:{app.port};" for app in apps)
    (folder / "conf").write_text(NGINX.format(dir=folder, servers=servers, port=port, ssl=secured))
    nginx = subprocess.Popen(["nginx", "-c", str(folder / "conf")], stderr=subprocess.DEVNULL)
    time.sleep(1)
    return nginx, port


def measure(name: str, pid: int, port: int, apps: list[AppProcess], asked: argparse.Namespace) -> None:
    """Load one balancer, and print what it and the others used."""
    loop = uvloop.new_event_loop()
    statuses: Counter[str] = Counter()
    ms: list[float] = []
    with ExitStack() as stack:
        for _ in range(asked.c):
            sock = stack.enter_context(connect(port, tls=not asked.http))
            Slot(loop, sock, statuses, ms)
        loop.call_later(1, loop.stop)
        loop.run_forever()
        statuses.clear()
        ms.clear()
        pids = [pid, os.getpid(), *(app.process.pid for app in apps)]
        before, start = [cpu(each) for each in pids], time.monotonic()
        loop.call_later(asked.d, loop.stop)
        loop.run_forever()
        took, after = time.monotonic() - start, [cpu(each) for each in pids]
    loop.close()
    used = [f"{100 * (b - a) / took:.1f}" for a, b in zip(before, after, strict=True)]
    ms.sort()
    spread = f"p50 {ms[len(ms) // 2]:.1f} p99 {ms[len(ms) * 99 // 100]:.1f} max {ms[-1]:.1f} ms"
    cost = 1e6 * (after[0] - before[0]) / len(ms)
    sys.stdout.write(
        f"{name:8} {len(ms) / took:6,.0f} req/s {dict(statuses)} {spread}; % of a core: "
        f"balancer {used[0]} ({cost:.0f} us a request), client {used[1]}, apps {' '.join(used[2:])}\n"
    )


def main() -> None:
    """Measure as the command line says."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("-c", type=int, default=200)
    options.add_argument("-d", type=float, default=10)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--work-ms", default="45")
    options.add_argument("--http", action="store_true", help="no TLS in front")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apps = [AppProcess({"WORK_MS": asked.work_ms, "HOSTNAME": f"web-{n}"}) for n in range(3)]
        for app in apps:
            app.hear()
        balancer = BalancerProcess({"profile": "alb", "tls": not asked.http}, folder)
        balancer.set(*(app.endpoint() for app in apps))
        nginx = start_nginx(folder, apps, tls=not asked.http) if shutil.which("nginx") else None
        for _ in range(asked.rounds):
            measure("lab", balancer.process.pid, balancer.port, apps, asked)
            if nginx:
                measure("nginx", nginx[0].pid, nginx[1], apps, asked)
        if nginx:
            nginx[0].terminate()
            nginx[0].wait(10)
        for process in (balancer, *apps):
            process.let_go()


if __name__ == "__main__":
    main()
