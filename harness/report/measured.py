"""The summary's blocks about measured numbers, headroom and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import count, lasting
from harness.report.summary.layout import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.advice.draft import Advice
    from harness.judge.advice.margins import CurvePoint, Margin
    from harness.judge.numbers.measured import Capacity, Measured, Spread


def numbers(measured: Measured | None) -> list[str]:
    """Return the table of measured numbers; empty for a run without pods."""
    if measured is None:
        return []
    lines = [f"{'Measured':<40}{'p50':>12}{'p99':>12}{'max':>12}  over"]
    lines += _spread("start to listening (to the second)", measured.listen)
    lines += _spread("ready to first good answer", measured.serve)
    lines += _spread("out of endpoints to last request (lag)", measured.lag)
    lines += _spread("deletion to last request", measured.reach)
    lines += _spread("deletion to exit (to the second)", measured.exit)
    lines += _spread("SIGTERM to exit (to the second)", measured.drain)
    tail = measured.tail
    if tail is not None:
        cut = f", {lasting(tail.cut_ns)} or more when cut" if tail.cut_ns else ""
        values = f"p99 {lasting(tail.p99_ns)}, p99.9 {lasting(tail.p999_ns)}, max {lasting(tail.max_ns)}{cut}"
        lines.append(f"  {'good requests, warm-up included':<38}{values}")
    at_exit = sum(pod.failed_at_exit for pod in measured.pods)
    if at_exit:
        lines.append(f"  {'in flight when their pod ended':<38}{at_exit:,} failed")
    if measured.capacity is not None:
        lines += _capacity(measured.capacity)
    return lines if len(lines) > 1 else []


def headroom(found: Sequence[Margin], curve: Sequence[CurvePoint]) -> list[str]:
    """Return a line for each protection, and what shorter preStops would have lost."""
    if not found:
        return []
    lines: list[str] = []
    for line in found:
        lines += wrapped(
            f"{line.what}: {line.sentence}{f' ({line.pod})' if line.pod else ''}", "  - ", "    "
        )
    if curve:
        points = ", ".join(
            f"{lasting(point.pre_stop_ns) if point.pre_stop_ns else '0 s'}: {point.lost:,}" for point in curve
        )
        lines += wrapped(f"lost with a shorter preStop: {points}", "  - ", "    ")
    return lines


def advice(found: Advice | None) -> list[str]:
    """Return what to change, and why, in short; `zdtest advise` has the patch."""
    if found is None or not (found.lines or found.warnings):
        return []
    lines: list[str] = []
    for line in found.lines:
        lines += wrapped(f"{line.path}: {line.value}", "  - ", "      ")
        lines += wrapped(line.reason, "    ", "    ")
    for warning in found.warnings:
        lines += wrapped(f"note: {warning}", "  ", "    ")
    return lines


def short(found: Advice | None) -> str:
    """Return what to change, in one line; "" for nothing."""
    if found is None or not found.lines:
        return ""
    return "; ".join(f"`{line.path.rpartition('.')[2]}`: {line.value}" for line in found.lines)


def _spread(name: str, found: Spread | None) -> list[str]:
    if found is None:
        return []
    least = ">= " if found.at_least else ""
    values = "".join(f"{least + lasting(value):>12}" for value in (found.p50_ns, found.p99_ns, found.max_ns))
    some = "" if found.at_least == found.count else f"{found.at_least} "
    bounds = f", {some}at least" if found.at_least else ""
    return [f"  {name:<38}{values}  {count(found.count, 'pod')}{bounds}"]


def _capacity(found: Capacity) -> list[str]:
    words = (
        f"at worst {found.least_endpoints} of {count(found.replicas, 'pod')} in the "
        f"endpoints, {found.least_serving} serving"
    )
    if found.below_ns:
        words += f"; fewer than {found.replicas} served for {lasting(found.below_ns)}"
    if found.worst_share is not None:
        words += f"; worst second {100 * found.worst_share:.0f} % of the rate before"
    return wrapped(words, f"  {'capacity':<38}", " " * 40)
