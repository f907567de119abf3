"""Lint findings: as `zdtest lint` prints them, and as a block of the summary of a run that has checked them."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from harness.escaping import everywhere, for_line
from harness.judge.wording import count
from harness.scenario.places import Place, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.judge.lint.lint import LintFinding
    from harness.scenario.places import Written

WIDTH = 100
FORMAT = 1  # of the JSON


class Placed(NamedTuple):
    """A finding, and the line of a file where it is to be fixed; None for a live object."""

    found: LintFinding
    place: Place | None = None


def placed(
    findings: Iterable[tuple[int, LintFinding]], objects: Sequence[Written | None]
) -> tuple[Placed, ...]:
    """Put each finding at its line. `objects` are in the order of those that were checked; None: not from a file."""
    known = [one for one in objects if one]
    return tuple(Placed(found, _place(found, objects[number], known)) for number, found in findings)


def _place(found: LintFinding, workload: Written | None, known: Sequence[Written]) -> Place | None:
    if workload is None:
        return None
    if not found.path[:1].isupper():
        return workload.place(found.path)
    beside = {"namespace": workload.namespace, "beside": workload.file}
    return find(known, workload.kind, workload.name, found.path, **beside)


def lines(findings: Sequence[Placed], notes: Sequence[str] = ()) -> str:
    """Return all findings by rule, the most severe rules first, a reason once and its places below it.

    Then come assumptions, and a line with counts.
    """
    by_rule: dict[str, list[Placed]] = {}
    for one in findings:
        by_rule.setdefault(one.found.rule, []).append(one)
    printed = [line for group in by_rule.values() for line in _rule(group)]
    severities = [one.found.severity for one in findings]
    counted = [count(severities.count(word), word) for word in ("error", "warning")]
    printed += [f"note: {for_line(note)}" for note in notes]
    return "\n".join([*printed, f"{counted[0]}, {counted[1]}, {severities.count('info')} for information"])


def _rule(group: Sequence[Placed]) -> list[str]:
    group = [Placed(everywhere(one.found, for_line), one.place) for one in group]
    first = group[0].found
    messages = {one.found.message for one in group}
    several = f", in {count(len(group), 'place')}" if len(group) > 1 else ""
    head = f"{first.severity} [{first.rule}]{several}"
    printed = _wrapped(f"{head}: {first.message}", "") if len(messages) == 1 else [head]
    printed += _wrapped(f"why: {first.reason} ({first.source})", "  ")
    for found, place in group:
        where = f"{for_line(str(place))}: " if place else ""
        printed.append(f"  {where}{found.object} {found.path}")
        if len(messages) > 1:
            printed += _wrapped(found.message, "    ")
    return [*printed, ""]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def as_json(findings: Sequence[Placed], notes: Sequence[str] = ()) -> str:
    """Return the same as JSON: a finding for each place, with file and line where they are known."""
    listed = [
        {
            "rule": found.rule,
            "severity": found.severity,
            "object": found.object,
            "path": found.path,
            "message": found.message,
            "reason": found.reason,
            "source": found.source,
            "file": place.file if place else None,
            "line": place.line if place else None,
        }
        for found, place in findings
    ]
    severities = [one.found.severity for one in findings]
    counts = {word: severities.count(word) for word in ("error", "warning", "info")}
    whole = {"format": FORMAT, "counts": counts, "findings": listed, "notes": list(notes)}
    return json.dumps(whole, indent=1)


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
