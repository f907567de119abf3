"""Lint findings: as `zdtest lint` prints them, and as a block of the summary of a run that has checked them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.judge.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.lint.lint import LintFinding

WIDTH = 100


def lines(findings: Sequence[LintFinding], notes: Sequence[str] = ()) -> str:
    """Return all findings with reason and source, the most severe first; then assumptions, and a line with counts."""
    printed = []
    findings, notes = everywhere(tuple(findings), for_line), everywhere(tuple(notes), for_line)
    for found in findings:
        printed.append(f"{found.severity}: {found.object} {found.path} [{found.rule}]")
        printed += textwrap.wrap(found.message, WIDTH, initial_indent="  ", subsequent_indent="  ")
        printed += textwrap.wrap(
            f"why: {found.reason} ({found.source})",
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    severities = [f.severity for f in findings]
    counted = [count(severities.count(word), word) for word in ("error", "warning")]
    printed += [f"note: {note}" for note in notes]
    return "\n".join([*printed, f"{counted[0]}, {counted[1]}, {severities.count('info')} for information"])


def marked(findings: Sequence[LintFinding]) -> list[str]:
    """Return the summary's block, confirmed findings first; `info` only if confirmed."""
    shown = [f for f in findings if f.severity != "info" or f.status == "confirmed"]
    if not shown:
        return []
    order = ("confirmed", "untested", "refuted")
    block: list[str] = []
    for found in sorted(shown, key=lambda f: order.index(f.status) if f.status in order else 1):
        block += textwrap.wrap(
            f"{found.rule}: {found.path}: {found.message}",
            WIDTH,
            initial_indent=f"  {found.status:<11}",
            subsequent_indent=" " * 15,
            break_on_hyphens=False,
        )
    return block
