"""HTTP/2 beside h2load, the client of nghttp2: written in C, and records nothing of a single request."""

from __future__ import annotations

import shutil
import statistics
from functools import partial
from typing import TYPE_CHECKING

from harness.model import POD_HEADERS, LoadPlan, Target
from tests.bench.load_parts import MARKED, Cost, Line, ours, rival, weighed
from tests.bench.load_servers import nginx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONNECTIONS = 50
_COUNT = r"(\d+) succeeded"
FLOOR = 0.35


def rivals(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh ours and h2load in turn, with one request at a time on each connection and with ten."""
    lines: list[Line] = []
    with nginx(folder, certificate, http2=True) as urls:
        for streams in (1, 10):
            lines += _with(streams, urls["https"], seconds, rounds)
    return lines


def _with(streams: int, url: str, seconds: float, rounds: int) -> list[Line]:
    name = f"-m {streams}"
    clients: dict[str, Callable[[], Cost]] = {
        name: partial(_ours, url, streams, seconds, marked=False),
        f"{name} {MARKED}": partial(_ours, url, streams, seconds, marked=True),
    }
    if shutil.which("h2load"):
        command = ["h2load", f"-c{CONNECTIONS}", f"-m{streams}", "-t1", f"-D{seconds:.0f}", url]
        clients[f"{name} h2load"] = partial(rival, command, _COUNT)
    seen: dict[str, list[Cost]] = {client: [] for client in clients}
    for _ in range(rounds):
        for client, weigh in clients.items():
            seen[client].append(weigh())
    medians = {client: statistics.median(cost.per_cpu_s for cost in costs) for client, costs in seen.items()}
    lines = [
        Line(
            client,
            medians[client],
            "requests per CPU-second"
            f" ({statistics.median(cost.user_s for cost in costs) * 1e6:.1f} us of its own,"
            f" {statistics.median(cost.system_s for cost in costs) * 1e6:.1f} us in the kernel)",
        )
        for client, costs in seen.items()
    ]
    if f"{name} h2load" in medians:
        # The two of a round are compared: the machine's mood changes in between.
        for client in (name, f"{name} {MARKED}"):
            pairs = zip(seen[client], seen[f"{name} h2load"], strict=True)
            ratio = statistics.median(mine.per_cpu_s / other.per_cpu_s for mine, other in pairs)
            lines.append(Line(f"{client} / h2load", ratio, "", at_least=FLOOR))
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
    return weighed(ours(plan, seconds, rows=False))
