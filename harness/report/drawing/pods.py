"""The panels of pods: a lane for each, or for many of them how many are in which state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.clock import NS
from harness.report import looks
from harness.report.drawing.lanes import by_state
from harness.report.looks import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from harness.judge.timeline.lifeline import Lifeline
    from harness.report.drawing.scene import Scene

_LINGERED_NS = 300_000_000  # a pod that is longer in the endpoints after its deletion is marked
_NAME = 25  # characters of a pod's name
_ORDER = ("in_endpoints", "ready", "starting", "terminating")  # stacked from below


def lanes(axes: Axes, scene: Scene, pods: Sequence[Lifeline]) -> None:
    """Draw a bar per pod, old ones above new ones."""
    theme = scene.theme
    for row, pod in enumerate(pods):
        _lane(axes, scene, row, pod)
    axes.set_ylim(len(pods) - 0.45, -0.55)
    axes.set_yticks(range(len(pods)), [_name(pod) for pod in pods], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    olds = sum(pod.old for pod in pods)
    for size, first, word in ((olds, 0, "old"), (len(pods) - olds, olds, "new")):
        if size:
            axes.text(1.008, first + size / 2 - 0.5, word, transform=axes.get_yaxis_transform(), rotation=90,
                      va="center", fontsize=9, color=theme.faint)  # fmt: skip
    if 0 < olds < len(pods):
        axes.axhline(olds - 0.5, color=theme.faint, lw=0.8)


def _name(pod: Lifeline) -> str:
    name = looks.label(pod)
    return name if len(name) <= _NAME else "..." + name[3 - _NAME :]


def _lane(axes: Axes, scene: Scene, row: int, pod: Lifeline) -> None:
    """Draw one pod's life, where its process ended, and when it was gone."""
    theme = scene.theme
    left, right = scene.limits
    for segment in pod.segments(scene.timeline.judged.to_ns):
        start, stop = max(scene.s(segment.from_ns), left), min(scene.s(segment.to_ns), right)
        if stop > start:
            axes.barh(row, stop - start, left=start, height=0.66, color=theme.states[segment.state],
                      hatch=STATES[segment.state].hatch, edgecolor=theme.paper, lw=0.4)  # fmt: skip
    _targets(axes, scene, row, pod)
    out = pod.out_of_endpoints_ns
    if out is not None and pod.deleted_ns is not None and out - pod.deleted_ns > _LINGERED_NS:
        at = scene.s(out)
        if left <= at <= right:
            axes.plot([at, at], [row - 0.42, row + 0.42], color=theme.states["in_endpoints"], lw=2.2)
    if pod.gone_ns is not None and left <= scene.s(pod.gone_ns) <= right:
        axes.plot(scene.s(pod.gone_ns), row, marker="|", ms=10, mew=2, color=theme.ink, zorder=3)
    if pod.exited_ns is None or pod.deleted_ns is None or not left <= scene.s(pod.exited_ns) <= right:
        return
    ended = scene.s(pod.exited_ns)
    # Kubernetes reports an exit in whole seconds: it was somewhere in the one that is drawn.
    latest = min(pod.exited_ns + NS, pod.gone_ns if pod.gone_ns is not None else pod.exited_ns + NS)
    axes.plot([ended, max(min(scene.s(latest), right), ended)], [row, row], color=theme.ink, lw=1.2, zorder=3)
    axes.plot(ended, row, marker="X", color=theme.ink, ms=6, mec=theme.paper, mew=0.6, zorder=4)
    if pod.exit_code is not None:
        where = max(ended, scene.s(pod.gone_ns) if pod.gone_ns is not None else ended)
        words = f"exit {pod.exit_code}"
        roomy = where < left + 0.9 * (right - left)
        where = where if roomy else ended
        axes.annotate(words, (where, row), (6, 0) if roomy else (-7, 0), textcoords="offset points", va="center",
                      ha="left" if roomy else "right", fontsize=8, color=theme.ink, zorder=5,
                      bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.75, "pad": 0.6})  # fmt: skip


def _targets(axes: Axes, scene: Scene, row: int, pod: Lifeline) -> None:
    """Draw under a pod's bar what AWS thought of it: a line while its target was healthy, a broken one while it
    drained.
    """
    left, right = scene.limits
    ends = [one.t_ns for one in pod.targets[1:]] + [scene.timeline.judged.to_ns]
    for one, end_ns in zip(pod.targets, ends, strict=False):
        style = {"healthy": "-", "draining": ":"}.get(one.state)
        start, stop = max(scene.s(one.t_ns), left), min(scene.s(end_ns), right)
        if style and stop > start:
            axes.plot([start, stop], [row + 0.41] * 2, color=scene.theme.ink, lw=1.6, ls=style, zorder=3)


def counted(axes: Axes, scene: Scene, pods: Sequence[Lifeline]) -> None:
    """Draw how many of these pods are in which state."""
    theme = scene.theme
    moments, found = by_state(pods, scene.span, scene.timeline.judged.to_ns)
    at = (moments - scene.timeline.zero_ns) / NS
    bottom = np.zeros(len(at), dtype=np.int64)
    for state in _ORDER:
        if not found[state].any():
            continue
        top = bottom + found[state]
        axes.fill_between(at, bottom, top, facecolor=theme.states[state], hatch=STATES[state].hatch,
                          edgecolor=theme.paper, lw=0, step="mid")  # fmt: skip
        bottom = top
    axes.set_ylim(0, 1.08 * max(int(bottom.max(initial=0)), 1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def key(scene: Scene, *, marked: bool) -> list[Any]:
    """Return the key to what is drawn of pods. `marked`: there are lanes, with single moments in them."""
    theme = scene.theme
    found: list[Any] = [
        Patch(facecolor=theme.states[name], hatch=look.hatch, edgecolor=theme.paper, lw=0.4, label=look.label)
        for name, look in STATES.items()
    ]
    if marked:
        found.append(Line2D([], [], color=theme.ink, marker="X", ms=6, ls="", label="exited (to the second)"))
        found.append(Line2D([], [], color=theme.ink, marker="|", ms=9, mew=2, ls="", label="gone"))
    if marked and any(pod.targets for pod in scene.timeline.pods):
        found.append(Line2D([], [], color=theme.ink, lw=1.6, label="AWS target healthy"))
        found.append(Line2D([], [], color=theme.ink, lw=1.6, ls=":", label="AWS target draining"))
    if scene.timeline.triggered:
        found.append(Patch(facecolor=theme.during, edgecolor=theme.faint, lw=0.4, label="the rollout"))
    if scene.timeline.control is not None:
        found.append(Patch(facecolor=theme.control, edgecolor=theme.faint, lw=0.4, label="control window"))
    return found
