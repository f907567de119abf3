"""The grammar of objectives: `p99<250ms` must hold; `--fail-on 'p99>250ms'` must not. The judge measures them.

    METRIC[{PHASE}] OPERATOR VALUE      p99{during} <= 250ms     failed_share < 0.1%     502 == 0

Metrics: counts (failed, lost, hard_failures, masked, stalled, bad_seconds, requests, or a status: 502, UNAVAILABLE),
failed_share (a percentage or a share), durations (outage, lag, p50 p75 p90 p95 p99, mean, max: latencies of good
responses), and rate (requests per second). Of streams, since the trigger: counts (cut, away: not back at the end,
missed: numbered messages) and durations (reconnect: the longest from a loss to the next message, gap: the longest
between two messages of a stream); requests and latencies are no measures of them.
Phases: before, during, after; without one the whole run after its
warm-up.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.model import GRPC_CODES, GRPC_OK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

COUNTS = ("failed", "lost", "hard_failures", "masked", "stalled", "bad_seconds", "requests")
LATENCIES = ("p50", "p75", "p90", "p95", "p99", "mean", "max")
OF_STREAMS = ("cut", "away", "missed", "reconnect", "gap")
DURATIONS = ("outage", "lag", *LATENCIES, "reconnect", "gap")
METRICS = (*COUNTS, "failed_share", "rate", "outage", "lag", *LATENCIES, *OF_STREAMS)
# A stream's rows are no requests, so of streams these say nothing. Latencies do where messages are answered.
OF_REQUESTS = frozenset({"requests", "failed_share", "rate", "masked", "stalled", "lag"})
# Of gRPC; of HTTP they are numbers.
STATUSES = frozenset({GRPC_OK, *(outcome.value for outcome in GRPC_CODES)})
PHASES = ("before", "during", "after")
BY_PHASE = frozenset({"failed", "failed_share", "bad_seconds", "requests", *LATENCIES})
OF_ALL_FAILURES = frozenset(
    {"failed", "failed_share", "lost"}
)  # metrics that count every kind of failed request

_TERM = re.compile(
    r"\s*([A-Za-z_]\w*|\d{3})\s*(?:\{\s*(\w+)\s*\})?\s*(<=|>=|==|!=|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|%|)\s*"
)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
# Operators that bound a metric from above: if the condition must hold, and if it must not.
_FROM_ABOVE = {True: frozenset({"<", "<=", "=="}), False: frozenset({">", ">=", "!="})}
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

    def bounds_failures(self, *, must: bool) -> bool:
        """Tell whether it bounds the failed requests of all kinds. `must`: it must hold, else it must not.

        A bound on one status, on failures that a retry would have hidden, or on seconds with failures does not.
        """
        if self.metric not in OF_ALL_FAILURES or self.operator not in _FROM_ABOVE[must]:
            return False
        # A share that can never be exceeded bounds nothing.
        return self.metric != "failed_share" or self.holds(1.0) is not must


def condition(text: str) -> str:
    """Return a condition in its normal form. Raises ValueError."""
    return parse(text).text


def parse(text: object) -> Condition:
    """Read a condition. Raises ValueError with a message for the user."""
    match = _TERM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a condition; write 'failed>0', 'p99>250ms' or 'outage>100ms'")
    metric, phase, sign, number, unit = match[1], match[2] or "", match[3], float(match[4]), match[5]
    status = metric.isdigit() or metric in STATUSES
    if not status and metric not in METRICS:
        raise ValueError(
            f"there is no metric {metric!r}; use one of {', '.join(METRICS)}, or a status such as 502 or UNAVAILABLE"
        )
    if phase and (phase not in PHASES or (metric not in BY_PHASE and not status)):
        raise ValueError(
            f"{metric}{{{phase}}} is not measured; phases are {', '.join(PHASES)}, for "
            f"{', '.join(sorted(BY_PHASE))} and statuses"
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


def check_metrics(texts: Iterable[str], *, streams: bool, answered: bool) -> None:
    """Refuse conditions on what a run does not measure. `answered`: messages are sent on the streams, and answered.

    Raises ValueError with a message for the user.
    """
    for one in map(parse, texts):
        if one.metric in OF_STREAMS and not streams:
            raise ValueError(
                f"{one.metric} is measured of streams; hold some (--stream, or a ws:// URL), or drop {one.text}"
            )
        if streams and (one.metric in OF_REQUESTS or (one.metric in LATENCIES and not answered)):
            raise ValueError(
                f"{one.metric} is measured of requests; of streams use failed, lost, {', '.join(OF_STREAMS)}, "
                "outage or bad_seconds"
            )


def conditions(scenario: Mapping[str, Any]) -> tuple[tuple[Condition, bool], ...]:
    """Return a scenario's conditions, each with whether it must hold (`objectives`) or must not (`fail_on`)."""
    texts = [(text, True) for text in scenario.get("objectives") or ()]
    texts += [(text, False) for text in scenario.get("fail_on") or ()]
    return tuple((parse(text), must) for text, must in texts)


def replacing(
    scenario: Mapping[str, Any], *, rollout: bool, most_lost: int | None = None
) -> dict[str, tuple[str, ...]]:
    """Return, by phase, the conditions that replace the default objective, as text for the user.

    The default is that nothing is lost *during* or *after* a rollout, or, without a rollout, in the whole run ("").
    A condition on *before* does not replace it. If up to `most_lost` requests may have been lost, more than are
    certain, a condition on `lost` must hold for that many.
    """
    phases = ("during", "after") if rollout else ("",)
    bounds = [
        (one, must)
        for one, must in conditions(scenario)
        if one.bounds_failures(must=must)
        and (most_lost is None or one.metric != "lost" or one.holds(most_lost) is must)
    ]
    found = {
        phase: tuple(wanted(one, must=must) for one, must in bounds if one.phase in {"", phase})
        for phase in phases
    }
    return {phase: texts for phase, texts in found.items() if texts}


def wanted(condition: Condition, *, must: bool) -> str:
    """Return a condition as every report writes it."""
    return condition.text if must else f"not {condition.text}"
