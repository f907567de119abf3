"""How kinds of failures and states of pods are drawn, and the words in the picture.

Colours are Okabe and Ito's; each also has a hatch or a lightness of its own, so that they differ in a grey print.
Hatches are of lines: one of dots makes an SVG file ten times as large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.verdict.judgement import Judgement


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind of thing is drawn."""

    label: str
    colour: str
    hatch: str = ""


FAILURES: Mapping[str, Look] = {
    "502": Look("502", "#D55E00"),
    "503": Look("503", "#F0E442", "////"),
    "504": Look("504", "#0072B2", "----"),
    "UNAVAILABLE": Look("UNAVAILABLE", "#F0E442", "xxxx"),
    "DEADLINE_EXCEEDED": Look("DEADLINE_EXCEEDED", "#0072B2", "||||"),
    "status": Look("other statuses", "#56B4E9", "\\\\\\\\"),
    "none": Look("no whole response", "#222222"),
}
STATES: Mapping[str, Look] = {
    "starting": Look("starting", "#FFF3C4", "////"),
    "ready": Look("up, not in endpoints", "#9AD9C3"),
    "in_endpoints": Look("in endpoints", "#009E73"),
    "terminating": Look("terminating", "#CC79A7", "\\\\\\"),
}


def subtitle(judgement: Judgement) -> str:
    """Return what was run, cut to the width of the picture."""
    about = judgement.about
    parts = [
        about.name,
        about.workload,
        about.targets[0] if about.targets else "",
        about.model.split(", 1 request")[0],
        about.began,
    ]
    words = "   ".join(part for part in parts if part)
    return words if len(words) <= 165 else words[:162] + "..."


def label(pod: Lifeline) -> str:
    """Return a pod's name, cut to the margin; the end is kept, because names differ there."""
    name = pod.name if len(pod.name) <= 30 else "..." + pod.name[-27:]
    return f"{name} (restarts {pod.restarts})" if pod.restarts else name


def group(kind: str) -> str:
    """Return which of FAILURES a kind is drawn as."""
    return kind if kind in FAILURES else "status" if kind.isdigit() or kind.isupper() else "none"
