"""Where everything stands: the header, the overview, the panels below each other, the key. Sizes are in inches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.drawing import load, pods
from harness.report.drawing.header import header
from harness.report.drawing.lanes import lanes
from harness.report.drawing.overview import overview, zoom
from harness.report.drawing.timeaxis import share_axis, show_causes, show_moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.judge.timeline.lifeline import Lifeline
    from harness.report.drawing.lanes import Lanes
    from harness.report.drawing.scene import Scene

WIDTH, LEFT, RIGHT = 10.0, 1.95, 0.4  # the picture, and its margins beside the panels
_EDGE = 0.12
_GAP = 0.13  # between two panels
_STRIP = 0.42  # the overview
_ABOVE = 0.78  # with its ticks, and the way down from it
_MOMENTS = 0.42  # two rows of words
_CAUSE = 0.2
_AXIS = 0.5  # the time axis' own words
_NOTE, _KEY = 0.22, 0.26
_IN_A_ROW = 8  # entries of the key that fit beside each other


@dataclass(frozen=True)
class Panel:
    """A panel: its height, its name in the margin, and what draws it."""

    height: float
    name: str
    fill: Callable[[Axes], None]


class Sheet:
    """Puts things on a figure at inches from its upper left corner."""

    def __init__(self, figure: Figure, height: float) -> None:
        figure.set_size_inches(WIDTH, height)
        self.figure = figure
        self._height = height

    def axes(self, top: float, height: float) -> Axes:
        """Add axes between the margins."""
        across = (WIDTH - LEFT - RIGHT) / WIDTH
        return self.figure.add_axes(
            (LEFT / WIDTH, 1 - (top + height) / self._height, across, height / self._height)
        )

    def write(self, words: str, top: float, *, left: float = _EDGE, **style: object) -> None:
        """Write words whose middle is so far down."""
        self.figure.text(left / WIDTH, 1 - top / self._height, words, va="center", **style)  # type: ignore[arg-type]


def fill(figure: Figure, scene: Scene) -> None:
    """Put a whole picture on an empty figure, and give it the size that it needs."""
    theme = scene.theme
    chosen = lanes(scene.timeline, scene.judgement.causes, scene.span)
    panels, lines = _panels(scene, chosen), header(scene)
    key = pods.key(scene, marked=bool(chosen.pods)) if chosen.all_pods else []
    top = 0.1 + sum(line.height for line in lines) + 0.06
    above = _ABOVE if scene.focused else 0.0
    labels = _MOMENTS if scene.moments else 0.1
    words_tall = labels + _CAUSE * len(scene.causes)
    below = _AXIS + _NOTE * bool(chosen.words) + _KEY * bool(key)
    sheet = Sheet(figure, top + above + words_tall + sum(one.height + _GAP for one in panels) + below)
    at = 0.1
    for line in lines:
        sheet.write(line.words, at + line.height / 2, **line.style)
        at += line.height
    strip = None
    if scene.focused:
        strip = sheet.axes(top, _STRIP)
        overview(strip, scene)
        sheet.write(scene.overview_words, top + _STRIP / 2, fontsize=9, color=theme.faint)
    at = top + above
    words = sheet.axes(at, words_tall)
    at += words_tall
    drawn = []
    for one in panels:
        axes = sheet.axes(at, one.height)
        one.fill(axes)
        drawn.append(axes)
        sheet.write(one.name, at + one.height / 2, fontsize=9, color=theme.ink, linespacing=1.15)
        at += one.height + _GAP
    share_axis(scene, drawn)
    words.set_ylim(labels - words_tall, labels)
    show_moments(words, scene, WIDTH - LEFT - RIGHT, labels)
    show_causes(words, scene, _CAUSE)
    if strip is not None:
        zoom(figure, strip, words, scene)
    at += _AXIS - _GAP
    if chosen.words:
        sheet.write(chosen.words, at, left=LEFT, fontsize=8.5, color=theme.faint)
        at += _NOTE
    if key:
        columns = len(key) if len(key) <= _IN_A_ROW else (len(key) + 1) // 2
        figure.legend(handles=key, loc="lower center", ncols=columns, frameon=False, fontsize=8,
                      labelcolor=theme.ink, bbox_to_anchor=(0.5, 0.003), columnspacing=1.2,
                      handlelength=1.5)  # fmt: skip


def _panels(scene: Scene, chosen: Lanes) -> list[Panel]:
    held = scene.judgement.streams is not None
    if scene.as_marks:
        tall = 0.25 + 0.36 * len(load.rows_of(scene))
        found = [Panel(tall, "cut" if held else "failed\nrequests", lambda axes: load.marks(axes, scene))]
    elif scene.in_view:
        found = [
            Panel(
                1.6, "cut\nper second" if held else "failed\nper second", lambda axes: load.bars(axes, scene)
            )
        ]
    else:
        found = [Panel(0.6, "cut" if held else "failed", lambda axes: load.nothing(axes, scene))]
    if scene.judgement.numbers.requests:
        rate, waited = ("streams\nopen", "between\nmessages") if held else ("requests\nper second", "latency")
        found.append(Panel(0.75, rate, lambda axes: load.throughput(axes, scene)))
        found.append(Panel(1.1, waited, lambda axes: load.latency(axes, scene)))
    if chosen.folded:
        for old, word in ((True, "old pods"), (False, "new pods")):
            those = [pod for pod in chosen.all_pods if pod.old is old]
            if those:
                found.append(_counted(scene, those, word))
    if chosen.pods:
        tall = 0.24 * len(chosen.pods) + 0.05
        found.append(Panel(tall, "", lambda axes: pods.lanes(axes, scene, chosen.pods)))
    return found


def _counted(scene: Scene, those: list[Lifeline], word: str) -> Panel:
    return Panel(0.75, word, lambda axes: pods.counted(axes, scene, those))
