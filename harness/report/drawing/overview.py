"""The strip above the panels: the whole run, and which part of it is drawn large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Polygon
from matplotlib.ticker import FuncFormatter, MultipleLocator

from harness.clock import NS
from harness.report.drawing.columns import rates
from harness.report.drawing.scene import clock_words, tick_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.report.drawing.scene import Scene

_COLUMNS = 320
_LEAST = 0.14  # of the strip's height: the lowest bar of a failure, so that one of thousands is seen
_MINUTES_S = 600


def overview(axes: Axes, scene: Scene) -> None:
    """Draw the whole run: its rate as a ground, its failures as bars, its rollouts as boxes."""
    theme, picture = scene.theme, scene.picture
    found = rates(picture.buckets, picture.whole, _COLUMNS)
    edges = (found.edges_ns - scene.timeline.zero_ns) / NS
    highest = float((found.good + found.all_failed).max(initial=0)) or 1.0
    axes.stairs(found.good / highest * 0.8, edges, fill=True, color=theme.good, lw=0, zorder=2)
    failed = found.all_failed
    some = failed > 0
    heights = np.clip(failed / (float(failed.max(initial=0)) or 1.0), _LEAST, 1.0)
    axes.bar(
        edges[:-1][some], heights[some], np.diff(edges)[some], align="edge", color=theme.lost, lw=0, zorder=3
    )
    for span in picture.focuses:
        large = span == scene.span
        axes.axvspan(scene.s(span.from_ns), scene.s(span.to_ns), facecolor=theme.zoom if large else "none",
                     edgecolor=theme.ink if large else theme.faint, lw=1.2 if large else 0.7, zorder=1)  # fmt: skip
    left, right = scene.s(picture.whole.from_ns), scene.s(picture.whole.to_ns)
    axes.set_xlim(left, max(right, left + 1))
    axes.set_ylim(0, 1.05)
    axes.set_yticks([])
    minutes = max(abs(left), abs(right)) >= _MINUTES_S
    axes.xaxis.set_major_locator(MultipleLocator(tick_step(right - left, 12, in_minutes=minutes)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock_words(at, in_minutes=minutes)))
    axes.tick_params(axis="x", labelsize=8, colors=theme.faint, length=2, pad=1)
    axes.spines[["top", "right", "left"]].set_visible(False)


def zoom(figure: Figure, strip: Axes, panel: Axes, scene: Scene) -> None:
    """Lead the eye from the box in the overview to the panels."""
    to_figure = figure.transFigure.inverted()
    ends = [scene.s(scene.span.from_ns), scene.s(scene.span.to_ns)]
    upper = [to_figure.transform(strip.transData.transform((at, 0))) for at in ends]
    lower = [to_figure.transform(panel.transAxes.transform((at, 1))) for at in (0, 1)]
    figure.add_artist(
        Polygon([upper[0], upper[1], lower[1], lower[0]], closed=True, facecolor=scene.theme.zoom, edgecolor="none",
                transform=figure.transFigure, zorder=-1)
    )  # fmt: skip
