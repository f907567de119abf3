"""The list of runs as a table for a terminal, 80 columns or wider. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.escaping import for_line
from harness.history.runs import RUNS
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.history.listing import Listing, Skipped
    from harness.history.runs import Run

WIDTH = 100
_LEAST = 80
_GAP = 2
_NARROWEST = 4  # columns of one that was cut
_SKIPPED = 8  # folders that are named
_STRETCHED = ("name", "workload", "causes")  # columns that may be cut to fit
_NUMBERS = frozenset({"requests", "lost", "took"})


def render(listing: Listing, where: str, width: int = WIDTH) -> str:
    """Return all runs, newest first, what is missing of some, and what was skipped."""
    lines = list(_table(listing.runs, max(width, _LEAST)))
    if not listing.runs:
        lines = [f"no run in {for_line(where)}"]
    prefix = "" if Path(where) == RUNS else where.removesuffix("/")
    unjudged = [run for run in listing.runs if run.missing]
    if unjudged:
        lines += ["", *_some([f"run {run.folder}: {run.unjudged(prefix)}" for run in unjudged], "run")]
    if listing.skipped:
        lines += ["", *_some([_skipped(one) for one in listing.skipped], "folder")]
    return "\n".join(lines)


def _skipped(one: Skipped) -> str:
    return f"skipped {one.folder}: {one.why}"


def _some(lines: Sequence[str], noun: str) -> Iterator[str]:
    yield from map(for_line, lines[:_SKIPPED])
    if len(lines) > _SKIPPED:
        yield f"... and {count(len(lines) - _SKIPPED, f'more such {noun}')}"


def cells(run: Run) -> dict[str, str]:
    """Return the cells of a run by column."""
    kind, _, rest = run.workload.partition(" ")
    return {
        "when (UTC)": run.when,
        "name": for_line(run.name),
        "workload": for_line(rest if kind == "Deployment" else run.workload) or "-",
        "verdict": run.verdict,
        "requests": _number(run.requests),
        "lost": _number(run.lost),
        "causes": for_line(" ".join(cause.text for cause in run.causes)) or "-",
        "took": "-" if run.length_ns is None else lasting(round(run.length_ns, -9) or run.length_ns),
    }


def shortened(text: str, width: int) -> str:
    """Cut a text in its middle: names of runs and workloads often differ at their ends."""
    kept = max(width - 2, 0)
    return text if len(text) <= width else f"{text[: kept - kept // 3]}..{text[len(text) - kept // 3 :]}"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(runs: Sequence[Run], width: int) -> Iterator[str]:
    rows = [cells(run) for run in runs]
    if not rows:
        return
    widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in rows[0]}
    _fit(widths, width)
    for row in ({column: column for column in widths}, *rows):
        yield (" " * _GAP).join(_cell(row[column], column, widths[column]) for column in widths).rstrip()


def _fit(widths: dict[str, int], width: int) -> None:
    """Make the widest of the columns that may be cut narrower, until the table fits."""
    while sum(widths.values()) + _GAP * (len(widths) - 1) > width:
        widest = max(_STRETCHED, key=lambda column: widths[column])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _cell(text: str, column: str, width: int) -> str:
    if len(text) > width:
        text = shortened(text, width)
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)
