"""The table of a suite for a terminal, and the plan that --dry-run prints. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.recording.series.suite import VERDICTS, Result
from harness.report.suite.words import length, name_of, news, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.recording.series.suite import Entry, Suite

WIDTH = 100
Row = tuple[str, ...]

_GAP = "  "
_CUT = 32  # characters of a name or a workload
_FIXES = 3


def render(suite: Suite, headline: str, width: int = WIDTH) -> str:
    """Return a row for each scenario, then what is to be said of those that did not pass."""
    suite = everywhere(suite, for_line)
    rows = [_row(entry) for entry in suite.entries]
    heads: Row = ("scenario", "workload", "verdict", "lost", "requests", "causes", "took", "")
    lines = [*_aligned([heads, *rows], right={3, 4, 6}), ""]
    for entry in suite.entries:
        lines += _remarks(entry, width)
    return "\n".join([*lines, for_line(headline)])


def plan(suite: Suite, begins_s: Sequence[float | None], ends_s: float) -> str:
    """Return the order in which scenarios would run, why, for how long, and what must not run at the same time.

    `begins_s`: when each begins, None if it is left out; `ends_s`: when all are over. Seconds.
    """
    suite = everywhere(suite, for_line)
    rows: list[Row] = [
        (
            str(number),
            _cut(entry.name),
            _cut(entry.workload) or "-",
            length(entry.expected_s),
            "left out" if begin_s is None else f"at {length(begin_s)}",
            entry.why,
        )
        for number, (entry, begin_s) in enumerate(zip(suite.entries, begins_s, strict=True), 1)
    ]
    heads: Row = ("", "scenario", "workload", "about", "begins", "why here")
    lines = list(_aligned([heads, *rows], right={0, 3}))
    left_out = begins_s.count(None)
    total = f"{len(rows) - left_out} of {len(rows)} scenarios, about {length(ends_s)}"
    if suite.budget_s is not None:
        total += f" of the budget of {length(suite.budget_s)}"
    apart = list(_apart(suite.entries)) if suite.parallel > 1 else []
    return "\n".join([*lines, "", *apart, total])


def _apart(entries: Sequence[Entry]) -> Iterator[str]:
    """Say which scenarios never run at the same time, and what they share."""
    users: dict[str, list[str]] = {}
    for entry in entries:
        for thing in entry.shares:
            users.setdefault(thing, []).append(entry.name)
    groups: dict[tuple[str, ...], list[str]] = {}
    for thing, names in users.items():
        if len(names) > 1:
            groups.setdefault(tuple(names), []).append(thing)
    for together, things in groups.items():
        yield f"one at a time, for they share {' and '.join(things)}: {', '.join(together)}"


def _row(entry: Entry) -> Row:
    judged = entry.result in VERDICTS
    causes = " ".join("|".join(one for one in cause.ids if one[:1].isupper()) for cause in entry.causes)
    return (
        _cut(entry.name),
        _cut(entry.workload.removeprefix("Deployment ")) or "-",
        name_of(entry.result),
        f"{entry.lost:,}" if judged and entry.lost is not None else "-",
        f"{entry.requests:,}" if judged and entry.requests is not None else "-",
        causes.strip() or "-",
        length(entry.took_s) if entry.result is not Result.LEFT_OUT else "-",
        news(entry),
    )


def _remarks(entry: Entry, width: int) -> Iterator[str]:
    if entry.result is Result.PASS:
        return
    yield f"{entry.name}: {name_of(entry.result)}: {told(entry)}"
    fixes = [fix for cause in entry.causes for fix in cause.fix]
    for fix in dict.fromkeys(fixes[:_FIXES]):
        yield _shortened(f"    fix: {fix}", width)
    if len(fixes) > _FIXES:
        yield f"    and {len(fixes) - _FIXES} more, in its report"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[: _CUT - 13]}..{text[-11:]}"


def _aligned(rows: Sequence[Row], right: set[int]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield _GAP.join(cells).rstrip()
