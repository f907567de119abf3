"""The single measurements of the load generator. Each returns its lines: what was measured, and the bound it is held
to.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pyarrow as pa

from harness.clock import Clock
from harness.load.generator import running
from harness.model import HealthSample, LoadPlan, Target
from tests.bench.figures import LESS, MORE, PER_CPU_S, US, Line, median
from tests.bench.load_servers import STATUS, nginx, served, server

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.generator import Load

CONNECTIONS = 200
NS = 1_000_000_000
SETTLE_S = 2  # in which a client starts and opens its connections
WRK_COUNT = r"(\d+) requests in"
MARKED = "with ids and pod"  # a request id sent, and the pod's header read, on every hit
FLOORS = {
    "http": {"wrk": 0.75, "hey": 3.0},
    "https": {"wrk": 0.95, "hey": 3.0},
    f"http {MARKED}": {"wrk": 0.65},
    f"https {MARKED}": {"wrk": 0.62},
}


@dataclass
class Ours:
    """What our own workers did in one load."""

    health: list[HealthSample]
    hits: dict[int, dict[str, Any]]  # by worker: columns
    failed: int
    started_ns: int
    settle: int = 1  # seconds at the start in which connections are opened
    clock: Clock | None = None
    resident: dict[int, list[int]] = field(default_factory=dict)  # by worker: KiB each second
    cpu: dict[int, tuple[float, float]] = field(
        default_factory=dict
    )  # by worker: user and system seconds, about the end

    def whole_seconds(self, worker: int = 0) -> list[HealthSample]:
        """All but the first, in which connections are opened, and the last, which is a part of one."""
        return [sample for sample in self.health if sample.worker == worker][self.settle : -1]

    @property
    def completed(self) -> int:
        return sum(sample.completed for worker in self.hits for sample in self.whole_seconds(worker))

    @property
    def cpu_s(self) -> float:
        return sum(sample.cpu_ns for worker in self.hits for sample in self.whole_seconds(worker)) / NS

    @property
    def per_cpu_s(self) -> float:
        return self.completed / self.cpu_s

    def latencies_ms(self) -> list[float]:
        """Sorted, from due to done, without the first second and a half."""
        late = [
            (done - due) / 1e6
            for columns in self.hits.values()
            for due, done in zip(columns["due_ns"], columns["done_ns"], strict=True)
            if due > self.started_ns + 1_500_000_000
        ]
        return sorted(late)


def ours(plan: LoadPlan, seconds: float, *, watch: bool = False, rows: bool = True, settle: int = 1) -> Ours:
    """Run a plan for so long. `watch` looks at the workers' memory each second; `rows` reads their hits back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seen = Ours([], {}, 0, 0, settle)

        async def main() -> tuple[list[HealthSample], int, int]:
            seen.clock = Clock.start()
            async with running(plan, seen.clock, folder) as load:
                for _ in range(math.ceil(seconds + 1.2)):
                    await anyio.sleep((seconds + 1.2) / math.ceil(seconds + 1.2))
                    if watch:
                        look(load, seen)
                look(load, seen)
                await load.finish(2 * NS)
                counts = load.counts
                return [sample async for sample in load.samples], counts.failed, load.started_ns

        seen.health, seen.failed, seen.started_ns = anyio.run(main)
        for path in sorted((folder / "hits").glob("*.arrow")):
            with pa.ipc.open_stream(path) as reader:
                table = reader.read_all() if rows else None
            wanted = ("due_ns", "sent_ns", "done_ns")
            seen.hits[int(path.stem)] = {n: table[n].to_pylist() for n in wanted} if table is not None else {}
    return seen


def look(load: Load, seen: Ours) -> None:
    """Note the workers' resident memory, and their processor time so far."""
    for worker in load._workers:
        number, folder = worker.assignment.worker, Path(f"/proc/{worker.process.pid}")
        found = re.search(r"VmRSS:\s+(\d+)", (folder / "status").read_text(encoding="ascii"))
        seen.resident.setdefault(number, []).append(int(found[1]) if found else 0)
        seen.cpu[number] = used(worker.process.pid)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a client's request cost it, in seconds of the processor: its own, and the kernel's."""

    user_s: float
    system_s: float

    @property
    def per_cpu_s(self) -> float:
        """Requests per CPU-second."""
        return 1 / (self.user_s + self.system_s)


def rival(command: list[str], pattern: str) -> Cost:
    """Run a client and weigh its requests, its start included; `pattern` finds their number in what it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"{command[0]} printed nothing that looks like a count:\n{text}")
    return Cost(usage.ru_utime / int(found[1]), usage.ru_stime / int(found[1]))


