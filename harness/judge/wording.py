"""Moments, durations and counts in words, one way for the judge's sentences and for every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import OtherChange, RunRecord

_CHANGES = 3  # that a sentence names


def at(t_ns: int | None, zero_ns: int) -> str:
    """Return a moment relative to the zero of the timeline: "+1.2 s", "-0.4 s"; "?" for an unknown one."""
    return "?" if t_ns is None else f"{round((t_ns - zero_ns) / NS, 1) + 0.0:+.1f} s"


def lasting(length_ns: float) -> str:
    """Return a duration with a fitting unit: "340 us", "12 ms", "1.25 s", "30 s", "3m05s"."""
    if length_ns < 1_000_000:
        return f"{length_ns / 1000:.0f} us"
    if length_ns < NS:
        return f"{length_ns / 1_000_000:.{1 if length_ns < 10_000_000 else 0}f} ms"
    whole = round(length_ns / NS)
    if whole >= 120:
        return f"{whole // 60}m{whole % 60:02d}s"
    if length_ns % NS == 0 or whole >= 60:
        return f"{whole} s"
    return f"{length_ns / NS:.{2 if length_ns < 10 * NS else 1}f} s"


def count(number: int, noun: str = "", plural: str = "") -> str:
    """Return a number with thousands set off, and its noun: "1 request", "3,412 requests"."""
    return f"{number:,}{' ' if noun else ''}{noun if number == 1 or not noun else plural or noun + 's'}"


def place_of(run: RunRecord, worker: int) -> str:
    """Say where a worker was, if that was not here: " (pod a on node b)"."""
    found = next((one for one in run.worker_clocks if one.worker == worker), None)
    if found is None:
        return ""
    return f" (pod {found.pod}{f' on node {found.node}' if found.node else ''})"


def exchanged(gone: int, came: int) -> str:
    """Say how many pods a change replaced; where it replaced none, what it did instead."""
    if gone:
        return f"{count(gone, 'pod')} {'replaced' if came else 'removed'}"
    return "no pod replaced" + (f", {came:,} added" if came else "")


def share(part: int, whole: int) -> str:
    """Return a share in percent with as many digits as it takes to tell it from 0 and from 100."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if part and percent < 0.01:
        return "<0.01 %"
    if part < whole and percent > 99.99:
        return ">99.99 %"
    return f"{percent:.2f} %"


def told(changes: Sequence[OtherChange], zero_ns: int) -> str:
    """Say what others changed, and when: "kubectl-set changed the image of web to web:3 at +12.0 s"."""
    words = [f"{change.told} at {at(change.at_ns, zero_ns)}" for change in changes[:_CHANGES]]
    more = len(changes) - _CHANGES
    return "; ".join(words) + (f"; and {count(more, 'more change')}" if more > 0 else "")


def cause_in_words(name: str, ids: Sequence[str]) -> str:
    """Return a cause as it is printed everywhere: "No preStop: pods stopped ... (B1)"; several ids are "(A1 or B1)".

    "unexplained" and "not-the-rollout" are labels, no ids: they are left out.
    """
    known = [name for name in ids if name[:1].isupper()]
    words = name[:1].upper() + name[1:]
    return f"{words} ({' or '.join(known)})" if known else words
