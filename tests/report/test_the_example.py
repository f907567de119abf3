"""The example in README is a real run, and its reports are what today's judge writes."""

from __future__ import annotations

from pathlib import Path

from harness.judge.verdict.judgement import from_json, judge, to_json
from harness.recording.read import Recording
from harness.report import markdown
from harness.report.text import render

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "results/example"


def summary() -> list[str]:
    return (EXAMPLE / "summary.txt").read_text(encoding="utf-8").splitlines()


def test_the_stored_summary_is_what_is_printed_today() -> None:
    assert render(judge(Recording.open(EXAMPLE)), latencies=True).splitlines() == summary()


def test_the_stored_verdict_is_that_of_the_stored_summary() -> None:
    verdict = from_json((EXAMPLE / "verdict.json").read_text(encoding="utf-8"))
    assert render(verdict, latencies=True).splitlines() == summary()


def test_every_stored_report_is_what_is_written_today() -> None:
    judgement = judge(Recording.open(EXAMPLE))
    assert to_json(judgement) == (EXAMPLE / "verdict.json").read_text(encoding="utf-8")
    assert markdown.render(judgement) == (EXAMPLE / "summary.md").read_text(encoding="utf-8")


def test_readme_shows_lines_of_the_summary_and_no_others() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("The end of the run in the picture")[2].split("```")[1]
    shown = [line for line in block.splitlines() if line]
    assert len(shown) > 20
    assert [line for line in shown if line not in summary()] == []
