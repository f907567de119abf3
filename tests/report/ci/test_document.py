"""The Markdown document: what it says, how it is cut, and that foreign text stays text."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from harness.judge.numbers.piecewise.bins import SecondRow
from harness.report.ci import document, strip
from harness.report.ci.document import MIB, fitting
from tests.report.ci.runs import HOSTILE, KINDS, hostile, judged


def outside_of_blocks(text: str) -> list[str]:
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            lines.append(line)
    assert not inside
    return lines


@pytest.mark.parametrize("kind", KINDS)
def test_every_sort_of_run_begins_with_its_verdict_and_lists_all_findings(kind: str) -> None:
    found = judged(kind)
    text = document.render([found])
    assert text.splitlines()[0].startswith("## ")
    assert f" {found.grade.value}: " in text.splitlines()[0]
    rows = [
        line
        for line in outside_of_blocks(text)
        if re.match(r"\| (✅|❌|❔) (PASS|FAIL|INCONCLUSIVE) \| \D", line)
    ]
    assert len(rows) == len(found.verdict.findings)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_makes_no_html_link_code_or_cell(kind: str) -> None:
    lines = outside_of_blocks(document.render([hostile(kind)], HOSTILE))
    text = re.sub(r"`[^`\n]*`", "", "\n".join(lines))  # between backticks everything is literal
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    heads = [n for n, line in enumerate(lines) if line.startswith(("| :--", "| --:"))]
    assert heads
    for head in heads:
        rows = itertools.takewhile(lambda line: line.startswith("|"), lines[head - 1 :])
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_a_lossy_run_says_why_what_fixes_it_and_shows_the_patch() -> None:
    text = document.render([judged("lossy")], "https://ci.example/1")
    assert "(B1)" in text
    assert "  - fix: spec.template.spec.containers[web].lifecycle.preStop" in text
    assert "```yaml" in text
    assert "[The job](https://ci.example/1)" in text


def test_a_doubt_says_what_to_do() -> None:
    assert "  - to do: " in document.render([judged("in doubt")])


def test_several_rollouts_have_a_table() -> None:
    lines = document.render([judged("several")]).splitlines()
    assert [line.split(" | ")[:2] for line in lines if re.match(r"\| [12] \|", line)] == [
        ["| 1", "❌ FAIL"],
        ["| 2", "✅ PASS"],
    ]


def test_several_runs_have_a_table_first() -> None:
    lines = document.render([judged("lossy"), judged("clean")]).splitlines()
    assert lines[0].startswith("| Run | Verdict |")
    assert sum(line.startswith("## ") for line in lines) == 2


def test_what_fits_is_not_cut() -> None:
    assert fitting("a\nb\n", 4) == "a\nb\n"


def test_what_is_too_long_is_cut_at_a_line_and_says_so() -> None:
    text = "x\n" * MIB
    cut = fitting(text, MIB)
    assert MIB - 200 < len(cut.encode()) <= MIB
    assert set(cut.splitlines()[:-2]) == {"x"}
    assert "cut here" in cut.splitlines()[-1]


def test_a_block_that_is_cut_is_closed() -> None:
    cut = fitting("# Title\n```text\n" + "ä line\n" * 100, 200)
    assert len(cut.encode()) <= 200
    outside_of_blocks(cut)
    assert "cut here" in cut


def test_without_room_for_the_note_nothing_is_written() -> None:
    assert fitting("a long line\n" * 10, 20) == ""
    assert fitting("a\n", 0) == ""


# --- the picture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_fits_its_width(kind: str) -> None:
    for found in (judged(kind), hostile(kind)):
        for line in strip.render(found):
            assert len(line) <= strip.MARGIN + strip.COLUMNS + 40


def test_failures_stand_above_the_pods_that_went() -> None:
    lines = strip.render(judged("lossy"))
    kinds = [line for line in lines if " failed, at most " in line]
    assert kinds
    first = min(re.search(r"[▁▂▃▄▅▆▇█]", line[strip.MARGIN :]).start() for line in kinds)  # type: ignore[union-attr]
    ends = [line[strip.MARGIN :].index("t") for line in lines if line.startswith("old ")]
    assert first == pytest.approx(min(ends), abs=1)


@pytest.mark.parametrize("kind", ["lossy", "unsound", "several", "no rollout"])
def test_every_failure_is_counted_once(kind: str) -> None:
    found = judged(kind)
    totals = [
        int(m[1].replace(",", ""))
        for line in strip.render(found)
        if (m := re.search(r"([\d,]+) failed,", line))
    ]
    assert sum(totals) == found.numbers.failed


def test_failures_outside_of_the_stretch_are_counted() -> None:
    found = judged("clean")
    rows = (*found.numbers.seconds, SecondRow(-9, 9, 9, {"503": 4}), SecondRow(3, 9, 9, {"503": 1}))
    found = replace(found, numbers=replace(found.numbers, seconds=rows))
    assert "4 failed requests outside of this stretch" in strip.render(found)[-1]


def test_two_hours_and_sixty_pods_fit_too() -> None:
    found = judged("lossy")
    second = 1_000_000_000
    longer = tuple(SecondRow(n, 9, 9, {"502": 1} if n == 7000 else {}) for n in range(7200))
    kinds = (replace(found.numbers.kinds[0], count=1),)
    timeline = replace(
        found.timeline,
        judged=replace(found.timeline.judged, to_ns=found.timeline.zero_ns + 7200 * second),
        pods=found.timeline.pods * 15,
    )
    lines = strip.render(
        replace(found, timeline=timeline, numbers=replace(found.numbers, seconds=longer, kinds=kinds))
    )
    assert len(lines) < 40
    assert any("more pods" in line for line in lines)
    assert any("1 failed, at most 1" in line for line in lines)
    assert all(len(line) <= strip.MARGIN + strip.COLUMNS + 40 for line in lines)
