"""The ladder's table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from harness.report.ladder import COLUMNS, Row, cells, row, table
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
LOST = Row(12_000, (11_700, 0, 300, 0), 3210 * MS, ("B1/C1",), "FAIL")
CLEAN = Row(12_500, (12_500, 0, 0, 0), 80 * MS, (), "PASS")


def test_a_judged_run_gives_a_row_whose_classes_add_up(tmp_path: Path) -> None:
    judgement = judge(Recording.open(SyntheticRun.rolling(3, probe=False).write(tmp_path)))
    found = row(judgement)
    assert found.requests == judgement.numbers.requests == sum(found.classes)
    assert found.classes[0] == judgement.numbers.statuses["200"]
    assert found.classes[2] + found.classes[3] == judgement.numbers.failed > 0
    assert found.verdict == "FAIL"
    assert found.causes
    assert found.longest_ns > 0


def test_one_run_of_a_step_is_shown_as_it_is() -> None:
    assert cells("1-x", [LOST]) == (
        "1-x", "12,000", "11,700", "0", "300", "0", "3.21 s", "B1/C1", "FAIL",
    )  # fmt: skip
    assert cells("4-x", [CLEAN])[-2:] == ("-", "PASS")


def test_of_several_runs_the_median_is_shown_with_its_spread_and_every_cause_and_verdict() -> None:
    step, requests, good, *_, latency, causes, verdict = cells("2-x", [LOST, CLEAN, CLEAN])
    assert (step, requests, good) == ("2-x", "12,500 (12,000 - 12,500)", "12,500 (11,700 - 12,500)")
    assert latency == "80 ms (80 ms - 3.21 s)"
    assert (causes, verdict) == ("B1/C1", "1 FAIL, 2 PASS")


def test_the_table_is_plain_ascii_with_its_columns_one_below_the_other() -> None:
    lines = table([cells("1-no-probe", [LOST]), cells("4-grace", [CLEAN])]).splitlines()
    assert all(line.isascii() for line in lines)
    assert lines[0].split() == " ".join(COLUMNS).split()
    assert lines[0].index("verdict") == lines[2].index("FAIL") == lines[3].index("PASS")
    assert lines[2].index("11,700") + 6 == lines[0].index("2xx") + 3
