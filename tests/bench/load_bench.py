"""The load generator against the clock: python tests/bench/load_bench.py [--rounds 3] [--seconds 5] [--json FILE]

Two measurements, on loopback, printed as tables and saved as JSON:

seed      a server that takes 40 ms, 200 connections, one worker: requests/s, the worker's share of a core, its own lag,
          and how far the reported latency is from what the server took.
rivals    one nginx, 200 connections: requests per CPU-second of our worker, of `wrk -t1` and of `hey`, in turn, medians
          of the rounds. CPU is the client's own, so a busy machine bends rates and hardly ratios. Rivals that are not
          installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pyarrow as pa
import trustme
import uvloop

from harness.clock import Clock
from harness.load.generator import running
from harness.model import LoadPlan, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 200
DELAY_S = 0.04
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\nX-Pod: pod-1\r\n\r\nok\n"
FLOORS = {"http": {"wrk": 0.75, "hey": 3.0}, "https": {"wrk": 0.72, "hey": 3.0}}


class Slow(asyncio.Protocol):
    """Answers each request after the delay, counted from the moment it was read."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(DELAY_S, self.transport.write, ANSWER)


def serve(port: int, certificate: str) -> None:
    """Be the slow server, until terminated."""

    async def main() -> None:
        tls = None
        if certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
        server = await asyncio.get_running_loop().create_server(
            Slow, "127.0.0.1", port, ssl=tls, backlog=1024
        )
        await server.serve_forever()

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    uvloop.run(main())


@contextmanager
def slow_server(certificate: str) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(port), "--certificate", certificate])
    try:
        wait_for(port)
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nginx(folder: Path, certificate: str) -> Iterator[dict[str, str]]:
    plain, secure = free_port(), free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;"
        "events { worker_connections 4096; }"
        f"http {{ access_log off; keepalive_requests 1000000000; {temporary}"
        f"server {{ listen 127.0.0.1:{plain} backlog=1024; listen 127.0.0.1:{secure} ssl backlog=1024;"
        f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        'location / { add_header X-Pod pod-1; return 200 "ok\\n"; } } }',
        encoding="utf-8",
    )
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        wait_for(plain)
        yield {"http": f"http://127.0.0.1:{plain}/", "https": f"https://127.0.0.1:{secure}/"}
    finally:
        process.terminate()
        process.wait()


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


def ours(url: str, seconds: float) -> dict[str, float]:
    """Run one worker. All figures are of the whole seconds but the first, in which the connections are opened."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        async def main() -> tuple[list[Any], int, int]:
            plan = LoadPlan((Target(url),), CONNECTIONS, insecure=True)
            async with running(plan, Clock.start(), folder) as load:
                await anyio.sleep(seconds + 1.2)
                await load.finish(2_000_000_000)
                counts = load.counts
                return [sample async for sample in load.samples], counts.failed, load.started_ns

        health, failed, started_ns = anyio.run(main)
        health = health[1:-1]
        with pa.ipc.open_stream(folder / "hits" / "0.arrow") as reader:
            hits = reader.read_all()
    late = [
        (done - due) / 1e6
        for due, done in zip(hits["due_ns"].to_pylist(), hits["done_ns"].to_pylist(), strict=True)
        if due > started_ns + 1_500_000_000
    ]
    late.sort()
    completed, cpu_s = (
        sum(sample.completed for sample in health),
        sum(sample.cpu_ns for sample in health) / 1e9,
    )
    return {
        "requests_per_s": completed / len(health),
        "per_cpu_s": completed / cpu_s,
        "core_share": cpu_s / len(health),
        "lag_p99_ms": statistics.median(sample.lag_p99_ns for sample in health) / 1e6,
        "latency_p50_ms": late[len(late) // 2],
        "latency_p99_ms": late[len(late) * 99 // 100],
        "failed": failed,
    }


def rival(command: list[str], pattern: str) -> dict[str, float]:
    """Run a client and weigh its CPU time; `pattern` finds the number of requests in what it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"{command[0]} printed nothing that looks like a count:\n{text}")
    return {"per_cpu_s": int(found[1]) / (usage.ru_utime + usage.ru_stime)}


def seed(certificate: str, seconds: float) -> dict[str, dict[str, float]]:
    figures = {}
    for scheme, path in (("http", ""), ("https", certificate)):
        with slow_server(path) as url:
            figures[scheme] = ours(url, seconds)
    say(f"\n{CONNECTIONS} connections, a server that takes {DELAY_S * 1e3:.0f} ms, one worker")
    say(f"{'':8}{'req/s':>9}{'core share':>12}{'lag p99':>10}{'p50':>10}{'p99':>10}{'failed':>8}")
    for scheme, row in figures.items():
        say(
            f"{scheme:8}{row['requests_per_s']:9.0f}{row['core_share']:12.1%}{row['lag_p99_ms']:7.2f} ms"
            f"{row['latency_p50_ms']:7.2f} ms{row['latency_p99_ms']:7.2f} ms{row['failed']:8.0f}"
        )
    return figures


def rivals(folder: Path, certificate: str, seconds: float, rounds: int) -> dict[str, Any]:
    clients = {"ours": True, "wrk": shutil.which("wrk"), "hey": shutil.which("hey")}
    figures: dict[str, Any] = {}
    with nginx(folder, certificate) as urls:
        for scheme, url in urls.items():
            seen: dict[str, list[float]] = {name: [] for name, there in clients.items() if there}
            for _ in range(rounds):
                for name, values in seen.items():
                    took = f"{seconds:.0f}s"
                    if name == "wrk":
                        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{took}", url]
                        values.append(rival(command, r"(\d+) requests in")["per_cpu_s"])
                    elif name == "hey":
                        command = ["hey", "-c", str(CONNECTIONS), "-z", took, url]
                        values.append(rival(command, r"\[200\]\s+(\d+) responses")["per_cpu_s"])
                    else:
                        values.append(ours(url, seconds)["per_cpu_s"])
            medians = {name: statistics.median(values) for name, values in seen.items()}
            ratios = {name: medians["ours"] / value for name, value in medians.items() if name != "ours"}
            figures[scheme] = {"rounds": seen, "medians": medians, "ours_against": ratios}
    say(
        f"\nrequests per CPU-second of the client, median of {rounds} rounds; nginx, {CONNECTIONS} connections"
    )
    say(
        f"{'':8}"
        + "".join(f"{name:>12}" for name in seen)
        + "".join(f"{'ours/' + name:>12}{'floor':>8}" for name in ratios)
    )
    for scheme, row in figures.items():
        say(
            f"{scheme:8}"
            + "".join(f"{row['medians'][name]:12.0f}" for name in seen)
            + "".join(f"{row['ours_against'][name]:12.2f}{FLOORS[scheme][name]:8.2f}" for name in ratios)
        )
    return figures


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--json", type=Path)
    options.add_argument("--only", choices=("seed", "rivals"))
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options.add_argument("--certificate", default="", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve(chosen.serve, chosen.certificate)
        return
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is somebody else
        certificate = folder / "certificate.pem"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        if chosen.only != "rivals":
            figures["seed"] = seed(str(certificate), chosen.seconds)
        if chosen.only != "seed" and shutil.which("nginx"):
            figures["rivals"] = rivals(folder, str(certificate), chosen.seconds, chosen.rounds)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
