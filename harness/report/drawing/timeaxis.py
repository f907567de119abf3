"""What all panels share: the time axis, the ground of the rollout, the lines of the moments, what was not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from harness.model import Phase
from harness.report.drawing.scene import clock_words, placed, tick_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from harness.report.drawing.scene import Scene

_TICKS = 12
_CHAR = 0.078  # inches of a character of a moment's name
_ROW = 0.17  # between two rows of names
_LATE, _BLIND = "++", "xx"  # hatches


def share_axis(scene: Scene, panels: Sequence[Axes]) -> None:
    """Give all panels the same time axis; the last one gets its numbers."""
    theme, (left, right) = scene.theme, scene.limits
    step = tick_step(right - left, _TICKS, in_minutes=scene.in_minutes)
    grounds = ((scene.timeline.control, theme.control), (scene.timeline.phase(Phase.DURING), theme.during))
    for axes in panels:
        last = axes is panels[-1]
        axes.set_xlim(left, right)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _number(at, scene)))
        axes.tick_params(axis="x", labelbottom=last, length=3 if last else 0)
        axes.grid(axis="x", color=theme.grid, lw=0.7, zorder=0)
        axes.set_axisbelow(True)
        for span, colour in grounds:
            if span is not None:
                start, stop = max(scene.s(span.from_ns), left), min(scene.s(span.to_ns), right)
                axes.axvspan(start, max(stop, start), color=colour, lw=0, zorder=-2)
        for moment in scene.moments:
            axes.axvline(moment.t_s, color=theme.ink, lw=moment.width, ls=moment.style, zorder=4)
    panels[-1].set_xlabel(scene.axis_words, labelpad=2)
    _unseen(scene, panels)


def _number(at: float, scene: Scene) -> str:
    return clock_words(round(at, 3), in_minutes=scene.in_minutes)


def _unseen(scene: Scene, panels: Sequence[Axes]) -> None:
    """Hatch the stretches in which the load generator was late, or nobody watched, so that nobody trusts them."""
    handles = []
    sorts = (
        ("the load generator itself was late", _LATE, scene.stalls),
        ("nobody watched the cluster", _BLIND, scene.gaps),
    )
    for words, hatch, stretches in sorts:
        for start, stop in stretches:
            for axes in panels:
                axes.axvspan(
                    start, stop, facecolor="none", edgecolor=scene.theme.faint, hatch=hatch, lw=0, zorder=1
                )
        if stretches:
            handles.append(
                Patch(facecolor="none", hatch=hatch, edgecolor=scene.theme.faint, lw=0.5, label=words)
            )
    if handles:
        panels[min(1, len(panels) - 1)].legend(
            handles=handles, loc="lower right", fontsize=8, facecolor=scene.theme.paper, framealpha=0.9,
            edgecolor="none", labelcolor=scene.theme.ink, ncols=2, borderpad=0.2,
        )  # fmt: skip


def show_moments(axes: Axes, scene: Scene, width: float, height: float) -> None:
    """Name the moments above the panels, on axes of `width` inches whose y is in inches, from 0 up to `height`."""
    theme, (left, right) = scene.theme, scene.limits
    axes.set_xlim(left, right)
    axes.axis("off")
    low, _ = axes.get_ylim()
    rows = placed(scene.moments, scene.limits, width, _CHAR)
    for moment, row in zip(scene.moments, rows, strict=True):
        y = height - 0.31 + _ROW * max(row, 0)
        top = y - 0.04 if row >= 0 else 0.0
        axes.plot([moment.t_s] * 2, [low, top], color=theme.ink, lw=moment.width, ls=moment.style)
        if row >= 0:
            end = (moment.t_s - left) / (right - left) * width + len(moment.words) * _CHAR
            side = "right" if end > width else "left"
            axes.text(moment.t_s, y, moment.words, ha=side, va="bottom", fontsize=8.5, color=theme.ink, zorder=5,
                      bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.4})  # fmt: skip


def show_causes(axes: Axes, scene: Scene, height: float) -> None:
    """Show when each cause struck: a row each, `height` inches high, below 0 of axes whose y is in inches."""
    theme, (left, right) = scene.theme, scene.limits
    least = (right - left) / 200
    for n, (number, ids, _) in enumerate(scene.causes):
        y = -height * (n + 0.5)
        found = scene.bursts(ids)
        for burst in found:
            start, stop = max(scene.s(burst.from_ns), left), min(scene.s(burst.to_ns), right)
            axes.plot(
                [start, max(stop, start + least)], [y, y], color=theme.lost, lw=4, solid_capstyle="butt"
            )
        if found:
            first = max(scene.s(found[0].from_ns), left)
            axes.annotate(str(number), (first, y), (-9, 0), textcoords="offset points", ha="center", va="center",
                          fontsize=9, fontweight="bold", color=theme.ink, annotation_clip=False,
                          bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.8})  # fmt: skip
