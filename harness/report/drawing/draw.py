"""A Judgement and its Picture -> a PNG or SVG file: the header, the overview, and the panels on one time axis.

Draws on a Figure of its own with the Agg or the SVG canvas: no pyplot, no shared state. Made to be read at half its
size, in a chat or a README: hence few and large letters.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from harness.model import Phase
from harness.report import looks
from harness.report.drawing import load, pods
from harness.report.drawing.lanes import lanes
from harness.report.drawing.overview import overview, zoom
from harness.report.drawing.scene import Scene, clock_words, placed, tick_step
from harness.report.drawing.theme import LIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from matplotlib.axes import Axes

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement
    from harness.report.drawing.lanes import Lanes
    from harness.report.drawing.theme import Theme

_WIDTH, _LEFT, _RIGHT = 10.0, 1.95, 0.4  # inches: the picture, and its margins beside the panels
_DPI = 150
_TITLE, _LINE = 92, 118  # characters that fit a line of the title, and of the text below it
_CHAR = 0.078  # inches of a character of a moment's name
_GAP = 0.13


def draw(
    judgement: Judgement, picture: Picture, file: Path | BinaryIO, *, theme: Theme = LIGHT, form: str = "png"
) -> None:
    """Draw a run into a file. `form`: png | svg. Raises OSError when it cannot be written."""
    # Starts from matplotlib's own style, not from a matplotlibrc in the working folder.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_style(theme))
        figure = Figure(facecolor=theme.paper)
        canvas = FigureCanvasSVG(figure) if form == "svg" else FigureCanvasAgg(figure)
        _fill(figure, Scene(judgement, picture, theme))
        # Nothing in the file says when it was drawn: the same run gives the same file.
        metadata = {"Date": None, "Creator": "zdtest"} if form == "svg" else {"Software": "zdtest"}
        canvas.print_figure(file, format=form, dpi=_DPI, metadata=metadata, facecolor=theme.paper)


def _style(theme: Theme) -> Any:
    return {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "hatch.linewidth": 0.6,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": "none",
        "axes.labelcolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        # Names, URLs and reasons come from outside: a dollar sign in them must not begin mathematics.
        "text.parse_math": False,
        "text.usetex": False,
        "svg.fonttype": "none",  # text stays text: it can be searched, and read out
        "svg.hashsalt": "zdtest",
    }


@dataclass(frozen=True)
class _Panel:
    """A panel: its height in inches, its name in the margin, and what draws it."""

    height: float
    name: str
    fill: Callable[[Axes], None]
    gap: float = _GAP


def _fill(figure: Figure, scene: Scene) -> None:
    chosen = lanes(scene.timeline, scene.picture.failures, scene.span)
    panels = _panels(scene, chosen)
    header = _header(scene)
    top = sum(height for height, *_ in header) + 0.16
    above = 0.78 if scene.focused else 0.0  # the overview, its ticks, and the way down from it
    labels = 0.42 if scene.moments else 0.1
    causes = 0.2 * len(scene.causes)
    key = pods.key(scene, marked=bool(chosen.pods)) if chosen.all_pods else []
    notes = [chosen.words] if chosen.words else []
    bottom = 0.5 + 0.24 * bool(key) + 0.2 * len(notes)
    height = top + above + labels + causes + sum(one.height + one.gap for one in panels) + bottom
    figure.set_size_inches(_WIDTH, height)
    _write_header(figure, scene, header, height)

    def axes_at(y: float, tall: float) -> Axes:
        """Return axes whose upper edge is `y` inches below the picture's."""
        width = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        return figure.add_axes((_LEFT / _WIDTH, 1 - (y + tall) / height, width, tall / height))

    y = top
    strip = None
    if scene.focused:
        strip = axes_at(y, 0.42)
        overview(strip, scene)
        _margin(figure, scene.overview_words, y + 0.2, height, scene.theme.faint)
    y += above
    words = axes_at(y, labels + causes)
    y += labels + causes
    drawn = []
    for one in panels:
        axes = axes_at(y, one.height)
        one.fill(axes)
        _margin(figure, one.name, y + one.height / 2, height, scene.theme.ink)
        drawn.append(axes)
        y += one.height + one.gap
    _time_axis(scene, drawn)
    _words(words, scene, labels, causes)
    if strip is not None:
        zoom(figure, strip, words, scene)
    if key:
        figure.legend(handles=key, loc="lower center", ncols=len(key), frameon=False, fontsize=8, labelcolor=scene.theme.ink,
                      bbox_to_anchor=(0.5, 0.02 / height), columnspacing=1.3, handlelength=1.6)  # fmt: skip
    for n, note in enumerate(notes):
        figure.text(0.5, (bottom - 0.5 + 0.05 - 0.2 * n) / height, note, ha="center", fontsize=8.5, color=scene.theme.faint)


