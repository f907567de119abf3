"""The table, the page, JUnit and Markdown of a suite: what each says, and that no text from elsewhere does harm."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from harness.recording.series.suite import Before, Cause, Entry, Result, Suite
from harness.report.suite import junit, markdown, page, table

EVIL = "<script>alert(1)</script>\x1b[31m|`](javascript:x)\n::error::x"
CAUSE = Cause(("B1",), "No preStop: pods stopped listening (B1)", 5, ("spec.template.spec.x: 36", "drain"))


def entry(name: str, result: Result, **fields: Any) -> Entry:
    return replace(Entry(name, f"{name}.yaml", f"Deployment shop/{name}", result=result), **fields)


def suite(*entries: Entry, **fields: Any) -> Suite:
    given = {"name": "nightly", "began": "2026-11-30T01:02:03+00:00", "took_s": 400.0, "version": "0.5.0"}
    return Suite(entries=entries, **{**given, **fields})


ALL = suite(
    entry("ok", Result.PASS, said="no request failed", run="runs/20261130T010203Z-ok", requests=900, lost=0,
          took_s=60.0, began="2026-11-30T01:02:03+00:00"),
    entry("bad", Result.FAIL, said="5 of 100 requests failed", run="runs/20261130T010303Z-bad", requests=100, lost=5,
          took_s=70.0, began="2026-11-30T01:03:03+00:00", causes=(CAUSE,),
          before=Before("PASS", "2026-11-29T01:00:00+00:00")),
    entry("open", Result.INCONCLUSIVE, said="the baseline is unsound", run="runs/20261130T010403Z-open",
          requests=9, lost=0),
    entry("hung", Result.TIMED_OUT, said="it did not end within 60 s, and was ended", log="logs/hung.log", took_s=60.0),
    entry("killed", Result.KILLED, said="its process was ended by SIGKILL", run="runs/20261130T010503Z-killed"),
    entry("out", Result.LEFT_OUT, said="it takes about 14 min"),
    entry("never", Result.NOT_RUN),
    parallel=2,
    budget_s=18000.0,
)  # fmt: skip


def test_the_table_has_a_row_for_each_and_says_what_to_do() -> None:
    text = table.render(ALL, "1 of 7 scenarios lost requests")
    lines = text.splitlines()
    assert re.search(
        r"^bad +shop/bad +FAIL +5 +100 +B1 +70 s +new: was PASS on 2026-11-29$", text, re.MULTILINE
    )
    assert re.search(r"^out +shop/out +left out +- +- +- +-$", text, re.MULTILINE)
    assert "    fix: spec.template.spec.x: 36" in lines
    assert "never: not run: the suite ended before its turn" in lines
    assert not any(line.startswith("ok:") for line in lines), "nothing is to be said of a PASS"
    assert lines[-1] == "1 of 7 scenarios lost requests"


def test_the_plan_says_when_each_begins_why_and_what_is_shared() -> None:
    planned = suite(
        entry("a", Result.NOT_RUN, expected_s=100.0, why="never tested", shares=("edge:443", "x")),
        entry("b", Result.NOT_RUN, expected_s=100.0, why="last tested 1 day ago", shares=("edge:443",)),
        parallel=2,
        budget_s=150.0,
    )
    text = table.plan(planned, [0.0, None], 100.0)
    assert re.search(r"^1  a +Deployment shop/a +100 s  at 0 s +never tested$", text, re.MULTILINE)
    assert re.search(r"^2  b +Deployment shop/b +100 s  left out  last tested 1 day ago$", text, re.MULTILINE)
    assert "one at a time, for they share edge:443: a, b" in text
    assert text.endswith("1 of 2 scenarios, about 100 s of the budget of 2m30s")


def test_junit_has_one_case_for_each_scenario() -> None:
    root = ET.fromstring(junit.render(ALL, "https://ci.example/7"))  # noqa: S314  our own
    [found] = root
    assert {key: found.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "timestamp")} == {
        "name": "zdtest.nightly", "tests": "7", "failures": "1", "errors": "3", "skipped": "2",
        "timestamp": "2026-11-30T01:02:03",
    }  # fmt: skip
    cases = {case.get("name"): case for case in found.iter("testcase")}
    failure = cases["bad"].find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("FAIL", "5 of 100 requests failed")
    assert "fix: spec.template.spec.x: 36" in (failure.text or "")
    assert cases["hung"].find("error") is not None
    assert cases["out"].find("skipped") is not None
    assert cases["ok"].find("failure") is None
    assert cases["ok"].get("time") == "60.000"


def test_markdown_has_those_first_that_ask_for_attention() -> None:
    text = markdown.render(ALL, "1 of 7 scenarios lost requests", "https://ci.example/7")
    assert text.startswith("## nightly: 1 of 7 scenarios lost requests\n")
    rows = re.findall(r"^\| (\w+) \| Deployment", text, re.MULTILINE)
    assert rows == ["bad", "killed", "hung", "open", "never", "out", "ok"]
    assert "- fix: `spec.template.spec.x: 36`" in text
    assert "[The job](<https://ci.example/7>)" in text


def test_github_gets_an_annotation_for_each_that_did_not_pass() -> None:
    lines = markdown.of_github(ALL)
    assert lines[0].startswith("::error title=zdtest%3A bad%3A FAIL::5 of 100 requests failed%0Afix: spec")
    assert len(lines) == 4
    assert not any("ok" in line or "never" in line for line in lines)


def test_the_page_links_the_reports_and_says_what_to_change() -> None:
    html = page.render(ALL, "1 of 7 scenarios lost requests")
    assert '<a href="runs/20261130T010303Z-bad/report.html">bad</a>' in html
    assert "runs/20261130T010503Z-killed/report.html" not in html, "a run that was killed has no report"
    assert '<a href="logs/hung.log">log</a>' in html
    assert "<code>spec.template.spec.x</code>: 36" in html
    assert html.index(">bad<") < html.index(">ok<")


def test_the_page_asks_for_nothing_outside_of_itself() -> None:
    html = page.render(ALL, "x")
    links = re.findall(r'(?:href|src)="([^"#]+)"', html)
    assert [link for link in links if not re.match(r"runs/|logs/|data:,$", link)] == []
    assert "default-src 'none'" in html
    assert not re.search(r"\sstyle=", html), "the policy would drop it"


def test_a_suite_of_nothing_but_text_from_elsewhere_harms_no_reader() -> None:
    evil = suite(
        entry("a", Result.FAIL, said=EVIL, workload=EVIL, causes=(Cause((EVIL,), EVIL, 1, (EVIL,)),), lost=1)
    )
    html = page.render(evil, EVIL)
    assert "<script>alert" not in html
    ET.fromstring(junit.render(evil, EVIL))  # noqa: S314  our own
    for text in (table.render(evil, EVIL), markdown.render(evil, EVIL), html):
        assert "\x1b" not in text
    assert "\n::error::" not in markdown.render(evil, EVIL)
    assert "<script>" not in markdown.render(evil, EVIL).replace("`<script>", "")
    assert all("\n" not in line for line in markdown.of_github(evil))


def test_a_suite_that_is_over_at_once_has_a_page() -> None:
    assert "not run" in page.render(suite(entry("a", Result.NOT_RUN)), "nothing ran")
    json.dumps(page.render(suite(), "nothing"))
