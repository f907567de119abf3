"""A suite as JUnit XML: one test suite, in which each scenario is a test case. Pure.

FAIL is a failure. INCONCLUSIVE and what ended without a verdict are errors. What was left out or not run is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.model import Grade
from harness.recording.series.suite import VERDICTS, Result
from harness.report.ci.junit import Case, document, suite as test_suite
from harness.report.suite.words import name_of, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.recording.series.suite import Entry, Suite

_SKIPPED = frozenset({Result.LEFT_OUT, Result.NOT_RUN})


def render(suite: Suite, link: str = "") -> str:
    """Return the document."""
    suite, link = everywhere(suite, for_line), for_line(link)
    made = test_suite(
        f"zdtest.{suite.name}",
        [_case(entry) for entry in suite.entries],
        suite.took_s,
        suite.began[:19],
        _properties(suite, link),
    )
    return document([(made, suite.took_s)])


def _case(entry: Entry) -> Case:
    grade = Grade(entry.result.value) if entry.result in VERDICTS else Grade.INCONCLUSIVE
    return Case(
        entry.name,
        grade,
        told(entry),
        "\n".join(_story(entry)),
        entry.took_s or 0.0,
        rehearsed=entry.result in _SKIPPED,
        kind=name_of(entry.result),
    )


def _story(entry: Entry) -> Iterator[str]:
    yield f"{name_of(entry.result)}: {told(entry)}"
    for cause in entry.causes:
        yield f"{cause.requests:,}: {cause.name}"
        yield from (f"  fix: {fix}" for fix in cause.fix)
    if entry.workload:
        yield f"workload: {entry.workload}"
    if entry.run:
        yield f"report: {entry.run}/report.html"
    if entry.log:
        yield f"log: {entry.log}"


def _properties(suite: Suite, link: str) -> Iterator[tuple[str, str]]:
    said = {"suite": suite.name, "state": suite.state, "zdtest": suite.version, "link": link}
    yield from ((name, value) for name, value in said.items() if value)
