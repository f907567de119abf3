"""The open loop: what a hit costs beside the closed loop, and how late it is sent."""

from __future__ import annotations

import json
import shutil
from math import inf
from typing import TYPE_CHECKING

from harness.model import LoadPlan, Target
from tests.bench.figures import LESS, MORE, US, Line, median
from tests.bench.load_parts import CONNECTIONS, SETTLE_S, Ours, ours, settled
from tests.bench.load_servers import STATUS, nginx, server

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED_NS = 1_500_000_000  # after the start: all connections are open
_ON_TIME_MS = 5
RATES = (10_000.0, 50_000.0)
SEEN_RATE = 5000.0  # at which a server in Python can stamp each request


def costs(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh a hit of the closed loop, and of rates, in turn; and at half of what the closed loop reached, how late."""
    closed: list[float] = []
    reached: list[float] = []
    at: dict[float, list[float]] = {rate: [] for rate in RATES}
    late: dict[float, list[float]] = {rate: [] for rate in RATES}
    half: list[float] = []
    other: list[float] = []
    with nginx(folder, certificate) as urls:
        for _ in range(rounds):
            done = _load(urls["http"], None, seconds)
            closed.append(_cost_us(done))
            reached.append(done.completed / len(done.whole_seconds()))
            for rate in RATES:
                done = _load(urls["http"], rate, seconds)
                at[rate].append(_cost_us(done))
                late[rate].append(_late_p99_ms(done))
            half.append(_late_p99_ms(_load(urls["http"], reached[-1] / 2, seconds)))
            if shutil.which("h2load"):
                command = _h2load(urls["http"], seconds + SETTLE_S)
                other.append(1e6 / settled(command, urls[STATUS], seconds).per_cpu_s)
    arrived = [_arrived_late_p99_ms(seconds) for _ in range(rounds)]
    lines = [
        median("the closed loop", closed, US, better=LESS),
        median("the closed loop reaches", reached, "/s", better=MORE),
    ]
    for rate in RATES:
        name = f"at {rate:,.0f}/s"
        lines += [
            _cost(name, at[rate], late[rate], 20 if rate == RATES[0] else None),
            median(f"{name}: sent late, p99", late[rate], "ms", better=LESS),
        ]
    if other:
        lines.append(
            median(f"at {RATES[0]:,.0f}/s: h2load --rps, which waits in whole milliseconds", other, US)
        )
    ratios = [one / other for one, other in zip(at[RATES[1]], closed, strict=True)]
    return [
        *lines,
        median(f"at {RATES[1]:,.0f}/s / the closed loop", ratios, at_most=1.5),
        median("at half of what it reaches: sent late, p99", half, "ms", at_most=1),
        median(f"at {SEEN_RATE:,.0f}/s: late by the server's clock, p99", arrived, "ms", at_most=1),
    ]


def _load(url: str, rate: float | None, seconds: float) -> Ours:
    return ours(LoadPlan((Target(url),), CONNECTIONS, rate=rate, pod_headers=()), seconds)


def _cost(name: str, costs: list[float], late: list[float], at_most: float | None) -> Line:
    """Return the line of a rate's cost, from the rounds in which hits were sent on time.

    Those that wait for the processor go out many at a time, which costs less and is no open loop.
    """
    on_time = [cost for cost, ms in zip(costs, late, strict=True) if ms <= _ON_TIME_MS]
    if not on_time:
        return Line(name, min(costs), f"{US} at least (no round was on time: the machine is too busy)")
    unit = US if len(on_time) == len(costs) else f"{US} ({len(on_time)} of {len(costs)} rounds on time)"
    return median(name, on_time, unit, at_most=at_most, better=LESS)


def _h2load(url: str, seconds: float) -> list[str]:
    each = f"--rps={RATES[0] / CONNECTIONS:.0f}"
    return ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", each, f"-D{seconds:.0f}", url]


def _arrived_late_p99_ms(seconds: float) -> float:
    """Return how late hits came by the time stamps of the server's kernel, beside when they were due."""
    with server("exact") as (url, process):
        done = _load(url, SEEN_RATE, seconds)
        process.terminate()
        arrived = json.loads(process.communicate()[0])["arrived"]
    rows = zip(done.hits[0]["due_ns"], done.hits[0]["sent_ns"], strict=True)
    due = sorted(due for due, sent in rows if sent >= 0)
    if len(due) != len(arrived) or done.clock is None:
        raise SystemExit(f"{len(due)} hits were sent, and {len(arrived)} came")
    late: list[float] = [
        (came - done.clock.wall_ns - due_ns) / 1e6
        for due_ns, came in zip(due, arrived, strict=True)
        if due_ns > done.started_ns + _SETTLED_NS
    ]
    return sorted(late)[len(late) * 99 // 100]


def _cost_us(done: Ours) -> float:
    """Share the cost of the whole seconds out to the hits that were sent in them: a dropped one has a row, too."""
    mine = [sample for sample in done.health if sample.worker == 0]
    from_ns, to_ns = mine[0].t_ns, mine[-2].t_ns
    sent = sum(from_ns < at <= to_ns for at in done.hits[0]["sent_ns"])
    cost: float = 1e6 * done.cpu_s / sent
    return cost


def _late_p99_ms(done: Ours) -> float:
    late = sorted(
        (sent - due) / 1e6
        for columns in done.hits.values()
        for due, sent in zip(columns["due_ns"], columns["sent_ns"], strict=True)
        if sent >= 0 and due > done.started_ns + _SETTLED_NS
    )
    return float(late[len(late) * 99 // 100]) if late else inf
