"""Both sides on one time axis, aligned at the trigger: what failed, what happened to pods, and what went well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.comparison.picture import MOMENTS
from harness.judge.wording import count, lasting
from harness.model import Phase
from harness.report.comparison.page import svg
from harness.report.page.markup import Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.judge.comparison.picture import Drawn, DrawnSide, Overlay

SIDES = ("BEFORE", "AFTER")
_HIGH, _LOW, _LANE = 96, 120, 15
_WORDS = {
    "ready": "new pod ready",
    "deleted": "old pod deleted",
    "out of endpoints": "out of endpoints",
    "exited": "old pod exited",
}
_POINTS = 400  # of a line of good answers, at most
_GROUPS = (1, 2, 5, 10)  # of bins that make a point of it
_ENOUGH = 40  # answers in a point: of fewer, chance alone makes a saw; but no point is longer than a second for that
_NARROWEST = 0.09  # share of the width on which a phase's name has room


def render(overlay: Overlay) -> Markup:
    """Return the panels, one under the other."""
    ticks = svg.seconds(overlay.from_ns, overlay.from_ns + overlay.count * overlay.width_ns)
    high = max((int(one.failed.max(initial=0)) for side in overlay.sides for one in side.rollouts), default=0)
    rows = []
    for number, side in enumerate(overlay.sides):
        rows += [_failed(overlay, side, number, ticks, high), _moments(overlay, side, number, ticks)]
    return joined([*rows, _good(overlay, ticks), _axis(ticks)])


def hovered(overlay: Overlay) -> dict[str, Any]:
    """Return the numbers that are read out at a place: of each rollout, by bin. Empty bins at the end are left out."""
    return {
        "from": overlay.from_ns / NS,
        "width": overlay.width_ns / NS,
        "count": overlay.count,
        "every": every(overlay),
        "sides": [
            {
                "typical": side.typical,
                "last": _last(overlay, side),
                "rollouts": [
                    {
                        "place": one.place,
                        "label": label(one),
                        "lost": one.one.lost,
                        "known": _whole(one, overlay),
                        "good": [good for _, good in _grouped(one, overlay)],
                        "failed": _sparse(one.failed),
                    }
                    for one in side.rollouts
                ],
            }
            for side in overlay.sides
        ],
    }


def label(one: Drawn) -> str:
    """Return a rollout's name: that of its run, and its number in it."""
    return f"{one.one.run}, rollout {one.one.number}"


def place(overlay: Overlay, at_ns: float) -> float:
    """Return a time from the trigger as a share of the width."""
    return (at_ns - overlay.from_ns) / (overlay.count * overlay.width_ns)


def _last(overlay: Overlay, side: DrawnSide) -> int:
    """Return the last bin of a failure, or of a moment at which an old pod began to go; -1 without any."""
    bins = [int(one.failed.nonzero()[0][-1]) for one in side.rollouts if one.failed.any()]
    bins += [
        int(place(overlay, moment.at_ns) * overlay.count)
        for one in side.rollouts
        for moment in one.moments
        if moment.what != "exited"
    ]
    return max((n for n in bins if n < overlay.count), default=-1)


def every(overlay: Overlay) -> int:
    """Return how many bins of good answers are drawn as one: a line of more points is a band of noise."""
    bins = [one.good[slice(*one.known)] for side in overlay.sides for one in side.rollouts]
    total, of = sum(int(part.sum()) for part in bins), sum(len(part) for part in bins)
    for k in _GROUPS:
        enough = total * k >= _ENOUGH * of or k * overlay.width_ns >= NS
        if overlay.count <= _POINTS * k and enough:
            return k
    return _GROUPS[-1]


