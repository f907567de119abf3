"""Requests lost per rollout: a dot for each rollout, and each side's mean with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.comparison.picture import mean_lost
from harness.judge.wording import count
from harness.report.comparison.page import svg
from harness.report.comparison.page.timelines import SIDES
from harness.report.page.markup import Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.comparison.picture import Mean
    from harness.judge.comparison.rollouts import OneRollout
    from harness.judge.comparison.sides import Side

_RADIUS, _STEP, _BELOW = 5, 11, 26
_HIGHEST = 14  # dots above each other; more lie on one another
_NEAR = 0.016  # share of the width within which two dots would touch


def render(before: Side, after: Side, *, by_run: bool) -> Markup:
    """Return a row of dots for each side, on one scale; `by_run`: whole runs were exchanged in the tests."""
    sides = (before, after)
    high = max((n for side in sides for n in side.lost), default=0)
    top = svg.nice(high * 1.04)
    rows = [_row(side, number, top, mean_lost(side, by_run=by_run)) for number, side in enumerate(sides)]
    ticks = [(share, f"{share * top:,.0f}") for share in _shares(top)]
    axis = tag(
        "div",
        tag("div", class_="what"),
        tag(
            "div",
            tag(
                "svg",
                *(svg.words(said, _inset(share), 13, "tick") for share, said in ticks),
                svg.words("requests lost in a rollout", 0.5, 30, "tick"),
                class_="plot",
                width="100%",
                height=34,
                aria_hidden="true",
            ),
            class_="chart",
        ),
        class_="row ticks",
    )
    return joined([*rows, axis])


def _shares(top: float) -> list[float]:
    """Return where the axis has ticks: at whole numbers, as there is no half request."""
    parts = next((parts for parts in (4, 5, 3, 2) if top % parts == 0), 1)
    return [n / parts for n in range(parts + 1)]


def _inset(share: float) -> float:
    """Return a place that leaves room for half a dot at both ends."""
    return 0.02 + 0.96 * share


def _row(side: Side, number: int, top: float, mean: Mean | None) -> Markup:
    places, most = _stacked(side.rollouts, top)
    height = _BELOW + _STEP * most + 8
    dots = [
        tag(
            "circle",
            tag("title", f"{one.run}, rollout {one.number}: {count(one.lost, 'request')} lost"),
            cx=svg.across(_inset(one.lost / top)),
            cy=f"{height - _BELOW - _RADIUS - 3 - _STEP * level:g}",
            r=_RADIUS,
            class_=f"dot s{number}",
            data_side=number,
            data_rollout=place,
        )
        for place, (one, level) in enumerate(zip(side.rollouts, places, strict=True))
    ]
    ground = height - _BELOW
    inside = [
        *(svg.upright(_inset(share), ground, "grid") for share in _shares(top)),
        svg.level(ground, "base"),
        *dots,
        *(_interval(mean, top, ground + 12, number) if mean and len(side.rollouts) > 1 else ()),
    ]
    said = f"{SIDES[number]}: {words(side, mean)}: " + ", ".join(f"{n:,}" for n in sorted(side.lost))
    head = tag(
        "h3", tag("b", SIDES[number], class_=f"side s{number}"), f" {count(len(side.rollouts), 'rollout')}"
    )
    return tag(
        "div",
        tag("div", head, tag("small", words(side, mean)), class_="what"),
        tag(
            "div",
            tag("svg", *inside, class_="plot", width="100%", height=height, role="img", aria_label=said),
            class_="chart",
        ),
        class_="row dots",
    )


def words(side: Side, mean: Mean | None) -> str:
    """Say what a side lost per rollout."""
    if mean is None:
        return "no rollout that counts"
    if not mean.mean:
        return "none lost" if len(side.rollouts) == 1 else "none lost in any"
    if len(side.rollouts) == 1:
        return f"{side.lost[0]:,} lost"
    interval = (
        "" if mean.low is None or mean.high is None else f" (95 %: {figure(mean.low)} to {figure(mean.high)})"
    )
    return f"mean {figure(mean.mean)}{interval}; {side.lossy} of {len(side.rollouts)} lost requests"


def figure(value: float) -> str:
    """Return a mean with as many digits as it is worth."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _interval(mean: Mean, top: float, y: int, number: int) -> list[Markup]:
    found = []
    if mean.low is not None and mean.high is not None:
        found.append(
            tag("line", x1=svg.across(_inset(mean.low / top)), x2=svg.across(_inset(mean.high / top)),
                y1=y, y2=y, class_=f"interval s{number}")
        )  # fmt: skip
    at = svg.across(_inset(mean.mean / top))
    found.append(tag("line", x1=at, x2=at, y1=y - 7, y2=y + 7, class_=f"mean s{number}"))
    return found


def _stacked(rollouts: Sequence[OneRollout], top: float) -> tuple[list[int], int]:
    """Return how high each dot lies above those that it would touch, and how many lie above each other at most."""
    placed: list[tuple[float, int]] = []
    found = [0] * len(rollouts)
    for n in sorted(range(len(rollouts)), key=lambda n: rollouts[n].lost):
        at = rollouts[n].lost / top
        taken = {level for share, level in placed if at - share < _NEAR}
        found[n] = next((level for level in range(_HIGHEST) if level not in taken), _HIGHEST - 1)
        placed.append((at, found[n]))
    return found, max(found, default=0) + 1
