"""The history of runs for a terminal: sparklines, then the nights with what changed between them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import for_line
from harness.history import trend
from harness.history.metrics import metrics_of
from harness.history.table import shortened
from harness.judge.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.history.groups import Group, Night
    from harness.history.metrics import Metric

BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
PLAIN_BARS = "_.-=+*%#"  # where the terminal has no others
_LETTERS = {"PASS": "P", "FAIL": "F", "INCONCLUSIVE": "I"}
_LABEL = 24
_SAID = 30  # columns behind a sparkline
_MOST_CHANGES = 6  # of one night


def render(groups: Sequence[Group], where: str, width: int, nights: int, bars: str = BARS) -> str:
    """Return all groups, each with its latest `nights` runs, in lines of at most `width` columns."""
    if not groups:
        return f"no run in {for_line(where)}"
    blocks = ("\n".join(_group(group, width, nights, bars)) for group in groups)
    return "\n\n\n".join(blocks)


def spark(values: Sequence[int | None], bars: str = BARS) -> str:
    """Return a series as one character each, from 0 to its largest value; a space where it is unknown."""
    top = max((value for value in values if value is not None), default=0)
    return "".join(" " if value is None else bars[_level(value, top, len(bars))] for value in values)


def _level(value: int, top: int, levels: int) -> int:
    return min(levels - 1, max(0, value * levels // top)) if top > 0 else 0


def _group(group: Group, width: int, nights: int, bars: str) -> Iterator[str]:
    runs = group.runs
    span = f"{runs[0].when[:10]} to {runs[-1].when[:10]}" if len(runs) > 1 else runs[0].when[:10]
    yield shortened(for_line(group.title), width)
    yield f"{count(len(runs), 'run')}, {span}"
    yield ""
    for sentence in trend.said(group):
        yield from _wrapped(for_line(sentence), width)
    yield ""
    shown = runs[-max(width - _LABEL - _SAID, 10) :]
    yield f"{'verdict':<{_LABEL}}{''.join(_LETTERS.get(run.grade, '-') for run in shown)}".rstrip()
    if any(night.changes for night in group.nights):
        marks = "".join("^" if night.changes else " " for night in group.nights[-len(shown) :])
        yield f"{'changed':<{_LABEL}}{marks}".rstrip()
    for metric in metrics_of(runs):
        line = _spark(metric, [metric.of(run) for run in shown], bars)
        if line:
            yield line
    yield ""
    yield from _nights(group.nights[-nights:], len(group.nights), width)


def _spark(metric: Metric, values: Sequence[int | None], bars: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    latest = metric.said(known[-1])
    low, high = metric.said(min(known)), metric.said(max(known))
    said = f"{latest}" if low == high else f"{latest}  ({low} to {high})"
    return f"{metric.name:<{_LABEL}}{spark(values, bars)}  {said}"


def _nights(nights: Sequence[Night], of: int, width: int) -> Iterator[str]:
    if len(nights) < of:
        yield f"the latest {len(nights):,} of {of:,} runs (--last N shows more)"
    metrics = metrics_of(night.run for night in nights)
    rows = [_cells(night, metrics) for night in nights]
    heads = ("when (UTC)", "verdict", *(metric.short for metric in metrics), "causes")
    widths = [max(len(head), *(len(row[at]) for row in rows)) for at, head in enumerate(heads)]
    widths[-1] = max(len(heads[-1]), width - sum(widths[:-1]) - 2 * (len(widths) - 1))
    yield _row(heads, widths)
    for night, row in zip(nights, rows, strict=True):
        for text in _changes(night):
            yield shortened(text, width)
        yield _row(row, widths)


def _cells(night: Night, metrics: Sequence[Metric]) -> tuple[str, ...]:
    run = night.run
    causes = for_line(" ".join(cause.text for cause in run.causes)) or "-"
    return run.when, run.verdict, *(metric.cell(run) for metric in metrics), causes


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    last = len(cells) - 1
    return "  ".join(
        shortened(cell, width).ljust(width) if at in {0, 1, last} else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def _changes(night: Night) -> Iterator[str]:
    for change in night.changes[:_MOST_CHANGES]:
        yield for_line(f"  changed: {change.text}")
    if len(night.changes) > _MOST_CHANGES:
        yield f"  changed: {count(len(night.changes) - _MOST_CHANGES, 'more field')}"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap  # noqa: PLC0415  keeps a list of runs light

    return textwrap.wrap(text, width, subsequent_indent="  ") or [""]