def _whole(one: Drawn, overlay: Overlay) -> tuple[int, int]:
    """Return the groups of bins in all of which the load was measured: from one, up to another."""
    k = every(overlay)
    return -(-one.known[0] // k), max(one.known[1] // k, -(-one.known[0] // k))


def _grouped(one: Drawn, overlay: Overlay) -> list[tuple[int, int]]:
    """Return each of those groups with its good answers."""
    k = every(overlay)
    return [(n, int(one.good[n * k : (n + 1) * k].sum())) for n in range(*_whole(one, overlay))]


def _sparse(column: NDArray[Any]) -> dict[str, int]:
    return {str(n): int(column[n]) for n in column.nonzero()[0]}


def _row(side: int | None, title: str, note: str, chart: Markup, class_: str = "") -> Markup:
    head = tag("h3", tag("b", SIDES[side], class_=f"side s{side}") if side is not None else None, " ", title)
    return tag(
        "div",
        tag("div", head, tag("small", note) if note else None, class_="what"),
        chart,
        class_=f"row {class_}".strip(),
    )


def _failed(
    overlay: Overlay, side: DrawnSide, number: int, ticks: Sequence[tuple[float, str]], high: int
) -> Markup:
    top = svg.nice(high * 1.08)
    total = [sum(int(one.failed.sum()) for one in side.rollouts), len(side.rollouts)]
    paths = [
        tag(
            "path",
            d=svg.steps(one.failed.tolist(), top, _HIGH, closed=True),
            class_=f"r area s{number}{' bold' if one.place == side.typical else ''}",
            data_side=number,
            data_rollout=one.place,
        )
        for one in _boldest_last(side)
        if one.failed.any()
    ]
    inside = [
        *_phases(overlay, side.bold, _HIGH, named=True),
        svg.ground(place(overlay, 0), _HIGH, ticks),
        svg.level(_HIGH - 0.5, "base"),
        svg.stretched(overlay.count, _HIGH, *paths),
    ]
    if not paths:
        inside.append(svg.words("no failed request", 0.5, _HIGH / 2 + 4, "nothing"))
    said = f"{SIDES[number]}: failed requests over time: {total[0]:,} in {count(total[1], 'rollout')}"
    axis: list[tuple[float, str]] = [(_HIGH - 6, "0")]
    if high:
        axis += [(7, f"{top:g}")] + ([(_HIGH / 2, f"{top / 2:g}")] if (top / 2).is_integer() else [])
    return _row(
        number,
        "failed requests",
        f"per {_per(overlay.width_ns)}",
        svg.chart(said, _HIGH, inside, axis),
    )


def _per(width_ns: int) -> str:
    return "second" if width_ns == NS else lasting(width_ns)


def _boldest_last(side: DrawnSide) -> list[Drawn]:
    """Return the rollouts in the order in which they are painted."""
    return sorted(side.rollouts, key=lambda one: (one.place == side.typical, one.place))


def _phases(overlay: Overlay, one: Drawn, height: int, *, named: bool = False) -> list[Markup | None]:
    found: list[Markup | None] = []
    for phase, from_ns, to_ns in one.phases:
        begin, end = max(place(overlay, from_ns), 0.0), min(place(overlay, to_ns), 1.0)
        found.append(svg.band(begin, end, height, f"phase {phase.value}"))
        if named and end - begin > _NARROWEST:
            found.append(svg.words(phase.value, (begin + end) / 2, 13, "phase-name"))
    return found


def _moments(overlay: Overlay, side: DrawnSide, number: int, ticks: Sequence[tuple[float, str]]) -> Markup:
    """Return a lane for each sort of moment, with those of one rollout; a script shows another one's."""
    height = _LANE * len(MOMENTS)
    lanes = [
        tag("path", d=_ticks(overlay, one), class_=f"lanes moment s{number}", data_side=number, data_rollout=one.place,
            visibility=None if one.place == side.typical else "hidden")
        for one in side.rollouts
    ]  # fmt: skip
    typical = side.bold
    counted = {what: sum(moment.what == what for moment in typical.moments) for what in MOMENTS}
    label_ = ", ".join(f"{count(n, _WORDS[what])}" for what, n in counted.items() if n) or "none seen"
    inside = [
        *_phases(overlay, typical, height),
        svg.ground(place(overlay, 0), height, ticks),
        *(svg.level(lane * _LANE, "grid") for lane in range(len(MOMENTS) + 1)),
        svg.stretched(overlay.count, height, *lanes),
    ]
    chart = svg.chart(f"{SIDES[number]}: moments of pods: {label_}", height, inside, class_="lanes-chart")
    names = tag("ul", *(tag("li", _WORDS[what]) for what in MOMENTS), class_="lane-names", aria_hidden="true")
    return tag("div", tag("div", names, class_="what"), chart, class_="row")


def _ticks(overlay: Overlay, one: Drawn) -> str:
    """Return the path of a tick for each moment, each sort in its lane."""
    found = []
    for moment in one.moments:
        x = place(overlay, moment.at_ns) * overlay.count
        if 0 <= x <= overlay.count:
            found.append(f"M{x:.1f} {MOMENTS.index(moment.what) * _LANE + 2}v{_LANE - 4}")
    return "".join(found)


def _good(overlay: Overlay, ticks: Sequence[tuple[float, str]]) -> Markup:
    """Return the good answers of both sides a second: a line for each rollout, and a bold one."""
    k = every(overlay)
    a_second = NS / overlay.width_ns / k
    high = max(
        (n for side in overlay.sides for one in side.rollouts for _, n in _grouped(one, overlay)), default=0
    )
    top = svg.nice(high * a_second)
    paths = []
    for bold in (False, True):
        for number, side in enumerate(overlay.sides):
            for one in side.rollouts:
                if (one.place == side.typical) is not bold:
                    continue
                points = [
                    ((n + 0.5) * k, _LOW - _LOW * good * a_second / top) for n, good in _grouped(one, overlay)
                ]
                paths.append(
                    tag("path", d=svg.curve(points), class_=f"r line s{number}{' bold' if bold else ''}",
                        data_side=number, data_rollout=one.place)
                )  # fmt: skip
    inside = [
        svg.ground(place(overlay, 0), _LOW, ticks),
        svg.level(_LOW / 2),
        svg.level(_LOW - 0.5, "base"),
        svg.stretched(overlay.count, _LOW, *paths),
    ]
    axis = [(_LOW - 6, "0"), (_LOW / 2, f"{top / 2:g}"), (7, f"{top:g}")]
    return _row(
        None,
        "Good answers",
        "per second, both sides",
        svg.chart("Good answers a second over time, both sides", _LOW, inside, axis),
    )


def _axis(ticks: Sequence[tuple[float, str]]) -> Markup:
    height = 34
    inside = [
        *(svg.words(said, share, 13, "tick tick-at") for share, said in ticks),
        svg.words("seconds from the trigger", 0.5, 30, "tick"),
    ]
    return tag(
        "div",
        tag("div", class_="what"),
        tag(
            "div",
            tag("svg", class_="axis", width=46, height=height, aria_hidden="true"),
            tag("svg", *inside, class_="plot", width="100%", height=height, aria_hidden="true"),
            class_="chart",
        ),
        class_="row ticks",
    )


def phase_words(phase: Phase) -> str:
    """Return what a phase is, in words."""
    return {
        Phase.BEFORE: "Before the rollout",
        Phase.DURING: "During the rollout",
        Phase.AFTER: "After the rollout",
    }[phase]
