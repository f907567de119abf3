"""Two runs side by side, what their manifests differ in, and whether the difference can be told from chance.

The unit is the rollout, never the request: failures of one rollout come in clusters, so a test on pooled
requests finds "differences" between equals half the time. A run of several rollouts brings each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any

from harness.judge import odds
from harness.judge.verdict.fieldchanges import FieldChange, field_changes
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.judge.verdict.about import About
    from harness.judge.verdict.judgement import Judgement


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: words, ready to print."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, compared."""

    rows: tuple[Row, ...]
    manifest: tuple[FieldChange, ...]
    manifest_note: str  # what to say when `manifest` is empty
    sentence: str  # can the difference be told from chance?


def compare(
    before: Judgement,
    after: Judgement,
    manifests_before: Sequence[Mapping[str, Any]] = (),
    manifests_after: Sequence[Mapping[str, Any]] = (),
) -> Comparison:
    """Compare two judged runs and the live objects each began with (Recording.manifests("before"))."""
    if manifests_before and manifests_after:
        changes, note = field_changes(manifests_before, manifests_after), "Manifest: no difference"
    else:
        which = "either run" if not (manifests_before or manifests_after) else "one of the runs"
        changes, note = (), f"Manifest: not kept by {which}"
    return Comparison(tuple(_rows(before, after)), changes, note, _sentence(before, after))


def _rows(before: Judgement, after: Judgement) -> Iterator[Row]:
    a, b = before.numbers, after.numbers
    yield Row("run", before.about.name[:17], after.about.name[:17], "")
    yield Row("began (UTC)", before.about.began[5:16], after.about.began[5:16], "")
    yield Row("verdict", before.verdict.grade, after.verdict.grade, "")
    yield _number("requests", a.requests, b.requests)
    yield _number("failed", a.failed, b.failed)
    yield _number("  because of the rollout", before.verdict.lost, after.verdict.lost)
    counted = [{kind.kind: kind.count for kind in numbers.kinds} for numbers in (a, b)]
    for kind in sorted(
        counted[0].keys() | counted[1].keys(), key=lambda k: (-sum(c.get(k, 0) for c in counted), k)
    ):
        yield _number(f"  {kind}", counted[0].get(kind, 0), counted[1].get(kind, 0))
    yield _number("seconds with failures", a.bad_seconds, b.bad_seconds)
    yield _duration(
        "longest outage",
        a.outage.to_ns - a.outage.from_ns if a.outage else 0,
        b.outage.to_ns - b.outage.from_ns if b.outage else 0,
    )
    yield _number("stalled", a.stalled, b.stalled)
    for p in ("50", "90", "95", "99"):
        yield _duration(
            f"latency p{p} (good)",
            a.latency.percentiles[p] if a.latency else None,
            b.latency.percentiles[p] if b.latency else None,
        )
    yield _duration(
        "latency max (good)", a.latency.max_ns if a.latency else None, b.latency.max_ns if b.latency else None
    )
    yield Row(
        "requests/s", f"{a.rates.mean:,.1f}", f"{b.rates.mean:,.1f}", _percent(a.rates.mean, b.rates.mean)
    )
    several = bool(before.rollouts or after.rollouts)
    if several:
        yield Row("rollouts that lost requests", _lossy(before), _lossy(after), "")
    ended, done = (
        ("rollout to the end, median", "  `rollout status`, median")
        if several
        else ("rollout, to the end", "  `rollout status` done")
    )
    yield _duration(ended, *(_median(one.settled_ns for one in _rollouts(run)) for run in (before, after)))
    yield _duration(done, *(_median(one.status_done_ns for one in _rollouts(run)) for run in (before, after)))


def _number(name: str, before: int, after: int) -> Row:
    return Row(name, f"{before:,}", f"{after:,}", f"{after - before:+,}" if after != before else "=")


def _duration(name: str, before: int | None, after: int | None) -> Row:
    change = "" if before is None or after is None else _percent(before, after)
    was, now = ("-" if t is None else "0" if not t else lasting(t) for t in (before, after))
    return Row(name, was, now, change)


def _percent(before: float, after: float) -> str:
    if before == after:
        return "="
    return f"{100 * (after - before) / before:+.0f} %" if before else "new"


def _each(run: Judgement) -> tuple[Judgement, ...]:
    """Return the rollouts of a run, each judged by itself."""
    return run.rollouts or (run,)


def _rollouts(run: Judgement) -> Iterator[About]:
    return (one.about for one in _each(run))


def _median(times_ns: Iterable[int | None]) -> int | None:
    known = [t_ns for t_ns in times_ns if t_ns is not None]
    return median_low(known) if known else None


def _seen(run: Judgement) -> list[int]:
    """Return the requests lost in each rollout that was seen to its end."""
    return [one.verdict.lost for one in _each(run) if one.about.settled_ns is not None]


def _lossy(run: Judgement) -> str:
    seen = _seen(run)
    return f"{sum(map(bool, seen))} of {len(seen)}" if seen else "-"


def _sentence(before: Judgement, after: Judgement) -> str:
    """Be honest about what so many rollouts against so many can tell."""
    seen = [_seen(run) for run in (before, after)]
    none = sum(not lost for lost in seen)
    if none:
        return f"Not comparable as rollouts: {count(none, 'of the runs', 'of the runs')} saw no rollout to its end."
    (a, b), (bad_a, bad_b) = map(len, seen), (sum(map(bool, lost)) for lost in seen)
    left_out = sum(len(_each(run)) for run in (before, after)) - a - b
    unseen = (
        f" {count(left_out, 'rollout')} not seen to the end {'is' if left_out == 1 else 'are'} left out."
        if left_out
        else ""
    )
    floor = odds.least_p(a, b)
    if floor > odds.DIFFERENT:
        return (
            f"{sum(seen[0]):,} against {sum(seen[1]):,} lost, {count(a, 'rollout')} against {b}: cannot be told from"
            f" chance (least possible p = {floor:.2f}; the unit is the rollout, not the request). 4 rollouts each"
            f" could (p = {odds.least_p(4, 4):.2f}), 5 or 6 are better.{unseen}"
        )
    p = odds.shares_p(bad_a, a, bad_b, b)
    difference = "more than chance" if p < odds.DIFFERENT else "cannot be told from chance"
    return (
        f"{bad_a} of {count(a, 'rollout')} lost requests against {bad_b} of {b}: {difference} "
        f"(p = {p:.2g}, Fisher's exact test; the unit is the rollout, not the request).{unseen}"
    )
