"""A connection that brought an answer without a request withholds the run's PASS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.judge.findings.finding import PAIRED
from harness.judge.verdict.judgement import judge
from harness.model import Grade
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_sending import connection, write_connections

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("ends", "grade"),
    [
        ([("us", "end"), ("us", "unasked")], Grade.INCONCLUSIVE),
        ([("us", "end"), ("us", "error"), ("peer", "fin"), ("peer", "reset")], Grade.PASS),
    ],
)
def test_an_unasked_answer_withholds_the_pass_and_other_closes_do_not(
    tmp_path: Path, ends: list[tuple[str, str]], grade: Grade
) -> None:
    path = SyntheticRun.rolling(prestop=4, grace=20).write(tmp_path)
    rows = [connection(closed_by=by, how=how) for by, how in ends]
    write_connections(path / "connections" / "0.arrow", rows)
    found = judge(Recording.open(path))
    findings = [finding for finding in found.verdict.findings if finding.objective == PAIRED]
    assert found.grade is grade
    assert [finding.grade for finding in findings] == ([grade] if grade is Grade.INCONCLUSIVE else [])
    if findings:
        assert findings[0].observed.startswith("1 connection brought an answer that nobody had asked for")
        assert findings[0].observed in found.verdict.headline
