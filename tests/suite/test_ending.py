"""What became of a run, and what the whole suite exits with."""

from __future__ import annotations

import itertools

import pytest

from harness.cluster.permission.lock import HELD
from harness.recording.series.suite import Result
from harness.suite.ending import Ended, headline, result, worst

LOST = "566 of 11,352 requests failed"


def ended(code: int, *, timed_out: bool = False, interrupted: bool = False) -> Ended:
    return Ended(code, 12.0, timed_out, interrupted)


@pytest.mark.parametrize(
    ("how", "grade", "last", "expected"),
    [
        (ended(0), "PASS", "", Result.PASS),
        (ended(1), "FAIL", "", Result.FAIL),
        (ended(3), "INCONCLUSIVE", "", Result.INCONCLUSIVE),
        (ended(2), "", "zdtest: no such Deployment: web", Result.REFUSED),
        (ended(2), "", f"zdtest: {HELD}web: x (until y); wait for its end", Result.BUSY),
        (ended(4), "", "zdtest: crashed: KeyError", Result.CRASHED),
        (ended(1), "", "Traceback", Result.CRASHED),
        (ended(0), "", "", Result.CRASHED),
        (ended(-9), "", "", Result.KILLED),
        (ended(130), "PASS", "", Result.KILLED),
        (ended(130, timed_out=True), "INCONCLUSIVE", "", Result.TIMED_OUT),
        (ended(-9, timed_out=True), "", "", Result.TIMED_OUT),
        (ended(130, timed_out=True), "FAIL", "", Result.FAIL),
        (ended(0, timed_out=True), "PASS", "", Result.TIMED_OUT),
        (ended(130, interrupted=True), "FAIL", "", Result.INTERRUPTED),
        (ended(-2, interrupted=True), "", "", Result.INTERRUPTED),
        (ended(1, interrupted=True), "FAIL", "", Result.FAIL),
    ],
)
def test_the_end_of_a_process_tells_what_became_of_its_run(
    how: Ended, grade: str, last: str, expected: Result
) -> None:
    found, said = result(how, grade, last, LOST if grade else "", 60)
    assert found is expected
    assert said


def test_what_is_said_names_the_reason() -> None:
    assert result(ended(-9), "", "", "", 60)[1].startswith("its process was ended by SIGKILL")
    assert result(ended(2), "", "zdtest: paused", "", 60)[1] == "paused"
    assert result(ended(-9, timed_out=True), "", "", "", 60)[1] == "it did not end within 60 s, and was ended"
    assert result(ended(130, timed_out=True), "FAIL", "", LOST, 60)[1].startswith(LOST)


ORDER = [Result.FAIL, Result.CRASHED, Result.REFUSED, Result.INCONCLUSIVE, Result.PASS]
CODES = [1, 4, 2, 3, 0]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(5), 2)))
def test_the_worse_of_two_decides_the_exit_code(first: int, second: int) -> None:
    assert worst([ORDER[second], ORDER[first]], interrupted=False) == CODES[first]


def test_a_suite_that_was_interrupted_says_so_whatever_it_found() -> None:
    assert worst([Result.FAIL, Result.NOT_RUN], interrupted=True) == 130


def test_what_was_left_out_changes_no_exit_code() -> None:
    assert worst([Result.PASS, Result.LEFT_OUT], interrupted=False) == 0


@pytest.mark.parametrize(("one", "code"), [(Result.TIMED_OUT, 4), (Result.KILLED, 4), (Result.BUSY, 3)])
def test_a_run_without_a_verdict_is_never_a_pass(one: Result, code: int) -> None:
    assert worst([Result.PASS, one], interrupted=False) == code


def test_the_headline_counts_each_sort() -> None:
    assert headline([Result.PASS] * 3) == "all 3 scenarios passed"
    assert headline([Result.PASS]) == "the scenario passed"
    assert headline([Result.FAIL, Result.PASS]) == "1 of 2 scenarios lost requests"
    assert headline([Result.PASS, Result.INCONCLUSIVE, Result.KILLED, Result.LEFT_OUT]) == (
        "1 of 4 scenarios passed, no loss was seen; 1 proved nothing; 1 ended without a verdict;"
        " 1 did not fit into the budget"
    )
    assert headline([Result.REFUSED] * 2) == (
        "none of 2 scenarios passed, no loss was seen; 2 ended without a verdict"
    )
