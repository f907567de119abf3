"""A number of each run over time, as an inline SVG. Pure.

All charts have the runs at the same places, so that one night stands above the other. A few values that are far
beyond the rest would press all others to the ground: they are drawn at the upper edge, as arrows, and counted below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from harness.escaping import for_line
from harness.judge.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.history.groups import Night
    from harness.history.metrics import Metric
    from harness.history.runs import Run

WIDTH, HEIGHT = 360, 128
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 16, 20
_BEYOND = 4  # times as high as four of five others: far beyond the rest
_FEW = 5  # values, of which none is far beyond
_STEPS = (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10)
_CROWDED = 60  # runs, whose points are drawn smaller


@dataclass(frozen=True, slots=True)
class Scale:
    """How high a value is drawn. What is above `top` is drawn at the edge."""

    top: float
    beyond: int  # how many are

    def y(self, value: float) -> float:
        """Return the height of a value, from the upper edge of the picture."""
        ground = HEIGHT - _BOTTOM
        return ground - (ground - _TOP) * min(value / self.top, 1.0)


def scale(values: Sequence[int]) -> Scale:
    """Choose a scale from 0 for the values of a chart."""
    most = max(values, default=0)
    ordered = sorted(values)
    usual = ordered[len(ordered) * 4 // 5 - 1] if len(ordered) >= _FEW else most
    top = _round(usual * 1.3 if 0 < usual * _BEYOND < most else most)
    return Scale(top, sum(value > top for value in values))


def _round(top: float) -> float:
    """Return the next round number: 1, 1.2, 1.6, 2, 3, 4, 6 or 8 and zeros, so that its half is round, too."""
    if top <= 2:
        return 2.0
    size = 10.0 ** math.floor(math.log10(top))
    return next(float(step * size) for step in _STEPS if step * size >= top)


def chart(metric: Metric, nights: Sequence[Night], marks: Mapping[str, int], links: Mapping[str, str]) -> str:
    """Return a number of these runs as a figure; "" where it is known of none.

    `marks` numbers the runs before which something was changed, by folder.
    """
    known = [
        (at, night.run, value)
        for at, night in enumerate(nights)
        if (value := metric.of(night.run)) is not None
    ]
    if not known:
        return ""
    values = [value for _, _, value in known]
    high = scale(values)
    latest = metric.cell(known[-1][1])
    span = f"{metric.said(min(values))} to {metric.said(max(values))}"
    note = f" {count(high.beyond, 'value')} beyond the scale." if high.beyond else ""
    label = f"{metric.name}: {count(len(known), 'run')}, latest {latest}, {span}"
    return (
        f"<figure><figcaption><b>{_text(metric.title)}</b> "
        f"<span class=now>{_text(latest)}</span><small>{_text(metric.about)}{note}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(label)}">'
        f"{''.join(_frame(metric, nights, high))}{''.join(_changes(nights, marks))}"
        f'<path class="line" d="{_line(known, len(nights), high)}"/>'
        f"{''.join(_points(metric, known, len(nights), high, links))}</svg></figure>"
    )


def x(at: int, of: int) -> float:
    """Return the place of a run, from the left edge of the picture."""
    room = WIDTH - _LEFT - _RIGHT
    return _LEFT + room / 2 if of == 1 else _LEFT + room * at / (of - 1)


def _text(text: str) -> str:
    return escape(for_line(text))


def _frame(metric: Metric, nights: Sequence[Night], high: Scale) -> Iterator[str]:
    ground, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value in (0.0, high.top / 2, high.top):
        y = high.y(value)
        if metric.time or value == round(value):
            yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}">{_text(metric.said(round(value)))}</text>'
        yield f'<path class="{"ground" if y == ground else "grid"}" d="M{_LEFT - 4} {y:.1f}H{right + 4}"/>'
    first, last = nights[0].run.when[:10], nights[-1].run.when[:10]
    yield f'<text class="day" x="{_LEFT}" y="{HEIGHT - 4}">{_text(first)}</text>'
    if first != last:
        yield f'<text class="day end" x="{right}" y="{HEIGHT - 4}">{_text(last)}</text>'


def _changes(nights: Sequence[Night], marks: Mapping[str, int]) -> Iterator[str]:
    """Yield a line before each run before which something was changed, with the number that the page gives it."""
    for at, night in enumerate(nights):
        number = marks.get(night.run.folder)
        if number is not None:
            place = (x(at, len(nights)) + x(max(at - 1, 0), len(nights))) / 2
            yield f'<path class="change" d="M{place:.1f} {_TOP - 2}V{HEIGHT - _BOTTOM}"/>'
            yield f'<text class="number" x="{place:.1f}" y="{_TOP - 6}">{number}</text>'


def _line(known: Sequence[tuple[int, Run, int]], of: int, high: Scale) -> str:
    path, before = [], None
    for at, _, value in known:
        step = "L" if before == at - 1 else "M"
        path.append(f"{step}{x(at, of):.1f} {high.y(value):.1f}")
        before = at
    return "".join(path)


def _points(
    metric: Metric, known: Sequence[tuple[int, Run, int]], of: int, high: Scale, links: Mapping[str, str]
) -> Iterator[str]:
    size = 2.4 if of > _CROWDED else 3.4
    for at, run, value in known:
        shape = _shape(run, x(at, of), high.y(value), size, beyond=value > high.top)
        least = " least" if metric.least(run) else ""
        title = f"{run.when}: {metric.cell(run)} ({run.verdict})"
        mark = f'<g class="{grade_class(run)}{least}"><title>{_text(title)}</title>{shape}</g>'
        link = links.get(run.folder, "")
        # The table below has the same links for a keyboard: so many stops would be none.
        yield f'<a href="{escape(link)}" tabindex="-1">{mark}</a>' if link else mark


def _shape(run: Run, at: float, y: float, size: float, *, beyond: bool) -> str:
    """Return a point: a circle for a PASS, a diamond for a FAIL, else a square; beyond the scale, an arrow."""
    if beyond:
        return f'<path d="M{at:.1f} {y - size:.1f}l{size * 1.3:.1f} {size * 2:.1f}h{-size * 2.6:.1f}z"/>'
    if run.grade == "PASS":
        return f'<circle cx="{at:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
    if run.grade == "FAIL":
        wide = size * 1.4
        edge = f"{wide:.1f} {wide:.1f}l-{wide:.1f} {wide:.1f}l-{wide:.1f} -{wide:.1f}"
        return f'<path d="M{at:.1f} {y - wide:.1f}l{edge}z"/>'
    return f'<rect x="{at - size:.1f}" y="{y - size:.1f}" width="{2 * size:.1f}" height="{2 * size:.1f}"/>'


def grade_class(run: Run) -> str:
    """Return the style's class for a run's verdict."""
    return {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}.get(run.grade, "none")
