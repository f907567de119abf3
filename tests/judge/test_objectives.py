"""Objectives of a run's own: what they may say, and what they make of a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.judge.verdict import judge
from harness.model import Grade
from harness.recording.read import Recording
from harness.scenario.objectives import parse
from harness.scenario.reading import validate
from tests.judge.invented import Invented

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict import Judgement


def judged(tmp_path: Path, invented: Invented, **scenario: list[str]) -> Judgement:
    invented.record["scenario"] = scenario
    return judge(Recording.open(invented.write(tmp_path)))


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("failed>0", 1, True),
        ("p99 > 250ms", 250e6, False),
        ("p99{during}>=250ms", 250e6, True),
        ("failed_share<0.1%", 0.0009, True),
        ("failed_share < 0.001", 0.0011, False),
        ("502==0", 0, True),
        ("outage<=1.5s", 1.5e9, True),
        ("rate!=0", 3, True),
    ],
)
def test_a_condition_compares_in_the_metric_s_own_unit(text: str, value: float, holds: bool) -> None:  # noqa: FBT001
    assert parse(text).holds(value) is holds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("failed", "no condition"),
        ("failed=0", "no condition"),
        ("failures>0", "there is no metric 'failures'"),
        ("p99>250", "is a duration"),
        ("failed>1s", "has no unit"),
        ("lag{during}>1s", "is not measured"),
        ("p99{settling}>1s", "phases are"),
    ],
)
def test_what_is_no_condition_is_said_in_words_that_help(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_a_flag_that_is_no_condition_is_named_as_it_was_given() -> None:
    with pytest.raises(UsageError, match=r"--fail-on: 'p99>oops' is no condition"):
        validate({}, {"fail_on": ["failed>0", "p99>oops"]})
    assert validate({"objectives": ["p99 <  1s"]}, {}).objectives == ("p99 < 1s",)


def test_an_objective_on_latency_adds_to_the_default_one(tmp_path: Path) -> None:
    found = judged(tmp_path, Invented.rolling(prestop=4, grace=20), fail_on=["p99>1ms"])
    assert found.grade is Grade.FAIL
    assert found.verdict.lost == 0
    assert found.verdict.headline.startswith("p99 is ")
    lossy = judged(tmp_path, Invented.rolling(), fail_on=["p99>10s"])
    assert lossy.grade is Grade.FAIL
    assert "because of the rollout" in lossy.verdict.headline


def test_an_objective_on_failures_stands_in_place_of_the_default_one(tmp_path: Path) -> None:
    found = judged(tmp_path, Invented.rolling(), objectives=["failed_share < 90%"])
    assert found.grade is Grade.PASS
    assert found.verdict.lost > 0
    assert "which the run's own objectives allow" in found.verdict.headline
    assert found.verdict.bound == ""
    assert judged(tmp_path, Invented.rolling(), objectives=["failed == 0"]).grade is Grade.FAIL


def test_a_condition_that_could_not_be_measured_withholds_a_pass(tmp_path: Path) -> None:
    calm = Invented.rolling(prestop=4, grace=20, names_pods=False)
    found = judged(tmp_path, calm, objectives=["lag < 5s"])
    assert found.grade is Grade.INCONCLUSIVE
    assert "lag was not measured" in found.verdict.headline
