"""timeline.png: failures by second above one bar per pod, on one time axis. The only door to matplotlib.

Draws on a Figure of its own with the Agg canvas: no pyplot, no shared state. Colours are Okabe and Ito's; each also
has a hatch or a lightness of its own, so that they differ in a grey print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.clock import NS
from harness.model import Mark
from harness.report import looks
from harness.report.looks import FAILURES, STATES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from matplotlib.axes import Axes

    from harness.judge.numbers.summary import SecondRow
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline
    from harness.judge.verdict.judgement import Judgement

MOST_PODS = 60
MOST_BARS = 3600


_GREY, _CONTROL, _INK = "#8A8A8A", "#DCE9F5", "#333333"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "axes.edgecolor": _GREY,
    # Names, URLs and reasons come from outside: a dollar sign in them must not begin mathematics.
    "text.parse_math": False,
    "text.usetex": False,
}


def draw(judgement: Judgement, file: Path | BinaryIO) -> None:
    """Draw a run into a PNG file. Raises OSError when it cannot be written."""
    # Starts from matplotlib's own style, not from a matplotlibrc in the working folder.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = _figure(judgement)
        FigureCanvasAgg(figure)
        figure.savefig(file, format="png", dpi=110, metadata={"Software": "zdtest"})


def _figure(judgement: Judgement) -> Figure:
    timeline = judgement.timeline
    pods = timeline.pods[:MOST_PODS]
    bar = 0.3 if len(pods) <= 12 else 0.19
    heights = [0.3, 2.6, max(bar * len(pods), 0.6) if pods else 0.01]
    figure = Figure(figsize=(12, sum(heights) + 1.75))
    total = figure.get_figheight()
    grid = figure.add_gridspec(
        3,
        1,
        height_ratios=heights,
        hspace=0.06,
        left=0.2,
        right=0.935,
        top=1 - 0.82 / total,
        bottom=0.85 / total,
    )
    strip = figure.add_subplot(grid[0])
    load = figure.add_subplot(grid[1], sharex=strip)
    life = figure.add_subplot(grid[2], sharex=strip)
    start, stop = (_s(t, timeline) for t in (timeline.judged.from_ns, timeline.judged.to_ns))
    strip.set_xlim(start, max(stop, start + 1))

    figure.text(
        0.012,
        1 - 0.22 / total,
        looks.title(judgement),
        fontsize=11,
        fontweight="bold",
        color=_INK,
        va="center",
    )
    figure.text(0.012, 1 - 0.47 / total, looks.subtitle(judgement), fontsize=9, color=_INK, va="center")
    _strip(strip, timeline)
    behind = load.twinx()
    _load(load, behind, judgement)
    _life(life, timeline, pods)
    _moments((load, life) if pods else (load,), (behind, life), timeline)
    last = life if pods else load
    last.set_xlabel(
        "seconds from the first trigger"
        if len(_triggers(timeline)) > 1
        else "seconds from the trigger"
        if timeline.triggered
        else "seconds from the end of the warm-up"
    )
    last.xaxis.set_major_locator(MaxNLocator(nbins=14, integer=True))
    strip.tick_params(labelbottom=False, bottom=False)
    load.tick_params(labelbottom=not pods)
    if not pods:
        life.set_visible(False)
    handles: list[Any] = [Patch(facecolor=look.colour, hatch=look.hatch, edgecolor=_INK, lw=0.5, label=look.label)
                          for look in (STATES.values() if pods else ())]  # fmt: skip
    if pods:
        handles.append(Line2D([], [], color=_INK, marker="X", ls="", label="exited (within the second)"))
        handles.append(Line2D([], [], color=_INK, marker="|", ms=9, mew=2, ls="", label="gone"))
        figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8,
                      bbox_to_anchor=(0.55, 0.02 / total))  # fmt: skip
    return figure


def _strip(axes: Axes, timeline: Timeline) -> None:
    """Name the phases, and the control window, above the picture."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    tones = {"before": "#EDEDED", "during": "#F7D9C4", "after": "#E3EFDA", "warmup": "#FFFFFF"}
    low, high = axes.get_xlim()
    for phase in timeline.phases:
        if phase.phase == "warmup":
            continue
        left, right = _s(phase.span.from_ns, timeline), _s(phase.span.to_ns, timeline)
        axes.axvspan(left, right, color=tones[phase.phase], lw=0)
        name = phase.phase.value if timeline.triggered else "load"
        if (right - left) / (high - low) > 0.045:
            axes.text((left + right) / 2, 0.72, name, ha="center", va="center", fontsize=8.5, color=_INK)
    for t_ns, words, _, _ in _lines(timeline):
        side, shift = ("right", 3) if words == "trigger" else ("left", -3)
        axes.annotate(words, (_s(t_ns, timeline), 1.0), (shift, 3), textcoords="offset points", va="bottom",
                      ha=side, fontsize=8, color=_INK, annotation_clip=False)  # fmt: skip
    if timeline.control is not None:
        left, right = _s(timeline.control.from_ns, timeline), _s(timeline.control.to_ns, timeline)
        axes.axvspan(left, right, ymin=0.0, ymax=0.42, color="#A9C8E6", lw=0)
        if (right - left) / (high - low) > 0.1:
            axes.text(
                (left + right) / 2, 0.19, "control window", ha="center", va="center", fontsize=7, color=_INK
            )


