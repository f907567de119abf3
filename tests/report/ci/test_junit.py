"""JUnit files against the schema that Jenkins checks them by, and what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from harness.model import Grade
from harness.report.ci import junit
from tests.report.ci.runs import HOSTILE, KINDS, hostile, judged

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))


def read(text: str) -> ET.Element:
    SCHEMA.validate(text)
    return ET.fromstring(text)  # noqa: S314  our own text


@pytest.mark.parametrize("kind", KINDS)
def test_every_sort_of_run_is_valid_by_jenkins_schema(kind: str) -> None:
    root = read(junit.render([judged(kind)]))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == int(root.attrib["tests"]) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_is_valid_and_says_what_it_was(kind: str) -> None:
    text = junit.render([hostile(kind)], HOSTILE)
    root = read(text)
    assert "<script>" not in text
    said = "".join(root.itertext()) + "".join(value for e in root.iter() for value in e.attrib.values())
    assert "a\\x00b\\x1b[31m" in said
    assert "\\ufffe\\ud800" in said


def test_a_lost_request_is_a_failure_with_causes_and_fix() -> None:
    found = judged("lossy")
    assert found.grade is Grade.FAIL
    root = read(junit.render([found]))
    failed = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert [case.attrib["name"] for case in failed] == [
        "no request fails because of the rollout",
        "rollout 1: restart",
    ]
    for case in failed:
        for element in ("failure", "system-out"):
            said = case.findtext(element) or ""
            assert "(B1)" in said
            assert "spec.template.spec.containers[web].lifecycle.preStop" in said
    assert int(root.attrib["failures"]) == 2
    assert int(root.attrib["errors"]) == 0


def test_a_doubt_is_an_error_and_says_what_to_do() -> None:
    found = judged("in doubt")
    assert found.grade is Grade.INCONCLUSIVE
    root = read(junit.render([found]))
    assert int(root.attrib["failures"]) == 0
    doubts = [f for f in found.verdict.findings if f.grade is Grade.INCONCLUSIVE]
    assert int(root.attrib["errors"]) == len(doubts) + 1  # and the rollout
    said = {case.attrib["name"]: case.findtext("error") or "" for case in root.iter("testcase")}
    assert "to do: " in said["the target is proven to lead to the workload"]


def test_a_rehearsal_is_skipped_as_its_exit_code_is_0() -> None:
    found = judged("in doubt")
    root = read(junit.render([replace(found, about=replace(found.about, ended_by="dry_run"))]))
    assert (root.attrib["failures"], root.attrib["errors"]) == ("0", "0")
    skipped = [case for case in root.iter("testcase") if case.find("skipped") is not None]
    assert str(len(skipped)) == root.find("testsuite").attrib["skipped"] != "0"  # type: ignore[union-attr]


def test_a_clean_run_has_neither() -> None:
    root = read(junit.render([judged("clean")]))
    assert (root.attrib["failures"], root.attrib["errors"]) == ("0", "0")
    assert [e.tag for e in root.iter() if e.tag in {"failure", "error", "skipped"}] == []


def test_each_of_several_rollouts_is_a_case_with_its_own_verdict_and_length() -> None:
    found = judged("several")
    root = read(junit.render([found]))
    cases = [case for case in root.iter("testcase") if case.attrib["name"].startswith("rollout ")]
    assert [case.find("failure") is not None for case in cases] == [True, False]
    assert all(5 < float(case.attrib["time"]) < 60 for case in cases)


def test_a_run_without_a_rollout_has_no_case_for_one() -> None:
    root = read(junit.render([judged("no rollout")]))
    assert [c for c in root.iter("testcase") if c.attrib["name"].startswith("rollout")] == []


def test_several_runs_are_suites_and_the_totals_are_theirs() -> None:
    root = read(junit.render([judged("lossy"), judged("clean")]))
    suites = root.findall("testsuite")
    assert len(suites) == 2
    for name in ("tests", "failures", "errors"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in suites)
    assert float(root.attrib["time"]) == pytest.approx(sum(float(s.attrib["time"]) for s in suites))
    assert suites[0].attrib["timestamp"] == "2026-11-25T14:02:11"


def test_the_link_is_a_property() -> None:
    root = read(junit.render([judged("clean")], "https://ci.example/job/7?a=1&b=2"))
    values = {p.attrib["name"]: p.attrib["value"] for p in root.iter("property")}
    assert values["link"] == "https://ci.example/job/7?a=1&b=2"
    assert values["verdict"] == "PASS"
