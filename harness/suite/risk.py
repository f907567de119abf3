"""In which order scenarios run when not all fit into the night: what is most likely to lose requests first. Pure.

1. The last verdict was FAIL: is it mended?
2. The manifest changed since the last run: nobody knows what the new one does.
3. All others, the longest untested first; what was never tested comes before them. Only PASS and FAIL count as tested,
   since INCONCLUSIVE proves nothing.

Within 1 and 2, too, the longest untested comes first. What is alike stays in the order in which it was listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.model import Grade

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEVER_NS = -1
_HOUR_NS, _DAY_NS = 3600 * NS, 86400 * NS


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs tell of one scenario. Wall times in ns."""

    grade: str = ""  # of the last run that has a verdict
    graded_ns: int = _NEVER_NS  # when that run began
    tested_ns: int = _NEVER_NS  # when the last run with PASS or FAIL began
    changed: str = ""  # what of the manifest changed since the last run, in words
    lengths_s: tuple[float, ...] = ()  # of earlier runs, the newest first

    @property
    def never(self) -> bool:
        """Whether no run ever told whether it loses requests."""
        return self.tested_ns == _NEVER_NS


@dataclass(frozen=True, slots=True)
class Placed:
    """One scenario's place in the order: its number in the list that was given, and why it stands there."""

    number: int
    why: str


def by_risk(pasts: Sequence[Past], now_ns: int) -> tuple[Placed, ...]:
    """Return all scenarios, those that are most likely to lose requests first."""
    order = sorted(
        range(len(pasts)), key=lambda number: (_class(pasts[number]), pasts[number].tested_ns, number)
    )
    return tuple(Placed(number, why(pasts[number], now_ns)) for number in order)


def as_listed(pasts: Sequence[Past], now_ns: int) -> tuple[Placed, ...]:
    """Return all scenarios in the order in which they were listed, and what is known of each."""
    return tuple(Placed(number, why(past, now_ns)) for number, past in enumerate(pasts))


def why(past: Past, now_ns: int) -> str:
    """Say in a few words what makes a scenario more or less urgent."""
    if past.grade == Grade.FAIL:
        return f"FAIL last time, {_day(past.graded_ns)}"
    if past.changed:
        return f"changed since the last run: {past.changed}"
    if past.never:
        return "never tested" + (f" ({past.grade} on {_day(past.graded_ns)})" if past.grade else "")
    return f"last tested {_ago(now_ns - past.tested_ns)}"


def _class(past: Past) -> int:
    if past.grade == Grade.FAIL:
        return 0
    return 1 if past.changed else 2


def _day(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns / NS, tz=UTC):%Y-%m-%d}"


def _ago(age_ns: int) -> str:
    days, hours = age_ns // _DAY_NS, age_ns // _HOUR_NS
    if days >= 1:
        return f"{days} day{'s' * (days > 1)} ago"
    return f"{hours} hour{'s' * (hours > 1)} ago" if hours >= 1 else "less than an hour ago"
