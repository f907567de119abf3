"""What was left of each protection: the time that the rollouts used of it, beside the time that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import lasting
from harness.report.comparison.page import svg
from harness.report.comparison.page.timelines import SIDES
from harness.report.page.markup import Markup, joined, tag

if TYPE_CHECKING:
    from harness.judge.advice.margins import Margin
    from harness.judge.comparison.sides import Side

_HEIGHT = 22
_ABOUT = {
    "preStop": "how long requests still came to a pod that was to go, of its preStop",
    "grace": "how long a pod took to end, of its grace period",
    "readiness": "how soon after its start a new pod was ready",
    "keep-alive": "idle connections that the app closes",
}


def render(before: Side, after: Side) -> Markup | None:
    """Return a row for each protection and side; None where no rollout knows of any."""
    sides = (before, after)
    names = list(
        dict.fromkeys(margin.what for side in sides for one in side.rollouts for margin in one.headroom)
    )
    groups = [group for what in names if (group := _group(what, sides)) is not None]
    return joined(groups) if groups else None


def _of(side: Side, what: str) -> list[Margin]:
    return [margin for one in side.rollouts for margin in one.headroom if margin.what == what]


def _group(what: str, sides: tuple[Side, Side]) -> Markup | None:
    margins = [_of(side, what) for side in sides]
    lengths = [n for side in margins for one in side for n in (one.used_ns, one.of_ns) if n is not None]
    barred = any(one.of_ns is not None for side in margins for one in side)
    top = max(lengths, default=0) * 1.04
    if not barred and len({one.sentence for side in margins for one in side}) <= 1 and all(margins):
        return None  # the same on both sides, and nothing to measure
    rows = [_row(found, number, top if barred else 0) for number, found in enumerate(margins)]
    return tag("div", tag("h3", what, " ", tag("small", _ABOUT.get(what, ""))), *rows, class_="protection")


def closest(margins: list[Margin]) -> Margin | None:
    """Return the one of which least was left; those that cannot be told come last."""

    def left(one: Margin) -> float:
        return float("inf") if one.used_ns is None or one.of_ns is None else one.of_ns - one.used_ns

    return min(margins, key=left, default=None)


def _row(margins: list[Margin], number: int, top: float) -> Markup:
    least = closest(margins)
    words = least.sentence if least else "none, or not measured"
    inside: list[Markup | None] = []
    if top and least is not None and least.of_ns is not None:
        used = [one.used_ns for one in margins if one.used_ns is not None]
        inside = [
            svg.band(0, least.of_ns / top, _HEIGHT, f"has s{number}"),
            svg.band(0, max(used, default=0) / top, _HEIGHT, f"used s{number}"),
            *(svg.upright(n / top, _HEIGHT, f"each s{number}") for n in used),
        ]
        said = (
            f"{SIDES[number]}: {lasting(max(used))} used of {lasting(least.of_ns)}" if used else SIDES[number]
        )
        bar = tag("svg", *inside, class_="plot", width="100%", height=_HEIGHT, role="img", aria_label=said)
    else:
        bar = None
    return tag(
        "div",
        tag("div", tag("b", SIDES[number], class_=f"side s{number}"), class_="what"),
        tag("div", bar, tag("p", words), class_="gauge"),
        class_="row",
    )
