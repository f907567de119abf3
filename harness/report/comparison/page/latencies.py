"""How long good answers took, as percentiles of both sides over each other: the tail is as wide as the middle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.judge.comparison.picture import PHASES
from harness.judge.wording import count, lasting
from harness.report.comparison.page import svg
from harness.report.comparison.page.timelines import SIDES, phase_words
from harness.report.page.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.comparison.picture import Overlay
    from harness.judge.picture.aligned import Latencies
    from harness.model import Phase

_HEIGHT = 190
_FINE = 10  # points in each power of ten of the share that took longer
_NAMES = ("50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %")


def render(overlay: Overlay) -> Markup:
    """Return a chart for each phase, all of one scale."""
    every = [one for side in overlay.sides for rollout in side.rollouts for one in rollout.latencies]
    if not every:
        return tag("p", "No answer was good.")
    powers = svg.decades(min(one.at(0.5) for one in every) * 0.8, max(one.at(1) for one in every))
    nines = min(max(2, *(math.ceil(math.log10(one.total)) for one in every)), 6)
    return tag("div", *(_phase(overlay, phase, powers, nines) for phase in PHASES), class_="three")


def _phase(overlay: Overlay, phase: Phase, powers: tuple[int, int], nines: int) -> Markup:
    pooled = [next((one for one in side.latencies if one.phase is phase), None) for side in overlay.sides]
    thin, bold = [], []
    for number, side in enumerate(overlay.sides):
        for rollout in side.rollouts:
            its = next((one for one in rollout.latencies if one.phase is phase), None)
            if its is not None and len(side.rollouts) > 1:
                thin.append(_curve(its, powers, nines, f"r line s{number}", (number, rollout.place)))
        of_all = pooled[number]
        if of_all is not None:
            bold.append(_curve(of_all, powers, nines, f"r line pooled s{number}"))
    low, high = powers
    shares = [n / nines for n in range(1, nines + 1)]
    heights = [(power, _y(10.0**power, powers)) for power in range(low, high + 1)]
    inside = [
        *(svg.upright(share, _HEIGHT, "grid") for share in (math.log10(2) / nines, *shares)),
        *(svg.level(y) for _, y in heights),
        svg.stretched(1000, _HEIGHT, *thin, *bold),
    ]
    said = "; ".join(
        f"{SIDES[number]} {_said(one)}" if one else f"{SIDES[number]} no good answer"
        for number, one in enumerate(pooled)
    )
    axis = [(max(y, 7), svg.power(power)) for power, y in heights]
    axis[0] = (_HEIGHT - 7, axis[0][1])
    names = [(math.log10(2) / nines, _NAMES[0]), *((n / nines, _NAMES[n]) for n in range(1, min(nines, 6)))]
    return tag(
        "figure",
        tag("figcaption", phase_words(phase)),
        svg.chart(f"{phase_words(phase)}, latency of good answers: {said}", _HEIGHT, inside, axis),
        tag(
            "div",
            tag("svg", class_="axis", width=46, height=18, aria_hidden="true"),
            tag(
                "svg",
                *(svg.words(name, share, 13, "tick") for share, name in names),
                class_="plot",
                width="100%",
                height=18,
                aria_hidden="true",
            ),
            class_="chart",
        ),
        tag(
            "table",
            tag("thead", tag("tr", tag("th", ""), *(tag("th", word, scope="col") for word in ("p50", "p99", "max")))),
            tag(
                "tbody",
                *(
                    tag("tr", tag("th", SIDES[number], scope="row", class_=f"side s{number}"),
                        *(tag("td", lasting(one.at(share)) if one else "-") for share in (0.5, 0.99, 1)))
                    for number, one in enumerate(pooled)
                ),
            ),
            class_="few",
        ),
    )  # fmt: skip


def _said(one: Latencies) -> str:
    return f"p50 {lasting(one.at(0.5))}, p99 {lasting(one.at(0.99))}, of {count(one.total, 'answer')}"


def _y(latency_ns: float, powers: tuple[int, int]) -> float:
    low, high = powers
    share = (math.log10(max(latency_ns, 1)) - low) / (high - low)
    return _HEIGHT - _HEIGHT * min(max(share, 0.0), 1.0)


def _curve(
    one: Latencies, powers: tuple[int, int], nines: int, class_: str, whose: tuple[int, int] | None = None
) -> Markup:
    side, rollout = whose if whose is not None else (None, None)
    points = [(1000 * x / nines, _y(one.at(share), powers)) for x, share in _places(one.total, nines)]
    return tag("path", d=svg.curve(points), class_=class_, data_side=side, data_rollout=rollout)


def _places(total: int, nines: int) -> Iterator[tuple[float, float]]:
    """Yield how far right, in powers of ten of 1 / (1 - p), and p: as far as so many answers can tell."""
    last = min(math.log10(total), nines) if total > 1 else 0.0
    for n in range(math.floor(last * _FINE) + 1):
        yield n / _FINE, 1 - 10 ** (-n / _FINE)
    yield last, 1 - 10**-last
