"""The record of a comparison: everything that a report of it shows, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.judge.comparison.sides import Side
    from harness.judge.verdict.fieldchanges import FieldChange

FORMAT = 1  # of what `zdtest compare --format json` prints


class Conclusion(StrEnum):
    """What AFTER is, compared with BEFORE, by the requests that rollouts lose."""

    BETTER = "better"
    WORSE = "worse"
    NO_WORSE = "no_worse"  # than a bound that is small
    CANNOT_TELL = "cannot_tell"
    NOT_COMPARABLE = "not_comparable"  # the sides differ so much that the numbers mean different things


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: words, ready to print."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure, over the rollouts of both sides that have it.

    `before` and `after` are means over rollouts for counts and shares, medians for times; `low` to `high` is the 95 %
    interval of after - before, None where there are too few rollouts for one. Units: "count" a rollout, "share" of
    rollouts, "ns".
    """

    measure: str  # an id: lost, lossy, bad_seconds, outage, p50, p95, p99, reach, rollout
    name: str
    unit: str
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    rollouts_before: int  # that have it
    rollouts_after: int
    p: float | None  # two-sided; None where it cannot be tested
    corrected_p: float | None  # for several measures, by Holm; the primary measure stands by itself
    least_p: float | None  # the least that so many rollouts can give
    direction: int = 0  # -1: AFTER is less, 1: more, beyond chance; 0: cannot be told

    @property
    def primary(self) -> bool:
        """Whether the conclusion rests on it."""
        return self.measure == "lost"


@dataclass(frozen=True, slots=True)
class CauseChange:
    """What became of one cause from side to side. Counts are of hits, and of the rollouts that had it."""

    ids: tuple[str, ...]
    name: str
    what: str  # appeared | vanished | more | less | same, by its share of what was lost
    hits_before: int
    hits_after: int
    rollouts_before: int
    rollouts_after: int
    p: float  # Fisher's exact test on the rollouts that had it


@dataclass(frozen=True, slots=True)
class ManifestChange:
    """A field that a person changed, and the changes of causes that it explains, by cause: "B1 vanished"."""

    change: FieldChange
    explains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class More:
    """What would tell: so many rollouts more on each side, and how long that takes; 0: nothing within reason would."""

    rollouts: int
    length_ns: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, compared."""

    format: int
    conclusion: Conclusion
    sentence: str  # the conclusion in plain words
    evidence: tuple[str, ...]  # what it rests on, a sentence each
    level: float  # of the test of the primary measure, and of all others together
    unit: str  # what was permuted: "rollouts" | "rollouts within blocks" | "runs"
    before: Side
    after: Side
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]  # the primary one first
    causes: tuple[CauseChange, ...]
    manifest: tuple[ManifestChange, ...]
    manifest_note: str  # what to say where `manifest` is empty
    warnings: tuple[str, ...] = ()
    more: More | None = None  # where it cannot be told
    bound: float | None = None  # AFTER loses at most so many requests a rollout more, at 95 %
    also: tuple[str, ...] = field(default=())  # what else differs beyond chance, a sentence each
