"""A run beside earlier ones: what one measure usually is, and what it is now. Drawn in report.html."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beside:
    """One measure. `nights` has a value for each earlier run; `bound` is what one more of them would stay below by
    chance, None with too few of them. Units: "count" a rollout, "ns".
    """

    name: str
    unit: str
    now: float
    usual: float
    nights: tuple[float, ...]
    bound: float | None
    worse: bool
    words: str  # all of it, in words
