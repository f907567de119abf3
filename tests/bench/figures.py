"""Figures: what was measured, its bound, the table of them, and which got worse since they were last kept."""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LESS, MORE = "less", "more"
PER_CPU_S, US = "requests per CPU-second", "us of CPU per request"
_NOISE = 0.1  # a median that moves by less than this share says nothing on a shared machine,
_BUSY = 0.25  # cores that others use: with so many, a figure may be theirs
_UNKNOWN = 0.25  # nor does one by less than this, if the old one's rounds were not kept


@dataclass(frozen=True, slots=True)
class Line:
    """One measured number and its bound: at most, or at least. A point of a curve has a place and an owner."""

    what: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    better: str = ""  # LESS or MORE, of a figure of ours without a bound that says so
    rounds: Sequence[float] = ()  # of whose values this is the median
    x: float | None = None
    who: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        low, high = self.at_least, self.at_most
        return (low is None or self.value >= low) and (high is None or self.value <= high)

    @property
    def direction(self) -> str:
        """Which way is better; "" if neither: a rival's figure, or one that has to lie between two bounds."""
        if (self.at_most is None) == (self.at_least is None):
            return self.better
        return LESS if self.at_least is None else MORE


def median(what: str, rounds: Sequence[float], unit: str = "", **other: Any) -> Line:
    """Return the line of the rounds' median, which keeps them, so that a later one can tell noise from a change."""
    return Line(what, statistics.median(rounds), unit, rounds=tuple(rounds), **other)


def table(title: str, lines: Iterable[Line]) -> list[str]:
    """Return a part's table in Markdown: its figures, and then the points of its curves, if it has any."""
    lines = list(lines)
    rows = [f"## {title}", ""]
    if plain := [line for line in lines if line.x is None]:
        rows += ["| | measured | bound | |", "|---|---|---|---|"]
    for line in plain:
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", line.at_least), ("at most", line.at_most))
            if bound is not None
        ]
        verdict = "" if not bounds else "ok" if line.holds else "**missed**"
        rows.append(f"| {line.what} | {shown(line.value)} {line.unit} | {' and '.join(bounds)} | {verdict} |")
    points = [line for line in lines if line.x is not None]
    if points and plain:
        rows.append("")
    return rows + (_points(points) if points else [])


def _points(points: Sequence[Line]) -> list[str]:
    places = sorted({line.x for line in points if line.x is not None})
    owners = list(dict.fromkeys(line.who for line in points))
    at = {(line.who, line.x): shown(line.value) for line in points}
    return [
        f"| {points[0].unit} | {' | '.join(size(x) for x in places)} |",
        f"|---|{'---|' * len(places)}",
        *(f"| {who} | {' | '.join(at.get((who, x), '') for x in places)} |" for who in owners),
    ]


def shown(value: float) -> str:
    """Return a number as people read it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def size(x: float) -> str:
    """Return a place on an axis: 16384 as 16 Ki, 10000 as 10,000."""
    for unit, name in ((1 << 20, " Mi"), (1 << 10, " Ki")):
        if x >= unit and x % unit == 0:
            return f"{x / unit:g}{name}"
    return f"{x:,g}"


def worse(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say which of our figures got worse beyond noise between two sets of parts, each as JSON keeps it.

    Noise is a tenth, and whatever the rounds differ by: only a median that moved by more, out of the reach of the
    other side's rounds, counts. Costs are compared in units of the machine's own speed at the time.
    """
    found = []
    for part, now in new.items():
        before = {line.what: line for line in map(_line, old.get(part, {}).get("lines", []))}
        speed = _slower(old.get(part, {}), now)
        others = now.get("others", 0.0)
        busy = f" (others used {others:.2f} cores meanwhile)" if others > _BUSY else ""
        for line in map(_line, now["lines"]):
            other = before.get(line.what)
            if other is not None and line.direction and _beyond(other, line, speed):
                text = f"{part}: {line.what}: {shown(line.value)} {line.unit}, was {shown(other.value)}"
                if _of_cpu(line) and speed != 1:
                    text += f" on a machine {speed:.2f} times as slow"
                found.append(text + busy)
    return found


def _line(kept: Mapping[str, Any]) -> Line:
    return Line(**kept)


def _slower(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """Return how many times slower the machine has become, if both sides know its speed."""
    before, after = old.get("yardstick_us"), new.get("yardstick_us")
    return float(after / before) if before and after else 1.0


def _of_cpu(line: Line) -> bool:
    return line.unit.startswith((PER_CPU_S, US))


def _beyond(old: Line, new: Line, speed: float) -> bool:
    """Whether the new one is worse; `speed` is how many times slower the machine has become."""
    turn = -1 if new.direction == MORE else 1  # from here on, more is worse
    scale = 1.0 if not _of_cpu(new) else speed if new.direction == LESS else 1 / speed
    before, after = turn * old.value * scale, turn * new.value
    least = _NOISE if old.rounds and new.rounds else _UNKNOWN
    step = max(
        least * abs(before), _NOISE * abs(new.at_most or 0)
    )  # a thousandth of a bound, doubled, is noise
    if after - before <= step:
        return False
    worst = max((turn * value * scale for value in old.rounds), default=before)
    best = min((turn * value for value in new.rounds), default=after)
    return best > worst


def yardstick_us() -> float:
    """Return what a fixed piece of work costs on this machine now, in CPU us: a send, a read, a look-up and a row."""
    one, other = socket.socketpair()
    known, row, buffer = {bytes(150): 1}, Struct("10q"), bytearray(80)
    costs = []
    with one, other:
        for _ in range(7):
            began = time.process_time_ns()
            for n in range(2_000):
                one.send(bytes(150))
                kind = known.get(other.recv(4096), 0)
                row.pack_into(buffer, 0, n, n, n, n, n, n, n, n, n, kind)
            costs.append((time.process_time_ns() - began) / 2_000_000)
    return statistics.median(costs)
