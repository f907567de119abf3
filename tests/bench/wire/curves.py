"""What a request costs by the number of connections, the size of the answer, the rate, and the number of workers.

Plain HTTP to one nginx, with the rivals beside. All are weighed after they have opened their connections.
"""

from __future__ import annotations

import contextlib
import shutil
from functools import partial
from typing import TYPE_CHECKING

from harness.model import LoadPlan, Target
from tests.bench.figures import LESS, US, Line, median
from tests.bench.load_parts import CONNECTIONS, SETTLE_S, IdleError, ours, settled
from tests.bench.load_servers import BODIES, STATUS, nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

OURS = "zdtest"
_MANY = 1000  # from so many connections on, opening them takes seconds


def by_connections(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh a request over one connection, and over up to ten thousand."""
    with nginx(folder, certificate) as urls:
        return _curve(
            {
                float(count): _clients(urls["http"], urls[STATUS], seconds, connections=count)
                for count in (1, 10, 100, 1000, 10_000)
            },
            rounds,
        )


def by_body(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh a request by the size of what it is answered with."""
    with nginx(folder, certificate) as urls:
        return _curve(
            {
                float(size): _clients(f"{urls['http']}body/{size}", urls[STATUS], seconds, connections=50)
                for size in BODIES
            },
            rounds,
        )


def by_rate(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh a hit of the open loop by its rate. Of the rivals, h2load keeps a rate on each connection."""
    with nginx(folder, certificate) as urls:
        url = urls["http"]
        places: dict[float, dict[str, Callable[[], float]]] = {}
        for rate in (1000, 5000, 10_000, 25_000, 50_000):
            places[rate] = {OURS: partial(_ours, url, seconds, CONNECTIONS, rate=float(rate))}
            if shutil.which("h2load"):
                command = _command("h2load", url, seconds + SETTLE_S, CONNECTIONS)
                command[1:1] = [f"--rps={rate // CONNECTIONS}"]
                places[rate]["h2load --rps"] = partial(_rival, command, urls[STATUS], seconds, SETTLE_S)
        return _curve(places, rounds)


def by_workers(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh a request as fast as it goes, by the number of workers; of rivals, by threads."""
    with nginx(folder, certificate) as urls:
        return _curve(
            {
                float(count): _clients(
                    urls["http"], urls[STATUS], seconds, connections=CONNECTIONS, workers=count
                )
                for count in (1, 2, 3, 4)
            },
            rounds,
        )


def _curve(places: dict[float, dict[str, Callable[[], float]]], rounds: int) -> list[Line]:
    """Weigh all clients in turn, place by place."""
    lines = []
    for x, clients in places.items():
        seen: dict[str, list[float]] = {who: [] for who in clients}
        for _ in range(rounds):
            for who, weigh in clients.items():
                with contextlib.suppress(IdleError):  # of ten thousand connections, on a busy machine
                    seen[who].append(weigh())
        lines += [
            median(f"{who} at {x:g}", costs, US, better=LESS if who == OURS else "", x=x, who=who)
            for who, costs in seen.items()
            if costs
        ]
    return lines


def _clients(
    url: str, status: str, seconds: float, *, connections: int, workers: int = 1
) -> dict[str, Callable[[], float]]:
    clients: dict[str, Callable[[], float]] = {
        OURS: partial(_ours, url, seconds, connections, workers=workers)
    }
    settle = _settle(connections)
    for tool in _here():
        command = _command(tool, url, seconds + settle, connections, workers)
        clients[tool] = partial(_rival, command, status, seconds, settle)
    return clients


def _settle(connections: int) -> int:
    return SETTLE_S if connections <= _MANY else 5


def _here() -> Iterable[str]:
    return [tool for tool in ("wrk", "h2load", "hey") if shutil.which(tool)]


def _command(tool: str, url: str, seconds: float, connections: int, threads: int = 1) -> list[str]:
    threads = min(threads, connections)
    took = f"{seconds:.0f}"
    return {
        "wrk": ["wrk", f"-t{threads}", f"-c{connections}", f"-d{took}s", url],
        "h2load": ["h2load", "--h1", f"-t{threads}", f"-c{connections}", f"-D{took}", url],
        "hey": ["hey", "-cpus", str(threads), "-c", str(connections), "-z", f"{took}s", url],
    }[tool]


def _rival(command: list[str], status: str, seconds: float, settle: float) -> float:
    return 1e6 / settled(command, status, seconds, settle).per_cpu_s


def _ours(
    url: str, seconds: float, connections: int, *, rate: float | None = None, workers: int = 1
) -> float:
    plan = LoadPlan((Target(url),), connections, workers=workers, rate=rate, pod_headers=())
    settle = _settle(connections)
    return 1e6 / ours(plan, seconds + settle - 1, rows=False, settle=settle).per_cpu_s
