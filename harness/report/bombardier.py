"""The summary's load block: bombardier's layout to the column, with zdtest's own definitions of the numbers.

Layout and units: https://github.com/codesenberg/bombardier (templates and format.go), as of 2025-03. A value steps
up to the next unit as soon as it reaches 0.85 of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.model import GRPC_OK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.judge.numbers.summary import Numbers


@dataclass(frozen=True, slots=True)
class Row:
    """Average, deviation, maximum."""

    mean: float
    stdev: float
    max: float


@dataclass(frozen=True, slots=True)
class Block:
    """What bombardier prints. Times in us, throughput in bytes/s; None where there were no samples."""

    rates: Row | None
    latency_us: Row | None
    percentiles_us: Mapping[str, float] = field(default_factory=dict)  # "50" … "99"; empty: no distribution
    classes: Mapping[str, int] = field(default_factory=dict)  # "1xx" … "5xx", "others"
    errors: Mapping[str, int] = field(default_factory=dict)
    throughput: float = 0.0


def render(block: Block) -> str:
    """Return the block, without a newline at its end."""
    lines = ["{:>10} {:>10} {:>10} {:>10}".format("Statistics", "Avg", "Stdev", "Max")]
    if block.rates is None:
        lines.append("  There wasn't enough data to compute statistics for requests.")
    else:
        rates = block.rates
        lines.append(f"  {'Reqs/sec':<10} {rates.mean:>10.2f} {rates.stdev:>10.2f} {rates.max:>10.2f}")
    if block.latency_us is None:
        lines.append("  There wasn't enough data to compute statistics for latencies.")
    else:
        mean, stdev, top = (
            duration(v) for v in (block.latency_us.mean, block.latency_us.stdev, block.latency_us.max)
        )
        lines.append(f"  {'Latency':<10} {mean:>10} {stdev:>10} {top:>10}")
        if block.percentiles_us:
            lines.append("  Latency Distribution")
            lines += [f"     {float(p):2.0f}% {duration(us):>10}" for p, us in block.percentiles_us.items()]
    codes = {name: block.classes.get(name, 0) for name in ("1xx", "2xx", "3xx", "4xx", "5xx")}
    lines.append("  HTTP codes:")
    lines.append("    " + ", ".join(f"{name} - {n}" for name, n in codes.items()))
    lines.append(f"    others - {block.classes.get('others', 0)}")
    if block.errors:
        lines.append("  Errors:")
        lines += [f"    {name:>10} - {n}" for name, n in block.errors.items()]
    lines.append(f"  {'Throughput:':<10} {size(block.throughput):>10}/s")
    return "\n".join(lines)


def of(numbers: Numbers, *, latencies: bool) -> Block:
    """Turn a run's numbers into bombardier's. Latency is that of good responses only."""
    classes: dict[str, int] = {}
    for status, n in numbers.statuses.items():
        digit = int(status) // 100 if status.isdigit() else 2 if status == GRPC_OK else 0
        name = f"{digit}xx" if 1 <= digit <= 5 else "others"
        classes[name] = classes.get(name, 0) + n
    classes["others"] = classes.get("others", 0) + sum(numbers.outcomes.values())
    rates, latency = numbers.rates, numbers.latency
    return Block(
        rates=Row(rates.mean, rates.stdev or 0.0, rates.max if rates.max is not None else rates.mean)
        if numbers.requests else None,
        latency_us=Row(latency.mean_ns / 1000, latency.stdev_ns / 1000, latency.max_ns / 1000) if latency else None,
        percentiles_us={p: ns / 1000 for p, ns in latency.percentiles.items()} if latency and latencies else {},
        classes=classes,
        errors=numbers.outcomes,
        throughput=numbers.bytes_per_s,
    )  # fmt: skip


def duration(us: float) -> str:
    """Return a time in bombardier's units: us, ms, s by 1000 below one second, then s, m, h by 60."""
    if us < 1_000_000:
        return _scaled(us, 1000, ("us", "ms", "s"))
    return _scaled(us / 1_000_000, 60, ("s", "m", "h"))


def size(byte_count: float) -> str:
    """Return a number of bytes in bombardier's units: KB means 1024."""
    return _scaled(byte_count, 1024, ("", "KB", "MB", "GB", "TB", "PB"))


def _scaled(value: float, scale: int, units: tuple[str, ...]) -> str:
    index = 0
    while index < len(units) - 1 and value >= 0.85 * scale:
        value /= scale
        index += 1
    return f"{value:.2f}{units[index]}"