class IdleError(Exception):
    """A client that should be weighed sent nothing: the machine is too busy for it."""


def settled(command: list[str], status: str, seconds: float, settle: float = SETTLE_S) -> Cost:
    """Run a client for `settle` and `seconds`, and weigh its requests of those seconds, as nginx counts them.

    By then its connections are open: two hundred handshakes cost as much as ten thousand requests.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(settle)
    before = served(status), used(process.pid)
    time.sleep(seconds - 0.3)
    after = served(status), used(process.pid)
    process.wait()
    count = after[0] - before[0] - 1  # one is the question itself
    if count < 1:
        raise IdleError(f"{command[0]} sent nothing in {seconds:g} s, {settle:g} s after its start")
    user, system = (late - early for early, late in zip(before[1], after[1], strict=True))
    return Cost(user / count, system / count)


def used(pid: int) -> tuple[float, float]:
    """Return the processor time of a process, user and system, with that of its threads that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def rivals(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh ours, wrk and hey in turn against one nginx. CPU is the client's own, so a busy machine bends rates and
    hardly ratios.
    """
    lines: list[Line] = []
    took = seconds + SETTLE_S
    with nginx(folder, certificate) as urls:
        for scheme, url in ((scheme, urls[scheme]) for scheme in ("http", "https")):
            clients: dict[str, Callable[[], Cost]] = {
                scheme: partial(bare, url, seconds),
                f"{scheme} {MARKED}": partial(marked, url, seconds),
            }
            if shutil.which("wrk"):
                clients["wrk"] = partial(settled, _wrk(url, took), urls[STATUS], seconds)
            if shutil.which("hey"):
                other = ["hey", "-c", str(CONNECTIONS), "-z", f"{took:.0f}s", url]
                clients["hey"] = partial(settled, other, urls[STATUS], seconds)
            seen: dict[str, list[Cost]] = {name: [] for name in clients}
            for _ in range(rounds):
                for name, weigh in clients.items():
                    seen[name].append(weigh())
            for name, costs in seen.items():
                lines.append(weighing(name if name.startswith(scheme) else f"{scheme} {name}", costs))
            lines += [
                beside(name, other, seen, floor)
                for name in (scheme, f"{scheme} {MARKED}")
                for other, floor in FLOORS[name].items()
                if other in seen
            ]
    return lines


def weighing(name: str, costs: list[Cost]) -> Line:
    """Return the line of what a client's requests cost."""
    own, kernel = (
        statistics.median(getattr(cost, part) for cost in costs) * 1e6 for part in ("user_s", "system_s")
    )
    unit = f"{PER_CPU_S} ({own:.1f} us of its own, {kernel:.1f} us in the kernel)"
    better = "" if name.endswith(("wrk", "hey", "h2load")) else MORE
    return median(name, [cost.per_cpu_s for cost in costs], unit, better=better)


def beside(name: str, other: str, seen: dict[str, list[Cost]], floor: float) -> Line:
    """Return the line of one client's requests per CPU-second over another's.

    The two of a round are compared: the machine's mood changes in between.
    """
    pairs = zip(seen[name], seen[other], strict=True)
    ratios = [mine.per_cpu_s / its.per_cpu_s for mine, its in pairs]
    return median(f"{name} / {other.rsplit(maxsplit=1)[-1]}", ratios, at_least=floor)


def bare(url: str, seconds: float) -> Cost:
    """Weigh our worker with a request of its own and nothing more."""
    plan = LoadPlan((Target(url),), CONNECTIONS, insecure=True, pod_headers=())
    return weighed(ours(plan, seconds + 1, rows=False, settle=2))


def marked(url: str, seconds: float) -> Cost:
    """Weigh it with an id in every request, and the pod read from every answer."""
    plan = LoadPlan((Target(url),), CONNECTIONS, insecure=True, trace_headers=True)
    return weighed(ours(plan, seconds + 1, rows=False, settle=2))


def weighed(done: Ours) -> Cost:
    """Share the cost of the whole seconds out to user and system as the whole process' was."""
    user, system = done.cpu[0]
    each = done.cpu_s / done.completed
    return Cost(each * user / (user + system), each * system / (user + system))


def seed(_folder: Path, certificate: str, seconds: float, _rounds: int) -> list[Line]:
    """Hold the seed's load: 200 connections on a server that takes 40 ms, one worker, as a run does it; wrk shows the
    machine's share.
    """
    lines = []
    for scheme, path in (("http", ""), ("https", certificate)):
        with server("slow", path) as (url, _):
            done = ours(LoadPlan((Target(url),), CONNECTIONS, insecure=True, trace_headers=True), seconds)
            wrk = rival(_wrk(url, seconds), WRK_COUNT) if shutil.which("wrk") else None
        whole = done.whole_seconds()
        rate = done.completed / len(whole)
        secure = scheme == "https"
        lines += [
            Line(f"{scheme}: requests", rate, "/s"),
            Line(
                f"{scheme}: share of a core",
                100 * done.cpu_s / len(whole),
                "%",
                at_most=15 if secure else None,
            ),
            *([Line(f"{scheme}: wrk's share, for as many", 100 * rate / wrk.per_cpu_s, "%")] if wrk else []),
            Line(
                f"{scheme}: own lag, p99",
                statistics.median(sample.lag_p99_ns for sample in whole) / 1e6,
                "ms",
                at_most=2 if secure else None,
            ),
            Line(f"{scheme}: failed", done.failed, "", at_most=0),
        ]
    return lines


def exact(_folder: Path, _certificate: str, seconds: float, _rounds: int) -> list[Line]:
    """Hold what we report against what a server that takes exactly 20 ms measured of itself."""
    with server("exact") as (url, process):
        done = ours(LoadPlan((Target(url),), 20, trace_headers=True), seconds)
        process.terminate()
        truth = json.loads(process.communicate()[0])
    seen = done.latencies_ms()
    p50, p99 = seen[len(seen) // 2], seen[len(seen) * 99 // 100]
    return [
        Line("the server's own p50", truth["p50"] / 1e6, "ms"),
        Line("the server's own p99", truth["p99"] / 1e6, "ms"),
        Line("our p50, over that", p50 - truth["p50"] / 1e6, "ms", at_most=0.3, at_least=-0.3),
        Line("our p99, over that", p99 - truth["p99"] / 1e6, "ms", at_most=1, at_least=-1),
    ]


def two_workers(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Compare two workers with one, in pairs: how they share, what they lose, what they cost, and how they start.

    As fast as nginx answers, and at the seed's load: there two workers wake up more often, for fewer requests at a
    time each, which costs wrk's threads more as well.
    """
    pairs = _Pairs()
    with nginx(folder, certificate) as urls:
        fast = pairs.measure(urls["http"], seconds, rounds)
    with server("slow") as (url, _):
        slow = pairs.measure(url, seconds, rounds)
    lines = [
        Line("as fast as it goes: one worker", fast["one"], US, better=LESS),
        Line("as fast as it goes: two workers", fast["two"], US, better=LESS),
        Line("as fast as it goes: more per request", fast["more"], "%", at_most=10),
        Line("the seed's load: one worker", slow["one"], US, better=LESS),
        Line("the seed's load: two workers", slow["two"], US, better=LESS),
        Line("the seed's load: more per request", slow["more"], "%"),
    ]
    if "wrk" in slow:
        lines.append(Line("the seed's load: more per request of wrk -t2 than of -t1", slow["wrk"], "%"))
    return [
        *lines,
        Line("as fast as it goes: the load is shared within", fast["share"], "%", at_most=5),
        Line("the seed's load: it is shared within", slow["share"], "%", at_most=5),
        Line("rows lost", pairs.lost, "", at_most=0),
        Line("first hits apart, beside what was agreed", max(pairs.skews), "ms", at_most=20),
    ]


@dataclass
class _Pairs:
    """One worker and two in turn. What is compared are the two of a pair: the machine's mood changes in between."""

    skews: list[float] = field(default_factory=list)
    lost: int = 0
    _shares: list[float] = field(default_factory=list)

    def measure(self, url: str, seconds: float, rounds: int) -> dict[str, float]:
        costs: list[tuple[float, float]] = []
        self._shares.clear()
        wrk: list[float] = []
        for _ in range(rounds):
            costs.append((self._cost(url, 1, seconds), self._cost(url, 2, seconds)))
            if shutil.which("wrk"):
                one, two = (rival(_wrk(url, seconds, threads), WRK_COUNT).per_cpu_s for threads in (1, 2))
                wrk.append(100 * (one / two - 1))
        measured = {
            "one": statistics.median(one for one, _ in costs),
            "two": statistics.median(two for _, two in costs),
            "share": statistics.median(self._shares),
            "more": statistics.median(100 * (two / one - 1) for one, two in costs),
        }
        return measured | ({"wrk": statistics.median(wrk)} if wrk else {})

    def _cost(self, url: str, workers: int, seconds: float) -> float:
        done = ours(LoadPlan((Target(url),), CONNECTIONS, workers=workers, trace_headers=True), seconds)
        counted = {w: sum(s.completed for s in done.health if s.worker == w) for w in done.hits}
        self.lost += sum(counted[w] - len(columns["due_ns"]) for w, columns in done.hits.items())
        if workers == 2:
            self._shares.append(100 * abs(counted[0] - counted[1]) / max(counted.values()))
            first = [min(columns["sent_ns"]) for columns in done.hits.values()]
            # Slot n is due n / 200 of half a second in: the second worker's first by 2.5 ms.
            self.skews.append(abs(first[1] - first[0] - 2_500_000) / 1e6)
        return 1e6 / done.per_cpu_s


def _wrk(url: str, seconds: float, threads: int = 1) -> list[str]:
    return ["wrk", f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", url]


def memory(folder: Path, certificate: str, seconds: float, _rounds: int) -> list[Line]:
    """Hold 20,000 requests/s against nginx, and watch the worker's memory."""
    with nginx(folder, certificate) as urls:
        plan = LoadPlan((Target(urls["http"]),), CONNECTIONS, rate=20_000.0, trace_headers=True)
        done = ours(plan, seconds, watch=True, rows=False)
    resident = [kib / 1024 for kib in done.resident[0]]
    after = [value for at, value in enumerate(resident) if at >= min(60, len(resident) // 2)]
    tenth = max(1, len(after) // 10)
    growth = statistics.median(after[-tenth:]) - statistics.median(after[:tenth])
    return [
        Line("lasted", seconds, "s"),
        Line("requests", done.completed / len(done.whole_seconds()), "/s"),
        Line("most resident memory", max(resident), "MiB", at_most=150),
        Line("growth after the first minute", growth, "MiB", at_most=2),
    ]


def begin(_folder: Path, _certificate: str, _seconds: float, rounds: int) -> list[Line]:
    """Time the command line: its help, and from the command to the first request of the load."""
    helps, firsts = [], []
    for _ in range(max(3, rounds)):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "harness", "--help"], stdout=subprocess.DEVNULL, check=True)
        helps.append(time.monotonic() - began)
        firsts.append(first_request())
    return [
        Line("zdtest --help", statistics.median(helps), "s", at_most=0.25),
        Line("command to first request, no cluster", statistics.median(firsts), "s", at_most=1.5),
    ]


def first_request() -> float:
    """Return the seconds from the command to the first request of its load; the preflight's have no id."""
    came: list[float] = []
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def answer(visit: socket.socket) -> None:
        while data := visit.recv(65536):
            if b"X-Request-ID" in data:
                came.append(time.monotonic())
            visit.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            time.sleep(0.02)

    def accept() -> None:
        while True:
            try:
                visit, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(visit,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with tempfile.TemporaryDirectory() as out:
        began = time.monotonic()
        command = [sys.executable, "-m", "harness", "run",
                   f"http://127.0.0.1:{listener.getsockname()[1]}/", "--no-rollout",
                   "-c", "1", "-d", "1s", "-o", out]  # fmt: skip
        subprocess.run(command, capture_output=True, check=False)
    listener.close()
    return min(came) - began