def _panels(scene: Scene, chosen: Lanes) -> list[_Panel]:
    if scene.as_marks:
        rows = load.rows_of(scene)
        failed = _Panel(0.25 + 0.36 * len(rows), "", lambda axes: load.marks(axes, scene))
    elif scene.in_view:
        failed = _Panel(1.6, "failed\nper second", lambda axes: load.bars(axes, scene))
    else:
        failed = _Panel(0.6, "failed", lambda axes: load.nothing(axes, scene))
    found = [failed]
    if scene.judgement.numbers.requests:
        found.append(_Panel(0.75, "requests\nper second", lambda axes: load.throughput(axes, scene)))
        found.append(_Panel(1.1, "latency", lambda axes: load.latency(axes, scene)))
    if chosen.folded:
        for old, word in ((True, "old"), (False, "new")):
            those = [pod for pod in chosen.all_pods if pod.old is old]
            if those:
                found.append(
                    _Panel(0.75, f"{word} pods", lambda axes, p=those, w=word: pods.counted(axes, scene, p, w))  # type: ignore[misc]
                )
    if chosen.pods:
        tall = 0.24 * len(chosen.pods) + 0.05
        found.append(_Panel(tall, "", lambda axes: pods.lanes(axes, scene, chosen.pods)))
    return found


def _header(scene: Scene) -> list[tuple[float, str, dict[str, Any]]]:
    """Return the lines above the picture: height in inches, text, style."""
    theme, judgement = scene.theme, scene.judgement
    grade = judgement.verdict.grade.value
    title = textwrap.wrap(f"{grade}: {judgement.verdict.headline}", _TITLE, max_lines=2, placeholder=" ...")
    strong = {"fontsize": 12.5, "fontweight": "bold", "color": theme.grades[grade]}
    lines: list[tuple[float, str, dict[str, Any]]] = [(0.27, line, strong) for line in title]
    lines.append((0.26, _cut(looks.subtitle(judgement)), {"fontsize": 8.5, "color": theme.faint}))
    lines += [
        (0.23, _cut(f"{number}   {words}"), {"fontsize": 9.5, "color": theme.ink})
        for number, _, words in scene.causes
    ]
    if scene.more_causes:
        lines.append((0.23, f"     {scene.more_causes}", {"fontsize": 9.5, "color": theme.faint}))
    return lines


def _cut(words: str) -> str:
    return words if len(words) <= _LINE else words[: _LINE - 3] + "..."


def _write_header(
    figure: Figure, scene: Scene, lines: Sequence[tuple[float, str, dict[str, Any]]], height: float
) -> None:
    y = 0.1
    for tall, words, style in lines:
        figure.text(0.12 / _WIDTH, 1 - (y + tall / 2) / height, words, va="center", **style)
        y += tall


def _margin(figure: Figure, words: str, y: float, height: float, colour: str) -> None:
    figure.text(0.12 / _WIDTH, 1 - y / height, words, va="center", fontsize=9, color=colour, linespacing=1.15)


