"""Charts as inline SVG that fill their column: places across are percents, places down are pixels. Pure.

So letters and dots keep their size on every screen, and a chart needs no script. Curves lie in an inner drawing that
is stretched; their lines keep their width. An axis of values stands in a column of its own, of a fixed width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.wording import lasting
from harness.report.page.markup import Child, Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_AXIS = 46  # pixels of the column of values
_NICE = (1, 2, 5, 10)


def chart(
    label: str,
    height: int,
    inside: Iterable[Child],
    axis: Iterable[tuple[float, str]] = (),
    *,
    class_: str = "",
) -> Markup:
    """Return a chart with its axis: `axis` has places down, in pixels, and their words."""
    values = [tag("text", words, x=_AXIS - 6, y=f"{y:.1f}", class_="value", dy="0.35em") for y, words in axis]
    return tag(
        "div",
        tag("svg", *values, class_="axis", width=_AXIS, height=height, aria_hidden="true"),
        tag("svg", *inside, class_="plot", width="100%", height=height, role="img", aria_label=label),
        class_=f"chart {class_}".strip(),
    )


def stretched(width: float, height: int, *inside: Child) -> Markup:
    """Return a drawing over the whole of a chart, `width` units wide and `height` pixels high."""
    return tag(
        "svg",
        *inside,
        viewBox=f"0 0 {width:g} {height}",
        preserveAspectRatio="none",
        width="100%",
        height=height,
        class_="stretched",
    )


def across(share: float) -> str:
    """Return a place across, from 0 to 1."""
    return f"{100 * share:.3f}%"


def band(begin: float, end: float, height: int, class_: str) -> Markup | None:
    """Return a stretch of the chart, by shares of its width; None where it is out of sight."""
    begin, end = max(begin, 0.0), min(end, 1.0)
    if end <= begin:
        return None
    return tag("rect", x=across(begin), width=across(end - begin), y=0, height=height, class_=class_)


def upright(share: float, height: int, class_: str) -> Markup:
    """Return a vertical line."""
    return tag("line", x1=across(share), x2=across(share), y1=0, y2=height, class_=class_)


def level(y: float, class_: str = "grid") -> Markup:
    """Return a horizontal line."""
    return tag("line", x1="0", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_=class_)


def words(text: str, share: float, y: float, class_: str = "", *, hover: str = "") -> Markup:
    """Return a text whose middle is at a place; at the ends of the chart it begins or ends there."""
    anchor = "start" if share < 0.02 else "end" if share > 0.98 else "middle"
    title = tag("title", hover) if hover else None
    return tag("text", title, text, x=across(share), y=f"{y:.1f}", text_anchor=anchor, class_=class_ or None)


def ground(share_of_zero: float, height: int, ticks: Iterable[tuple[float, str]]) -> Markup:
    """Return the lines behind a chart over time, and the line at its zero."""
    lines = [upright(share, height, "grid tick-at") for share, _ in ticks if 0 < share < 1]
    return joined([*lines, upright(share_of_zero, height, "trigger")])


def steps(values: Sequence[int], top: float, height: int, *, closed: bool) -> str:
    """Return the path of a step for each value; `closed`: with the ground, as an area. "" where all are zero."""
    parts: list[str] = []
    open_ = False
    for n, value in enumerate(values):
        if not value:
            if open_:
                parts.append(f"V{height}")
            open_ = False
            continue
        y = f"{height - height * value / top:.1f}".removesuffix(".0")
        parts.append(f"V{y}H{n + 1}" if open_ else f"M{n} {height}V{y}H{n + 1}")
        open_ = True
    if open_:
        parts.append(f"V{height}")
    text = "".join(parts)
    return text.replace("M", "ZM").removeprefix("Z") + "Z" if closed and text else text


def curve(points: Iterable[tuple[float, float]]) -> str:
    """Return the path of a line through points."""
    return "".join(
        f"{'L' if n else 'M'}{x:.1f} {y:.1f}".replace(".0 ", " ").removesuffix(".0")
        for n, (x, y) in enumerate(points)
    )


def nice(most: float) -> float:
    """Return the next round number from `most` on, whose half is round, too."""
    if most <= 2:
        return 2.0
    size = 10.0 ** math.floor(math.log10(most))
    return next(size * times for times in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if size * times >= most)


def seconds(from_ns: int, to_ns: int, most: int = 7) -> list[tuple[float, str]]:
    """Return round seconds of a stretch as shares of it, with their words."""
    length = (to_ns - from_ns) / NS
    size = 10.0 ** math.floor(math.log10(length / most))
    step = next(size * times for times in _NICE if length / (size * times) <= most)
    first = math.ceil(from_ns / NS / step - 1e-9)
    found = []
    for n in range(first, math.floor(to_ns / NS / step + 1e-9) + 1):
        at = n * step
        said = "0" if not n else f"{at:+.{0 if step >= 1 else 1}f}".replace("-", "\u2212")
        found.append(((at - from_ns / NS) / length, said))
    return found


def decades(low_ns: float, high_ns: float) -> tuple[int, int]:
    """Return the powers of ten between which latencies lie."""
    low, high = math.floor(math.log10(max(low_ns, 1))), math.ceil(math.log10(max(high_ns, 10)))
    return low, max(high, low + 1)


def power(exponent: int) -> str:
    """Return a power of ten of nanoseconds in words."""
    return lasting(10**exponent)
