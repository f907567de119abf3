"""JUnit XML, as Jenkins (its junit-10.xsd) and GitLab read it. Pure.

Each run is a test suite. Each finding is a test case, and so is each rollout: FAIL becomes a failure, INCONCLUSIVE an
error, or skipped if the run was a rehearsal (--dry-run). What system-out says (causes and fix) stands in the failure's
own text, too: GitLab shows only that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.clock import NS
from harness.escaping import everywhere, for_line
from harness.model import Grade, Phase
from harness.report.summary import screen
from harness.report.summary.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.judge.verdict.judgement import Judgement

_TAGS = {Grade.FAIL: "failure", Grade.INCONCLUSIVE: "error"}
_BEGAN = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC")


@dataclass(frozen=True, slots=True)
class Case:
    """One test case. A finding takes no time. `kind` is the fault's type, if it is no verdict."""

    name: str
    grade: Grade
    observed: str
    told: str
    seconds: float = 0.0
    rehearsed: bool = False
    kind: str = ""

    @property
    def tag(self) -> str:
        """The element that says so: failure, error, skipped, or "" for a PASS."""
        return "skipped" if self.rehearsed and self.grade is Grade.INCONCLUSIVE else _TAGS.get(self.grade, "")


def render(judgements: Sequence[Judgement], link: str = "") -> str:
    """Return the document, one test suite for each run. What XML 1.0 cannot hold is written escaped."""
    return document([_suite(everywhere(judgement, for_line), for_line(link)) for judgement in judgements])


def document(suites: Sequence[tuple[ET.Element, float]]) -> str:
    """Return a whole file of suites, each with its length in seconds."""
    root = ET.Element("testsuites", {"name": "zdtest"})
    for element, _ in suites:
        root.append(element)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(element.get(name, "0")) for element, _ in suites)))
    root.set("time", f"{sum(seconds for _, seconds in suites):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def suite(
    name: str, cases: Sequence[Case], seconds: float, timestamp: str, properties: Iterable[tuple[str, str]]
) -> ET.Element:
    """Return a test suite. timestamp: UTC, as 2026-11-25T02:39:40; "" if it is unknown."""
    made = ET.Element("testsuite", {"name": name, "tests": str(len(cases))})
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        made.set(attribute, str(sum(case.tag == tag for case in cases)))
    made.set("time", f"{seconds:.3f}")
    if timestamp:
        made.set("timestamp", timestamp)
    listed = ET.SubElement(made, "properties")
    for key, value in properties:
        ET.SubElement(listed, "property", {"name": key, "value": value})
    for case in cases:
        made.append(_element(case, name))
    return made


def _suite(judgement: Judgement, link: str) -> tuple[ET.Element, float]:
    about, timeline = judgement.about, judgement.timeline
    rehearsed = about.ended_by == "dry_run"
    cases = [replace(case, rehearsed=rehearsed) for case in (*_findings(judgement), *_rollouts(judgement))]
    begin_ns = min([timeline.judged.from_ns, *(phase.span.from_ns for phase in timeline.phases)])
    seconds = max(timeline.judged.to_ns - begin_ns, 0) / NS
    began = _BEGAN.fullmatch(about.began)
    timestamp = f"{began[1]}T{began[2]}" if began else ""
    return suite(f"zdtest.{about.name}", cases, seconds, timestamp, _properties(judgement, link)), seconds


def _properties(judgement: Judgement, link: str) -> Iterator[tuple[str, str]]:
    about = judgement.about
    said = {
        "verdict": judgement.grade.value,
        "headline": judgement.verdict.headline,
        "run": about.folder,
        "workload": about.workload,
        "trigger": about.trigger,
        "target": about.targets[0] if about.targets else "",
        **_counted(judgement),
        "lost": str(judgement.verdict.lost),
        "zdtest": about.version,
        "link": link,
    }
    yield from ((name, value) for name, value in said.items() if value)


def _counted(judgement: Judgement) -> dict[str, str]:
    held = judgement.streams
    if held is None:
        return {"requests": str(judgement.numbers.requests)}
    return {
        "streams": str(held.held),
        "cut": str(held.cut),
        "closed": str(held.announced),
        "away": str(held.away),
    }


def _element(case: Case, classname: str) -> ET.Element:
    element = ET.Element(
        "testcase", {"classname": classname, "name": case.name, "time": f"{case.seconds:.3f}"}
    )
    if case.tag:
        fault = ET.SubElement(
            element, case.tag, {"type": case.kind or case.grade.value, "message": case.observed}
        )
        fault.text = case.told
    ET.SubElement(element, "system-out").text = case.told
    return element


def _findings(judgement: Judgement) -> Iterator[Case]:
    """Yield a case for each finding; a failed one tells the causes and the fix, a doubt what to do about it."""
    story = "\n".join(screen.render(judgement))
    for finding in judgement.verdict.findings:
        told = finding.observed
        if finding.grade is Grade.FAIL:
            told = f"{finding.observed}\n\n{story}"
        elif finding.grade is Grade.INCONCLUSIVE:
            to_do = remedy(finding, judgement)
            told = f"{finding.observed}\nto do: {to_do}" if to_do else finding.observed
        yield Case(finding.objective, finding.grade, finding.observed, told)


def _rollouts(judgement: Judgement) -> Iterator[Case]:
    """Yield a case for each rollout; none for a run that made no change."""
    if not judgement.timeline.triggered:
        return
    for number, one in enumerate(judgement.rollouts or (judgement,), 1):
        during = one.timeline.phase(Phase.DURING)
        yield Case(
            f"rollout {number}: {one.about.trigger}" if one.about.trigger else f"rollout {number}",
            one.grade,
            one.verdict.headline,
            "\n".join(screen.render(one)),
            during.length_ns / NS if during else 0.0,
        )