def _load(axes: Axes, behind: Axes, judgement: Judgement) -> None:
    """Draw the failures of each second, stacked, over the requests per second."""
    begin = _s(judgement.timeline.judged.from_ns, judgement.timeline)
    rows = [row for row in judgement.numbers.seconds if row.second + 1 > begin]
    behind.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    timeline = judgement.timeline
    first, last = _s(timeline.load.from_ns, timeline), _s(timeline.load.to_ns, timeline)
    # A second with only part of the load would make the line dive for no reason.
    whole = [row for row in rows if first <= row.second and row.second + 1 <= last]
    if whole:
        edges = [row.second for row in whole] + [whole[-1].second + 1]
        behind.stairs([row.completed for row in whole], edges, color=_GREY, lw=1.1, baseline=None)
        behind.set_ylim(0, 1.15 * max(1, *(row.completed for row in whole)))
    behind.set_ylabel("requests/s (line)", color=_GREY, fontsize=8)
    behind.tick_params(colors=_GREY, labelsize=8)
    # A day has more seconds than the picture has pixels: of those that share a bar, the worst one is drawn.
    width = -(-len(rows) // MOST_BARS)
    worst = [max(rows[n : n + width], key=_failed) for n in range(0, len(rows), width or 1)]
    xs = [row.second for row in rows[:: width or 1]]
    tops = [0] * len(worst)
    handles = []
    for group, look in FAILURES.items():
        counts = [sum(n for kind, n in row.failed.items() if looks.group(kind) == group) for row in worst]
        if not any(counts):
            continue
        bad = [n for n, count in enumerate(counts) if count]
        axes.bar(
            [xs[n] for n in bad],
            [counts[n] for n in bad],
            width=float(width),
            align="edge",
            bottom=[tops[n] for n in bad],
            color=look.colour,
            hatch=look.hatch,
            edgecolor="white",
            lw=0.4,
        )
        tops = [top + n for top, n in zip(tops, counts, strict=True)]
        total = sum(kind.count for kind in judgement.numbers.kinds if looks.group(kind.kind) == group)
        handles.append(
            Patch(
                facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=f"{look.label}: {total:,}"
            )
        )
    failures = bool(handles)
    handles += _stalls(axes, judgement, begin)
    axes.set_ylim(0, 1.25 * max(tops, default=0) or 1)
    axes.set_ylabel("failed requests/s (bars)")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.spines[["top"]].set_visible(False)
    behind.spines[["top"]].set_visible(False)
    if handles:
        axes.legend(
            handles=handles,
            loc="upper right",
            frameon=True,
            framealpha=0.85,
            edgecolor="none",
            fontsize=8.5,
            ncols=len(handles),
        )
    if not failures:
        words = "no failed request" if rows else "no request was recorded"
        axes.text(
            0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=12, color=_GREY
        )
        axes.set_yticks([])


def _failed(row: SecondRow) -> int:
    return sum(row.failed.values())


def _joined(seconds: list[int], apart: int) -> list[tuple[int, int]]:
    """Join seconds (in order) into stretches, where they follow each other or are too close to be drawn apart."""
    found: list[tuple[int, int]] = []
    for second in seconds:
        if found and second - found[-1][1] <= apart:
            found[-1] = found[-1][0], second + 1
        else:
            found.append((second, second + 1))
    return found


def _stalls(axes: Axes, judgement: Judgement, begin: float) -> list[Any]:
    """Mark the seconds in which the generator itself was late, so that nobody blames the service for them."""
    found = judgement.sending.stalled_seconds if judgement.sending else {}
    seconds = [second for second in found if second + 1 > begin]
    for left, right in _joined(seconds, apart=(seconds[-1] - seconds[0]) // MOST_BARS if seconds else 0):
        axes.axvspan(left, right, facecolor="none", edgecolor=_GREY, hatch="..", lw=0, zorder=0)
    if not seconds:
        return []
    return [
        Patch(
            facecolor="none",
            hatch="....",
            edgecolor=_GREY,
            lw=0.5,
            label=f"the generator itself stalled: {len(seconds)} s",
        )
    ]


def _life(axes: Axes, timeline: Timeline, pods: tuple[Lifeline, ...]) -> None:
    """Draw a bar per pod, old ones above new ones."""
    small = len(pods) > 12
    for row, pod in enumerate(pods):
        _bar(axes, row, pod, timeline, small=small)
    axes.set_ylim(len(pods) - 0.4, -0.6)
    axes.set_yticks(range(len(pods)), [looks.label(pod) for pod in pods], fontsize=6.5 if small else 8.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E4E4E4", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    olds = sum(pod.old for pod in pods)
    for count, first, word in ((olds, 0, "old"), (len(pods) - olds, olds, "new")):
        if count:
            axes.text(
                1.012,
                first + count / 2 - 0.5,
                word,
                transform=axes.get_yaxis_transform(),
                rotation=90,
                va="center",
                fontsize=9,
                color=_INK,
            )
    if 0 < olds < len(pods):
        axes.axhline(olds - 0.5, color=_GREY, lw=0.8)
    if len(timeline.pods) > len(pods):
        axes.text(
            1,
            0,
            f"{len(timeline.pods) - len(pods)} more pods not drawn",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=7,
        )


def _bar(axes: Axes, row: int, pod: Lifeline, timeline: Timeline, *, small: bool) -> None:
    """Draw one pod's life, where its process ended, and when it was gone."""
    left, right = axes.get_xlim()
    for segment in pod.segments(timeline.judged.to_ns):
        start, stop = max(_s(segment.from_ns, timeline), left), min(_s(segment.to_ns, timeline), right)
        if stop > start:
            look = STATES[segment.state]
            axes.barh(
                row,
                stop - start,
                left=start,
                height=0.62,
                color=look.colour,
                hatch=look.hatch,
                edgecolor=_INK,
                lw=0.4,
            )
    out = pod.out_of_endpoints_ns
    if out is not None and pod.deleted_ns is not None and out - pod.deleted_ns > 300_000_000:
        axes.plot(
            [_s(out, timeline)] * 2, [row - 0.42, row + 0.42], color="#009E73", lw=2
        )  # it lingered there
    if pod.exited_ns is not None and pod.deleted_ns is not None:
        code = "" if pod.exit_code is None else f"exit {pod.exit_code}"
        ended = _s(pod.exited_ns, timeline)
        # Kubernetes reports an exit in whole seconds: it was somewhere in the one that is drawn.
        latest = min(pod.exited_ns + NS, pod.gone_ns if pod.gone_ns is not None else pod.exited_ns + NS)
        axes.plot([ended, max(_s(latest, timeline), ended)], [row, row], color=_INK, lw=1.2, zorder=3)
        axes.plot(
            ended, row, marker="X", color=_INK, ms=4.5 if small else 6.5, mec="white", mew=0.6, zorder=4
        )
        where = max(ended, _s(pod.gone_ns, timeline) if pod.gone_ns is not None else ended)
        axes.annotate(
            code,
            (where, row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5 if small else 8.5,
            color=_INK,
        )
    if pod.gone_ns is not None:
        axes.plot(
            _s(pod.gone_ns, timeline), row, marker="|", ms=6 if small else 11, mew=2, color=_INK, zorder=3
        )


def _moments(panels: tuple[Axes, ...], grounds: tuple[Axes, ...], timeline: Timeline) -> None:
    """Mark the trigger, the end of the rollout and the control window through all panels."""
    for axes in grounds:
        if timeline.control is not None:
            left, right = _s(timeline.control.from_ns, timeline), _s(timeline.control.to_ns, timeline)
            axes.axvspan(left, right, color=_CONTROL, alpha=0.55, lw=0, zorder=0)
    for axes in panels:
        for t_ns, _, width, style in _lines(timeline):
            axes.axvline(_s(t_ns, timeline), color=_INK, lw=width, ls=style, zorder=5)


def _lines(timeline: Timeline) -> list[tuple[int, str, float, str]]:
    """Return the moments to mark: when, their label or "", line width and style."""
    triggers = _triggers(timeline)
    one = len(triggers) == 1  # of several, only the first has room for its label
    found = [(t_ns, "trigger" if n == 0 else "", 1.6, "-") for n, t_ns in enumerate(triggers)]
    found += [
        (m.t_ns, "`rollout status` done" if one else "", 0.9, ":")
        for m in timeline.marks
        if m.mark is Mark.ROLLOUT_DONE
    ]
    found += [(one.t_ns, f"{one.before} to {one.after} replicas", 0.9, "-.") for one in timeline.scalings]
    others = [one for one in timeline.changes if one.kind not in {"scaled", "autoscaled"}]
    found += [(one.at_ns, f"{one.who or 'somebody'}: {one.kind}", 0.9, "-.") for one in others[:6]]
    if timeline.during_ended:
        found += [(p.span.to_ns, "", 1.1, "--") for p in timeline.phases if p.phase == "during"]
    return found


def _triggers(timeline: Timeline) -> list[int]:
    """Return when each rollout began."""
    if not timeline.triggered:
        return []
    return sorted({m.t_ns for m in timeline.marks if m.mark is Mark.TRIGGER}) or [timeline.zero_ns]


def _s(t_ns: int, timeline: Timeline) -> float:
    return (t_ns - timeline.zero_ns) / NS
