"""What an objective looks like: `p99<250ms` must hold; `--fail-on 'p99>250ms'` must not. Grammar only; the judge measures.

    METRIC[{PHASE}] OPERATOR VALUE      p99{during} <= 250ms     failed_share < 0.1%     502 == 0

Metrics: counts (failed, lost, hard_failures, masked, stalled, bad_seconds, requests, or a status such as 502), failed_share
(a percentage or a share), durations (outage, lag, p50 p75 p90 p95 p99, mean, max: latencies of good responses), and rate
(requests per second). Phases: before, during, after; without one the whole run after its warm-up.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = ("failed", "lost", "hard_failures", "masked", "stalled", "bad_seconds", "requests")
LATENCIES = ("p50", "p75", "p90", "p95", "p99", "mean", "max")
DURATIONS = ("outage", "lag", *LATENCIES)
METRICS = (*COUNTS, "failed_share", "rate", *DURATIONS)
PHASES = ("before", "during", "after")
BY_PHASE = frozenset({"failed", "failed_share", "bad_seconds", "requests", *LATENCIES})
OF_FAILURES = frozenset(
    {"failed", "failed_share", "lost", "hard_failures", "masked", "bad_seconds", "outage"}
)

_TERM = re.compile(
    r"\s*([a-z_]\w*|\d{3})\s*(?:\{\s*(\w+)\s*\})?\s*(<=|>=|==|!=|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|%|)\s*"
)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_UNITS = {"us": NS / 1e6, "ms": NS / 1e3, "s": NS, "m": 60 * NS}


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one metric with a bound: a count, a share, a rate, or nanoseconds."""

    text: str
    metric: str
    phase: str  # "" for the whole run
    operator: str
    bound: float

    def holds(self, value: float) -> bool:
        """Tell whether the comparison is true of a measured value."""
        return _OPERATORS[self.operator](value, self.bound)

    @property
    def of_failures(self) -> bool:
        """Whether it says how much may fail: then it stands in place of the default objective."""
        return self.metric in OF_FAILURES or self.metric.isdigit()


def condition(text: str) -> str:
    """Return a condition as it is written down. Raises ValueError."""
    return parse(text).text


def parse(text: object) -> Condition:
    """Read a condition. Raises ValueError with a message for the user."""
    match = _TERM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no condition; write 'failed>0', 'p99>250ms' or 'outage>100ms'")
    metric, phase, sign, number, unit = match[1], match[2] or "", match[3], float(match[4]), match[5]
    if not metric.isdigit() and metric not in METRICS:
        raise ValueError(
            f"there is no metric {metric!r}; there are {', '.join(METRICS)}, and statuses such as 502"
        )
    if phase and (phase not in PHASES or (metric not in BY_PHASE and not metric.isdigit())):
        raise ValueError(
            f"{metric}{{{phase}}} is not measured; phases are {', '.join(PHASES)}, for {', '.join(sorted(BY_PHASE))} and statuses"
        )
    if metric in DURATIONS:
        if unit not in _UNITS:
            raise ValueError(f"{metric} is a duration; write {metric}{sign}{match[4]}ms or {match[4]}s")
        number *= _UNITS[unit]
    elif unit == "%" and metric == "failed_share":
        number /= 100
    elif unit:
        raise ValueError(f"{metric} has no unit {unit!r}; write {metric}{sign}{match[4]}")
    return Condition(" ".join(str(text).split()), metric, phase, sign, number)
