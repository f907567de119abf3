"""A run's snapshot in words, for the live view and for plain lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS
from harness.model import NEVER
from harness.run import steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.cluster.rollout.podnews import PodNews
    from harness.model import FirstFailure
    from harness.run.observing import Snapshot

_MOST_PODS = 6  # named in one line


def clock(t_ns: int) -> str:
    """Return a moment of the run's clock: "01:23"."""
    seconds = max(0, t_ns) // NS
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def short(t_ns: int) -> str:
    """Return a duration in a few characters: "850 us", "1.2 ms", "83 ms", "1.4 s"."""
    for unit, size in (("us", 1_000), ("ms", 1_000_000)):
        if t_ns < 999.5 * size:
            value = t_ns / size
            return f"{value:.1f} {unit}" if value < 9.95 and unit == "ms" else f"{value:.0f} {unit}"
    return f"{t_ns / NS:.1f} s" if t_ns < 99.5 * NS else f"{t_ns / NS:.0f} s"


def _seconds(t_ns: int) -> str:
    seconds = max(0, -(-t_ns // NS))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"


def latencies(found: tuple[int, ...] | None) -> str:
    """Return p50 and p99 of the last seconds."""
    if found is None:
        return "no good answer"
    return f"p50 {short(found[0])}  p99 {short(found[1])}"


def kinds(now: Snapshot) -> list[tuple[str, int]]:
    """Return how many hits failed in each way, the most frequent first: [("502", 12), ("connect_refused", 3)]."""
    failed = {one.kind for one in now.failures}
    every = {**{str(status): n for status, n in now.counts.statuses.items()}, **now.counts.outcomes}
    return sorted(
        ((name, n) for name, n in every.items() if name in failed), key=lambda one: (-one[1], one[0])
    )


def pods(now: Snapshot) -> str:
    """Return how many pods there are of which sort; "" while that is not known."""
    there = now.progress
    return f"{there.ready_pods} ready, {there.old_pods} old, {there.new_pods} new" if there else ""


def time_left(now: Snapshot) -> str:
    """Say which step the run is in, and how long it will take as far as anybody knows."""
    step = now.step
    if step is None:
        return now.phase.value
    at_ns = max(now.elapsed_ns, step.from_ns)  # workers are told to begin a moment ahead
    gone, left = _seconds(at_ns - step.from_ns), _seconds(step.until_ns - at_ns)
    if step.name == steps.ROLLOUT:
        said = f"rollout for {gone}{_estimate(now)}"
    else:
        said = {
            steps.WARMUP: f"warm-up, {left} left",
            steps.LOAD: f"load, {left} left",
            steps.BASELINE: f"baseline, the change comes in {left}",
            steps.LULL: f"lull, {left} left",
            steps.WAITING: f"waiting for the change, for {gone} so far",
            steps.SETTLING: f"rollout over, settling: {left} left unless a {_one(now)} fails",
            steps.DRAINING: f"load ended, {now.counts.in_flight} {_one(now)}s still out, {left} left at most",
        }[step.name]
    return f"rollout {now.rollout} of {now.rollouts}: {said}" if now.rollouts > 1 else said


def _estimate(now: Snapshot) -> str:
    expected_ns = next((leg.lasts_ns for leg in now.course if leg.name == steps.ROLLOUT), NEVER)
    return "" if expected_ns == NEVER else f", of about {_seconds(expected_ns)} by its manifest"


def begins(now: Snapshot) -> str:
    """Say that a step begins; "" for one of which the run itself says so."""
    step = now.step
    if step is None:
        return ""
    lasts = _seconds(step.until_ns - step.from_ns)
    return {
        steps.WARMUP: f"the load begins with a warm-up of {lasts}",
        steps.LOAD: f"the warm-up is over; the load lasts {lasts}",
        steps.BASELINE: f"the baseline begins; the change comes in {lasts}",
        steps.LULL: f"lull for {lasts}: one request a second",
        steps.SETTLING: "the rollout is over: old pods gone, endpoints settled; "
        f"{_seconds(step.until_ns - now.elapsed_ns)} left unless a {_one(now)} fails",
    }.get(step.name, "")


def _one(now: Snapshot) -> str:
    return "handshake" if now.held else "request"


def failure(one: FirstFailure, *, first: bool, held: bool = False) -> str:
    """Announce the first failure, or the first of a new kind, with what its answer or its error said."""
    said = f": {one.words}" if one.words else ""
    pod = f" (pod {one.pod})" if one.pod else ""
    lost = "first stream lost or handshake failed" if held else "first failed request"
    return f"{lost if first else 'new kind of failure'} ({one.kind}){said}{pod}"


def news(found: Iterable[PodNews]) -> list[str]:
    """Return what happened to pods, a line for each sort of event."""
    by_what: dict[str, list[str]] = {}
    for one in found:
        by_what.setdefault(one.what, []).append(one.pod)
    lines = []
    for what, names in by_what.items():
        more = f" and {len(names) - _MOST_PODS} more" if len(names) > _MOST_PODS else ""
        lines.append(f"pod{'s' * (len(names) > 1)} {what}: {', '.join(names[:_MOST_PODS])}{more}")
    return lines


def describe(now: Snapshot, rate: float, latency: tuple[int, ...] | None) -> str:
    """Return a snapshot as one line."""
    failed, ways = f"{now.counts.failed:,} failed", ", ".join(f"{name}: {n:,}" for name, n in kinds(now))
    parts = [
        f"{now.phase:<6}",
        f"{rate:7,.0f} {'msg/s' if now.held else 'req/s'}",
        latencies(latency),
        f"{failed} ({ways})" if ways else failed,
    ]
    if there := pods(now):
        parts.append(f"pods: {there}")
    return "  ".join(parts)
