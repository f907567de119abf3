"""The panels of requests: those that failed, the rate of good ones, and how long they took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.clock import NS
from harness.judge.streams.words import in_words
from harness.judge.wording import lasting
from harness.report import looks
from harness.report.drawing.columns import latencies, rates
from harness.report.drawing.theme import MARKERS
from harness.report.looks import FAILURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from harness.report.drawing.scene import Scene

MOST_ROWS = 5  # kinds of failures with a row of their own
_COLUMNS, _FINE = 160, 480
_GOLDEN = 0.618034


def rows_of(scene: Scene) -> list[tuple[str, list[int]]]:
    """Return the rows of single marks: a name, and which places in the failures' kinds it holds."""
    failures, span = scene.large.failures, scene.span
    inside = (failures.done_ns >= span.from_ns) & (failures.done_ns < span.to_ns)
    sizes = np.bincount(failures.kind[inside], minlength=len(failures.kinds))
    order = [int(n) for n in np.argsort(-sizes, kind="stable") if sizes[n]]
    if len(order) <= MOST_ROWS:
        return [(failures.kinds[n], [n]) for n in order]
    kept, rest = order[: MOST_ROWS - 1], order[MOST_ROWS - 1 :]
    return [(failures.kinds[n], [n]) for n in kept] + [(f"{len(rest)} other kinds", rest)]


def marks(axes: Axes, scene: Scene) -> None:
    """Draw each failed request in view as a mark, in a row for its kind."""
    failures, span, theme = scene.large.failures, scene.span, scene.theme
    inside = (failures.done_ns >= span.from_ns) & (failures.done_ns < span.to_ns)
    rows = rows_of(scene)
    labels = []
    for row, (name, kinds) in enumerate(rows):
        mine = np.flatnonzero(inside & np.isin(failures.kind, kinds))
        shown = in_words(name) if scene.judgement.streams is not None else name
        labels.append(f"{shown} \u00d7 {len(mine):,}")
        group = looks.group(failures.kinds[kinds[0]])
        at = (failures.done_ns[mine] - scene.timeline.zero_ns) / NS
        spread = (np.arange(len(mine)) * _GOLDEN % 1 - 0.5) * (0.6 if len(mine) > 1 else 0)
        axes.scatter(at, row + spread, s=30, marker=MARKERS[group], color=theme.failures[group],
                     edgecolors=theme.paper, linewidths=0.5, zorder=6, clip_on=False)  # fmt: skip
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), labels, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def bars(axes: Axes, scene: Scene) -> None:
    """Draw the failed requests per second, stacked by kind."""
    theme = scene.theme
    found = rates(scene.buckets, scene.span, _COLUMNS)
    left = (found.edges_ns[:-1] - scene.timeline.zero_ns) / NS
    widths = np.diff(found.edges_ns) / NS
    bottom = np.zeros(len(left))
    handles = []
    for name, rate in found.failed.items():
        look = FAILURES[name]
        some = rate > 0
        axes.bar(left[some], rate[some], widths[some], bottom[some], align="edge", color=theme.failures[name],
                 hatch=look.hatch, edgecolor=theme.paper, lw=0.3)  # fmt: skip
        bottom += rate
        handles.append(Patch(facecolor=theme.failures[name], hatch=look.hatch, edgecolor=theme.paper,
                             label=f"{look.label}: {round(float(rate @ widths)):,}"))  # fmt: skip
    axes.set_ylim(0, 1.3 * max(float(bottom.max(initial=0)), 1e-9))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=2))
    axes.yaxis.set_major_formatter(FuncFormatter(_number))
    axes.spines[["top", "right"]].set_visible(False)
    legend(axes, scene, handles)


def nothing(axes: Axes, scene: Scene) -> None:
    """Say that no request failed, where that is so, and where none is in view."""
    numbers = scene.judgement.numbers
    what = "failed request" if scene.judgement.streams is None else "stream was cut, no handshake failed"
    words = (
        "no request was recorded"
        if not numbers.requests
        else f"no {what}"
        if not numbers.failed
        else f"no {what} in this part of the run"
    )
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=12,
              color=scene.theme.faint)  # fmt: skip
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)


def throughput(axes: Axes, scene: Scene) -> None:
    """Draw the requests per second: good ones, and failed ones on top of them."""
    theme = scene.theme
    found = rates(scene.buckets, scene.span, _COLUMNS)
    edges = (found.edges_ns - scene.timeline.zero_ns) / NS
    axes.stairs(found.good, edges, fill=True, color=theme.good, lw=0)
    failed = found.all_failed
    if failed.any():
        axes.stairs(found.good + failed, edges, baseline=found.good, fill=True, color=theme.lost, lw=0)
    highest = float((found.good + failed).max(initial=0))
    axes.set_ylim(0, 1.25 * max(highest, 1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_number))
    axes.spines[["top", "right"]].set_visible(False)


def _number(value: float, _: int | None = None) -> str:
    return f"{value:,.0f}" if value >= 1 or not value else f"{value:g}"


def latency(axes: Axes, scene: Scene) -> None:
    """Draw the latencies of good answers, and of the slowest failed request, on a logarithmic axis."""
    theme = scene.theme
    found = latencies(scene.buckets, scene.span, _FINE)
    at = (found.middles_ns - scene.timeline.zero_ns) / NS
    axes.set_yscale("log")
    values = np.concatenate([found.p50, found.most, found.failed])
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        axes.set_ylim(1, 10)
        axes.set_yticks([])
        axes.spines[["top", "right"]].set_visible(False)
        return
    axes.fill_between(at, found.p50, found.most, color=theme.slow, lw=0, step="mid")
    axes.plot(at, found.p99, color=theme.faint, lw=1.0, drawstyle="steps-mid")
    axes.plot(at, found.p50, color=theme.ink, lw=1.6, drawstyle="steps-mid")
    handles: list[Any] = [
        Line2D([], [], color=theme.ink, lw=1.6, label="p50"),
        Line2D([], [], color=theme.faint, lw=1.0, label="p99"),
        Patch(facecolor=theme.slow, label=f"up to max, each of {lasting(found.width_ns)}"),
    ]
    slow = np.isfinite(found.failed)
    if slow.any():
        axes.plot(at[slow], found.failed[slow], ls="", marker="x", ms=4, mew=1.1, color=theme.lost)
        handles.append(
            Line2D([], [], ls="", marker="x", ms=4, mew=1.1, color=theme.lost, label="slowest failed")
        )
    low, high = float(values.min()), float(values.max())
    axes.set_ylim(low / 1.6, high * (high / low) ** 0.3 * 1.5)
    subs = (1.0,) if high / low > 40 else (1.0, 3.0) if high / low > 8 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: lasting(round(ms * 1e6)).replace(".0 ", " ")))
    axes.spines[["top", "right"]].set_visible(False)
    legend(axes, scene, handles)


def legend(axes: Axes, scene: Scene, handles: Sequence[Any]) -> None:
    """Put the key of a panel into its upper right corner."""
    if handles:
        axes.legend(handles=handles, loc="upper right", ncols=len(handles), fontsize=8, frameon=True, framealpha=0.9,
                    facecolor=scene.theme.paper, edgecolor="none", labelcolor=scene.theme.ink, borderpad=0.2,
                    columnspacing=1.2, handlelength=1.3, borderaxespad=0.1)  # fmt: skip
