"""HTTP/2 beside h2load, the client of nghttp2: written in C, and records nothing of a single request."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING

from harness.model import POD_HEADERS, LoadPlan, Target
from tests.bench.load_parts import MARKED, SETTLE_S, Cost, beside, ours, settled, weighed, weighing
from tests.bench.load_servers import STATUS, nginx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.figures import Line

CONNECTIONS = 50
FLOOR = 0.5


def rivals(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh ours and h2load in turn, with one request at a time on each connection and with ten."""
    lines: list[Line] = []
    with nginx(folder, certificate, http2=True) as urls:
        for streams in (1, 10):
            lines += _with(streams, urls["https"], urls[STATUS], seconds, rounds)
    return lines


def _with(streams: int, url: str, status: str, seconds: float, rounds: int) -> list[Line]:
    name = f"-m {streams}"
    clients: dict[str, Callable[[], Cost]] = {
        name: partial(_ours, url, streams, seconds, marked=False),
        f"{name} {MARKED}": partial(_ours, url, streams, seconds, marked=True),
    }
    if shutil.which("h2load"):
        took = f"-D{seconds + SETTLE_S:.0f}"
        command = ["h2load", f"-c{CONNECTIONS}", f"-m{streams}", "-t1", took, url]
        clients[f"{name} h2load"] = partial(settled, command, status, seconds)
    seen: dict[str, list[Cost]] = {client: [] for client in clients}
    for _ in range(rounds):
        for client, weigh in clients.items():
            seen[client].append(weigh())
    lines = [weighing(client, costs) for client, costs in seen.items()]
    if f"{name} h2load" in seen:
        lines += [beside(client, f"{name} h2load", seen, FLOOR) for client in (name, f"{name} {MARKED}")]
    return lines


def _ours(url: str, streams: int, seconds: float, *, marked: bool) -> Cost:
    plan = LoadPlan(
        (Target(url),),
        CONNECTIONS,
        insecure=True,
        http2=True,
        streams=streams,
        trace_headers=marked,
        pod_headers=POD_HEADERS if marked else (),
    )
    return weighed(ours(plan, seconds + 1, rows=False, settle=2))
