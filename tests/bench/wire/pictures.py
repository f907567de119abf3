"""Draws the curves: one small SVG each, in colours that can be read on a light page and on a dark one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tests.bench.figures import Line, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

# Each has at least three times the contrast of white and of a dark page; the marks tell them apart without colours.
_LOOKS = {
    "zdtest": ("#2f7de1", "o", 2.4),
    "wrk": ("#c97a10", "s", 1.4),
    "h2load": ("#1f9d55", "^", 1.4),
    "h2load --rps": ("#1f9d55", "^", 1.4),
    "hey": ("#b0589f", "D", 1.4),
}
_GREY = "#808890"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "zdtest",
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "text.color": _GREY,
    "axes.facecolor": "none",
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "font.size": 10,
}


def drawn(across: str, lines: Sequence[Line], *, kind: str = "svg", paper: str = "none") -> bytes:
    """Return the picture of a part's curves. `across`: what the places along the axis are."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        _axes(axes, across, lines)
        ends = []
        for who in dict.fromkeys(line.who for line in lines):
            mine = sorted((line.x or 0, line) for line in lines if line.who == who)
            colour, mark, width = _LOOKS[who]
            places, values = [x for x, _ in mine], [line.value for _, line in mine]
            axes.plot(places, values, color=colour, marker=mark, markersize=4.5, linewidth=width)
            spread = [
                (min(line.rounds), max(line.rounds)) if line.rounds else (line.value,) * 2 for _, line in mine
            ]
            axes.vlines(places, *zip(*spread, strict=True), color=colour, linewidth=1, alpha=0.6)
            ends.append((values[-1], places[-1], who, colour))
        _names(axes, ends)
        picture = io.BytesIO()
        figure.savefig(
            picture, format=kind, facecolor=paper, metadata={"Date": None} if kind == "svg" else None
        )
    return picture.getvalue()


def _axes(axes: Axes, across: str, lines: Sequence[Line]) -> None:
    places = sorted({line.x for line in lines if line.x is not None})
    if places[-1] > 10 * places[0]:
        axes.set_xscale(
            "symlog" if places[0] == 0 else "log", **({"linthresh": places[1]} if places[0] == 0 else {})
        )
    axes.set_yscale("log")
    axes.set_xticks(places, [size(x) for x in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    top, bottom = max(line.value for line in lines), min(line.value for line in lines)
    marks = [tick for power in range(-1, 6) for tick in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)]
    axes.set_ylim(bottom / 1.5, top * 1.5)
    axes.set_yticks([tick for tick in marks if bottom / 1.5 <= tick <= top * 1.5])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(across)
    axes.set_ylabel("us of CPU per request")
    axes.grid(color=_GREY, alpha=0.25, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _names(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each curve's name at its end, and no two on top of each other."""
    low, high = axes.get_ylim()
    apart = (high / low) ** 0.075
    at = 0.0
    for value, place, who, colour in sorted(ends):
        at = max(value, at * apart)
        axes.annotate(
            who,
            (place, at),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold",
            annotation_clip=False,
        )
