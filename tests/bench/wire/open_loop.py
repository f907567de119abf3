"""The open loop: what a hit costs beside the closed loop, and how late it is sent."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from harness.model import LoadPlan, Target
from tests.bench.figures import LESS, MORE, US, Line, median
from tests.bench.load_parts import CONNECTIONS, Ours, ours
from tests.bench.load_servers import nginx

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED_NS = 1_500_000_000  # after the start: all connections are open
RATES = (10_000.0, 50_000.0)


def costs(folder: Path, certificate: str, seconds: float, rounds: int) -> list[Line]:
    """Weigh a hit of the closed loop, and of rates, in turn; and at half of what the closed loop reached, how late."""
    closed: list[float] = []
    reached: list[float] = []
    at: dict[float, list[float]] = {rate: [] for rate in RATES}
    late: dict[float, list[float]] = {rate: [] for rate in RATES}
    half: list[float] = []
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
    lines = [
        median("the closed loop", closed, US, better=LESS),
        median("the closed loop reaches", reached, "/s", better=MORE),
    ]
    for rate in RATES:
        bound = 20 if rate == RATES[0] else None
        lines += [
            median(f"at {rate:,.0f}/s", at[rate], US, at_most=bound, better=LESS),
            median(f"at {rate:,.0f}/s: sent late, p99", late[rate], "ms", better=LESS),
        ]
    ratios = [one / other for one, other in zip(at[RATES[1]], closed, strict=True)]
    return [
        *lines,
        median(f"at {RATES[1]:,.0f}/s / the closed loop", ratios, at_most=1.5),
        median("at half of what it reaches: sent late, p99", half, "ms", at_most=1),
    ]


def _load(url: str, rate: float | None, seconds: float) -> Ours:
    return ours(LoadPlan((Target(url),), CONNECTIONS, rate=rate, pod_headers=()), seconds)


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
