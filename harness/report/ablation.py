"""The table of an ablation: what each protection of a manifest buys, one row for each that was switched off."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line, for_markdown
from harness.judge.comparison.rollouts import rollouts_of
from harness.judge.comparison.significance.resampling import mean_interval
from harness.judge.odds import clean_runs_bound
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.verdict.judgement import Judgement

COLUMNS = (
    "switched off",
    "what that is",
    "lost in each rollout",
    "mean",
    "95 % of the mean",
    "p99 during",
    "causes",
)
_RIGHT = {"lost in each rollout", "mean", "p99 during"}


@dataclass(frozen=True, slots=True)
class Row:
    """One version of the manifest. `lost`: requests that each rollout that counts lost."""

    name: str
    about: str
    run: str
    lost: tuple[int, ...]
    left_out: tuple[str, ...]  # why rollouts do not count
    p99_during_ns: int | None  # the worst of its rollouts
    causes: dict[str, int]  # of what was lost
    unsound: bool = False  # too many failed in a baseline, so that not all rollouts were made

    @classmethod
    def of(cls, name: str, about: str, judgement: Judgement) -> Row:
        """Return the row of a run."""
        every = rollouts_of(judgement, 0)
        counted = [one for one in every if one.counts]
        causes: dict[str, int] = {}
        for one in counted:
            for ids, hits in one.causes.items():
                causes[ids] = causes.get(ids, 0) + hits
        latencies = [one.during.percentiles["99"] for one in every if one.during]
        return cls(
            name=name,
            about=about,
            run=judgement.about.folder,
            lost=tuple(one.lost for one in counted),
            left_out=tuple(one.why_not for one in every if not one.counts),
            p99_during_ns=max(latencies, default=None),
            causes=dict(sorted(causes.items(), key=lambda item: -item[1])),
            unsound=judgement.about.ended_by == "baseline_unsound",
        )

    @property
    def mean(self) -> float | None:
        """Return how many requests a rollout loses on average; None where none counts, or losses have another cause."""
        return fmean(self.lost) if self.lost and not self.unsound else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of that; None where the rollouts do not tell."""
        return None if self.unsound else mean_interval(tuple((float(n),) for n in self.lost))


def text(rows: Sequence[Row]) -> str:
    """Return the table for a terminal, and what to read from it."""
    whole = [COLUMNS, *everywhere(tuple(map(_cells, rows)), for_line)]
    widths = [max(len(line[n]) for line in whole) for n in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for cell, width, name in zip(line, widths, COLUMNS, strict=True)
        ).rstrip()
        for line in whole
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:], "", *_notes(rows)])


def markdown(rows: Sequence[Row]) -> str:
    """Return the table for a page."""
    whole = [
        tuple(cell if cell == "-" else for_markdown(cell).replace("|", "\\|") for cell in _cells(row))
        for row in rows
    ]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cells) + " |" for cells in whole]
    return "\n".join([*lines, "", *_notes(rows)])


def json_of(rows: Sequence[Row]) -> str:
    """Return the rows for other programs."""
    found = [{**asdict(row), "mean": row.mean, "interval_95": row.interval} for row in rows]
    return json.dumps({"format": 1, "rows": found}, indent=1, ensure_ascii=False)


def _cells(row: Row) -> tuple[str, ...]:
    mean, interval = row.mean, row.interval
    return (
        row.name,
        row.about or "-",
        "fails without a rollout" if row.unsound else ", ".join(f"{n:,}" for n in row.lost) or "none counts",
        "-" if mean is None else f"{mean:,.1f}",
        f"{max(0.0, interval[0]):,.1f} to {interval[1]:,.1f}" if interval else "-",
        "-" if row.p99_during_ns is None else lasting(row.p99_during_ns),
        "-" if row.unsound else _causes(row),
    )


def _causes(row: Row) -> str:
    return ", ".join(f"{ids.replace('|', ' or ')} ({hits:,})" for ids, hits in row.causes.items()) or "-"


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    clean = [row for row in rows if row.lost and not any(row.lost) and not row.unsound]
    if clean:
        fewest = min(len(row.lost) for row in clean)
        notes.append(
            f"Nothing lost in {fewest} rollouts is no proof: up to {100 * clean_runs_bound(fewest):.0f} % of such"
            " rollouts may lose something (95 %)."
        )
    notes += [
        f"{row.name}: too many requests failed before any pod was touched, so not all of its rollouts were made."
        for row in rows
        if row.unsound
    ]
    notes += [
        f"{row.name}: {count(len(row.left_out), 'rollout does', 'rollouts do')} not count: {row.left_out[0]}."
        for row in rows
        if row.left_out and not row.unsound
    ]
    return notes
