"""The table of a ladder: one row per step, one column per class of answers. Plain ASCII."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.judge.wording import lasting
from harness.model import GRPC_OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.verdict.judgement import Judgement

COLUMNS = ("step", "requests", "2xx", "4xx", "5xx", "others", "max latency", "causes", "verdict")
_RIGHT = {"requests", "2xx", "4xx", "5xx", "others", "max latency"}


@dataclass(frozen=True, slots=True)
class Row:
    """One run of one step."""

    requests: int
    classes: tuple[int, int, int, int]  # 2xx, 4xx, 5xx, and everything else
    longest_ns: int
    causes: tuple[str, ...]  # of the rollout, most frequent first
    verdict: str


def row(judgement: Judgement) -> Row:
    """Return the row of a judgement."""
    numbers = judgement.numbers
    by = dict.fromkeys("245", 0)
    for status, n in numbers.statuses.items():
        first = "2" if status == GRPC_OK else status[0]
        if first in by:
            by[first] += n
    latencies = [numbers.latency, *(kind.latency for kind in numbers.kinds)]
    return Row(
        requests=numbers.requests,
        classes=(by["2"], by["4"], by["5"], numbers.requests - sum(by.values())),
        longest_ns=max((latency.max_ns for latency in latencies if latency), default=0),
        causes=tuple("/".join(cause.ids) for cause in judgement.causes),
        verdict=judgement.grade.value,
    )


def cells(step: str, runs: Sequence[Row]) -> tuple[str, ...]:
    """Return one step's row: of several runs the median, and the range if they differ."""
    numbers = [
        _spread([run.requests for run in runs]),
        *(_spread([run.classes[n] for run in runs]) for n in range(4)),
    ]
    longest = [run.longest_ns for run in runs]
    latency = (
        lasting(longest[0])
        if len(runs) == 1
        else f"{lasting(median(longest))} ({lasting(min(longest))} - {lasting(max(longest))})"
    )
    causes = dict.fromkeys(cause for run in runs for cause in run.causes)
    verdicts = [run.verdict for run in runs]
    counted = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    verdict = ", ".join(f"{n} {name}" for name, n in counted.items()) if len(runs) > 1 else verdicts[0]
    return (step, *numbers, latency, ", ".join(causes) or "-", verdict)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the whole table."""
    whole = [COLUMNS, *everywhere(tuple(rows), for_line)]
    widths = [max(len(line[n]) for line in whole) for n in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for cell, width, name in zip(line, widths, COLUMNS, strict=True)
        ).rstrip()
        for line in whole
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _spread(values: Sequence[int]) -> str:
    middle = f"{round(median(values)):,}"
    return middle if min(values) == max(values) else f"{middle} ({min(values):,} - {max(values):,})"