def _time_axis(scene: Scene, panels: Sequence[Axes]) -> None:
    """Give all panels the same time axis, the rollout's ground, and the lines of the moments."""
    theme = scene.theme
    left, right = scene.limits
    step = tick_step(right - left, 12, in_minutes=scene.in_minutes)
    during = scene.timeline.phase(Phase.DURING)
    control = scene.timeline.control
    for axes in panels:
        axes.set_xlim(left, right)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock_words(round(at, 3), in_minutes=scene.in_minutes)))
        axes.tick_params(axis="x", labelbottom=axes is panels[-1], length=3 if axes is panels[-1] else 0)
        axes.grid(axis="x", color=theme.grid, lw=0.7, zorder=0)
        axes.set_axisbelow(True)
        for span, colour in ((control, theme.control), (during, theme.during)):
            if span is not None:
                axes.axvspan(max(scene.s(span.from_ns), left), min(scene.s(span.to_ns), right), color=colour, lw=0, zorder=-2)
        for moment in scene.moments:
            axes.axvline(moment.t_s, color=theme.ink, lw=moment.width, ls=moment.style, zorder=4)
        for gap in scene.timeline.gaps:
            if gap.blind:
                _hatch(axes, scene, gap.from_ns, gap.to_ns, "\\\\\\")
        for stall in scene.picture.stalls:
            _hatch(axes, scene, stall.from_ns, stall.to_ns, "...")
    hatched = []
    if any(scene.span.from_ns < one.to_ns and one.from_ns < scene.span.to_ns for one in scene.picture.stalls):
        hatched.append(("the load generator itself was late", "...."))
    if any(gap.blind and scene.span.from_ns < gap.to_ns and gap.from_ns < scene.span.to_ns for gap in scene.timeline.gaps):
        hatched.append(("nobody watched the cluster", "\\\\\\\\"))
    panels[-1].set_xlabel(scene.axis_words, labelpad=2)
    if hatched and len(panels) > 1:
        handles = [Patch(facecolor="none", hatch=hatch, edgecolor=theme.faint, lw=0.5, label=words) for words, hatch in hatched]
        panels[1].legend(handles=handles, loc="lower right", fontsize=8, facecolor=theme.paper, framealpha=0.8, edgecolor="none",
                         labelcolor=theme.ink, ncols=2, borderpad=0.2)  # fmt: skip


def _hatch(axes: Axes, scene: Scene, from_ns: int, to_ns: int, hatch: str) -> None:
    left, right = scene.limits
    start, stop = max(scene.s(from_ns), left), min(scene.s(to_ns), right)
    if stop > start:
        axes.axvspan(start, stop, facecolor="none", edgecolor=scene.theme.faint, hatch=hatch, lw=0, zorder=1)


def _words(axes: Axes, scene: Scene, labels: float, causes: float) -> None:
    """Name the moments, and show when each cause struck, above the panels."""
    theme, (left, right) = scene.theme, scene.limits
    axes.set_xlim(left, right)
    axes.set_ylim(-causes, labels)
    axes.axis("off")
    width = _WIDTH - _LEFT - _RIGHT
    for moment, row in zip(scene.moments, placed(scene.moments, scene.limits, width, _CHAR), strict=True):
        y = labels - 0.31 + (0.0 if row <= 0 else 0.17)
        axes.plot([moment.t_s] * 2, [-causes, y - 0.04 if row >= 0 else 0], color=theme.ink, lw=moment.width, ls=moment.style)
        if row >= 0:
            ends = (moment.t_s - left) / (right - left) * width + len(moment.words) * _CHAR > width
            axes.text(moment.t_s, y, moment.words, ha="right" if ends else "left", va="bottom", fontsize=8.5, color=theme.ink)
    for n, (number, ids, _) in enumerate(scene.causes):
        y = -0.1 - 0.2 * n
        found = scene.bursts(ids)
        for burst in found:
            start, stop = max(scene.s(burst.from_ns), left), min(scene.s(burst.to_ns), right)
            axes.plot([start, max(stop, start + (right - left) / 200)], [y, y], color=theme.lost, lw=4, solid_capstyle="butt")
        for burst in found[:1]:
            at = max(scene.s(burst.from_ns), left)
            axes.annotate(str(number), (at, y), (-8, 0), textcoords="offset points", ha="center", va="center", fontsize=9,
                          fontweight="bold", color=theme.ink, annotation_clip=False)  # fmt: skip
