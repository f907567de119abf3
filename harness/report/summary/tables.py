"""The summary's tables of counts and latencies: requests, failures by kind, phases or rollouts, bad seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import at, lasting, share
from harness.report.summary.layout import wrapped

if TYPE_CHECKING:
    from harness.judge.numbers.summary import Latency, Numbers, Part
    from harness.judge.timeline.timeline import Timeline
    from harness.judge.verdict.judgement import Judgement


def requests(judgement: Judgement) -> list[str]:
    """Return how many requests there were, and how they ended."""
    numbers = judgement.numbers
    held = judgement.streams is not None
    rows = [
        (
            "Waits" if held else "Requests",
            numbers.requests,
            f"in {lasting(numbers.elapsed_ns)} of load after the warm-up",
        )
    ]
    rows.append(("  good", numbers.good, ""))
    split = (
        f"{numbers.hard:,} hard, {numbers.masked:,} that a retrying client would have hidden"
        if numbers.failed and not held
        else ""
    )
    rows.append(("  failed", numbers.failed, split))
    if numbers.stalled:
        rows.append(("  stalled", numbers.stalled, f"took over {lasting(judgement.about.stalled_over_ns)}"))
    if numbers.cut:
        oldest = f"still out when the load was over, oldest {lasting(numbers.cut_oldest_ns)}; neither good nor failed"
        rows.append(("  cut", numbers.cut, oldest))
    if numbers.warmup_failed:
        rows.append(
            ("  (warm-up)", numbers.warmup_failed, f"of {numbers.warmup_requests:,} failed in it; not judged")
        )
    lines = [f"{name:<14}{value:>12,}  {text}".rstrip() for name, value, text in rows]
    codes = ", ".join(f"{status}: {n:,}" for status, n in numbers.statuses.items())
    return lines + (wrapped(codes, "  statuses    ", "              ") if codes else [])


def failures(numbers: Numbers, timeline: Timeline) -> list[str]:
    """Return a row for each kind of failure."""
    if not numbers.kinds:
        return []
    lines = [
        f"{'Failed':<26}{'count':>10}{'share':>9}{'first':>11}{'last':>11}{'p50':>10}{'p99':>10}{'max':>10}"
    ]
    for kind in numbers.kinds:
        first, last = at(kind.first_ns, timeline.zero_ns), at(kind.last_ns, timeline.zero_ns)
        p50, p99, top = _latency(kind.latency)
        part = share(kind.count, numbers.requests)
        lines.append(
            f"  {kind.kind:<24}{kind.count:>10,}{part:>9}{first:>11}{last:>11}{p50:>10}{p99:>10}{top:>10}"
        )
    return lines


def rollouts(judgement: Judgement) -> list[str]:
    """Return a line for each of several rollouts: what it lost, from its trigger to the next one's baseline."""
    if not judgement.rollouts:
        return []
    zero = judgement.timeline.zero_ns
    lines = [
        (
            f"{'Rollout':<10}{'trigger':>10}{'took':>9}{'requests':>11}{'failed':>9}{'bad s':>7}"
            f"{'outage':>10}{'p99':>10}{'max':>10}  verdict"
        )
    ]
    for number, one in enumerate(judgement.rollouts, 1):
        trigger = at(one.timeline.zero_ns, zero) if one.timeline.triggered else "-"
        took = "-" if one.about.settled_ns is None else lasting(one.about.settled_ns)
        outage = one.numbers.outage
        gap = "-" if outage is None else lasting(outage.to_ns - outage.from_ns)
        _, p99, top = _latency(one.numbers.latency)
        counted = f"{one.numbers.requests:>11,}{one.numbers.failed:>9,}{one.numbers.bad_seconds:>7,}"
        lines.append(
            f"  {number:<8}{trigger:>10}{took:>9}{counted}{gap:>10}{p99:>10}{top:>10}  {one.verdict.grade}"
        )
    lines.append("  Each by itself, with its pods and its picture: the folder rollouts/ beside this text.")
    return lines


def phases(numbers: Numbers, timeline: Timeline, *, held: bool = False) -> list[str]:
    """Return a row for each phase."""
    parts: list[Part] = [part for part in numbers.parts if part.name != "warmup"]
    if not timeline.triggered or not parts:
        return []
    if numbers.control:
        parts.insert(1, numbers.control)
    lines = [
        (
            f"{'Phase':<12}{'from':>10}{'to':>10}{'waits' if held else 'requests':>11}{'failed':>9}{'bad s':>7}"
            f"{'p50':>11}{'p99':>11}{'max':>11}"
        )
    ]
    for part in parts:
        name = "  - control" if part.name == "control" else f"  {part.name}"
        start, stop = at(part.from_ns, timeline.zero_ns), at(part.to_ns, timeline.zero_ns)
        p50, p99, top = _latency(part.latency)
        counted = f"{part.requests:>11,}{part.failed:>9,}{part.bad_seconds:>7,}"
        lines.append(f"{name:<12}{start:>10}{stop:>10}{counted}{p50:>11}{p99:>11}{top:>11}")
    return lines


def bad_time(numbers: Numbers, timeline: Timeline, *, held: bool = False) -> list[str]:
    """Return the seconds with failures, the longest outage, and the time lost."""
    if not numbers.failed:
        return []
    lines = [f"Seconds with failures   {numbers.bad_seconds} of {numbers.seconds_total}"]
    worst = numbers.worst_second
    if worst is not None:
        lines[0] += (
            f"; worst: second {worst.second:+d} with {sum(worst.failed.values()):,} of {worst.completed:,}"
        )
    outage = numbers.outage
    if outage is not None:
        span = f"{at(outage.from_ns, timeline.zero_ns)} to {at(outage.to_ns, timeline.zero_ns)}"
        lines.append(
            f"Longest outage          {lasting(outage.to_ns - outage.from_ns)}, {span}: no "
            f"good response, {outage.failed:,} failed"
        )
    lines += [] if held else _connections(numbers)
    what = "waits" if held else "requests"
    lines.append(
        "Time lost in failures   "
        f"{share(round(1e6 * numbers.failed_time_share), 1_000_000)} of all time spent in {what}"
    )
    return lines


def _connections(numbers: Numbers) -> list[str]:
    """Say how often requests on new connections failed, and on reused ones, which fail for other reasons; nothing
    where all were of one sort.
    """
    both = numbers.connections
    if both is None or not (both.new.requests and both.reused.requests):
        return []
    said = []
    for sort, found in (("new", both.new), ("reused", both.reused)):
        kinds = ", ".join(f"{kind}: {n:,}" for kind, n in list(found.kinds.items())[:3])
        said.append(f"{sort}: {found.failed:,} of {found.requests:,} failed{f' ({kinds})' if kinds else ''}")
    return wrapped("; ".join(said), f"{'By connection':<24}", " " * 24)


def _latency(latency: Latency | None) -> tuple[str, str, str]:
    if latency is None:
        return ("-", "-", "-")
    return lasting(latency.percentiles["50"]), lasting(latency.percentiles["99"]), lasting(latency.max_ns)
