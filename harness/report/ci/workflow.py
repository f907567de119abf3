"""GitHub's annotations: a line of a file, and what is wrong with it, as workflow commands. Pure.

The rules of escaping are those of actions/toolkit, packages/core/src/command.ts. GitHub shows ten errors, ten warnings
and ten notices of a step, so the most important come first and no more are made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.escaping import for_line
from harness.judge.wording import cause_in_words, count
from harness.model import Grade
from harness.report.summary.remedies import remedy
from harness.report.summary.sentences import fixes_of
from harness.scenario.places import Place, Written, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.judge.causes.causes import Cause
    from harness.judge.verdict.judgement import Judgement
    from harness.report.lint import Placed

MOST = 10  # of one level, that GitHub shows of a step
_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}
_PATH = re.compile(r"(?<![\w.])(?:Service )?spec\.[\w.\[\]-]+")
_WORKLOAD = re.compile(r"(\w+) ([^/\s]+)/(\S+)")
_LONGEST = 4000  # characters of a message


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation. level: error | warning | notice."""

    level: str
    title: str
    text: str
    place: Place | None = None


def render(annotations: Iterable[Annotation]) -> list[str]:
    """Return a line for each, at most MOST of each level."""
    made: dict[str, int] = {}
    lines = []
    for one in annotations:
        made[one.level] = made.get(one.level, 0) + 1
        if made[one.level] <= MOST:
            lines.append(_command(one))
    return lines


def _command(one: Annotation) -> str:
    properties = {"file": one.place.file, "line": str(one.place.line)} if one.place else {}
    properties["title"] = for_line(one.title)
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    text = "\n".join(for_line(line) for line in one.text.split("\n"))
    return f"::{one.level} {said}::{_data(text[:_LONGEST])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def of_lint(placed: Iterable[Placed]) -> list[Annotation]:
    """Return an annotation for each finding."""
    return [
        Annotation(
            _LEVELS.get(found.severity, "notice"),
            f"zdtest lint: {found.rule}",
            f"{found.object} {found.path}: {found.message}\nwhy: {found.reason} ({found.source})",
            place,
        )
        for found, place in placed
    ]


def of_run(judgement: Judgement, objects: Sequence[Written]) -> list[Annotation]:
    """Return the verdict, then each cause at the lines that fix it, then what withholds a PASS."""
    level = {Grade.FAIL: "error", Grade.INCONCLUSIVE: "warning", Grade.PASS: "notice"}[judgement.grade]
    found = [Annotation(level, f"zdtest: {judgement.grade}", judgement.verdict.headline)]
    for cause in judgement.causes:
        if cause.the_rollouts:
            found += _of_cause(cause, judgement, objects)
    for finding in judgement.verdict.findings:
        if finding.grade is Grade.INCONCLUSIVE:
            to_do = remedy(finding, judgement)
            text = f"{finding.objective}: {finding.observed}" + (f"\nto do: {to_do}" if to_do else "")
            found.append(Annotation("warning", "zdtest: not shown", text))
    return found


def _of_cause(cause: Cause, judgement: Judgement, objects: Sequence[Written]) -> Iterator[Annotation]:
    """Yield an annotation for each line that a fix of the cause belongs to; one without a line if none is known."""
    at: dict[Place | None, list[str]] = {}
    for fix in fixes_of(cause):
        at.setdefault(_place(fix, cause, judgement, objects), []).append(fix)
    if any(at):  # what has no line is said beside what has one
        nowhere = at.pop(None, [])
        first = next(iter(at))
        at[first] += nowhere
    lost = f"{count(cause.hits, 'request')} failed"
    words = cause_in_words(cause.name, cause.ids)
    for place, fixes in (at or {None: []}).items():
        fix_lines = "".join(f"\nfix: {fix}" for fix in fixes)
        # A run that may lose requests, by objectives of its own, is not failed by them.
        level = "error" if judgement.grade is Grade.FAIL else "warning"
        yield Annotation(
            level, f"zdtest: {lost} ({' or '.join(cause.ids)})", f"{lost}: {words}{fix_lines}", place
        )


def _place(fix: str, cause: Cause, judgement: Judgement, objects: Sequence[Written]) -> Place | None:
    workload = _WORKLOAD.fullmatch(judgement.about.workload)
    if workload is None or not cause.of_pods:
        return None
    path = _PATH.search(fix)
    kind, namespace, name = workload.groups()
    return find(objects, kind, name, path[0].rstrip(".") if path else "", namespace=namespace)
