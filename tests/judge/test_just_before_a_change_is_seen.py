"""A change of somebody else's is known when it is seen. What fails just before that may be its."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.judge.findings.finding import WATCHED
from harness.model import Grade
from tests.judge.test_background import RESET, burst, clean, judged, spread

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement
    from tests.judge.synthetic import SyntheticRun


def under(trigger: str) -> SyntheticRun:
    facts = clean().run().rollout
    assert facts is not None
    return clean(record={"max_baseline_failures": 0.01, "rollout": replace(facts, trigger=trigger, patch={})})


def watched(found: Judgement) -> tuple[Grade, str]:
    return next((f.grade, f.observed) for f in found.verdict.findings if f.objective == WATCHED)


@pytest.mark.parametrize(("n", "at"), [(1, -0.3), (8, -0.3), (8, -1.8)])
def test_requests_lost_just_before_an_observed_change_withhold_the_pass(
    tmp_path: Path, n: int, at: float
) -> None:
    found = judged(tmp_path, under("observe"), (burst(n, at), RESET))
    assert found.grade is Grade.INCONCLUSIVE
    assert f"{n} request" in watched(found)[1]
    assert "before the change was seen" in watched(found)[1]


def test_a_burst_there_is_no_background_for_the_rest_of_the_burst(tmp_path: Path) -> None:
    found = judged(tmp_path, under("observe"), (burst(3, -0.3), RESET), (burst(3, 0.3), RESET))
    assert found.grade is not Grade.PASS


def test_what_failed_all_along_or_long_before_is_background(tmp_path: Path) -> None:
    assert judged(tmp_path, under("observe"), (spread(12, -9.9, -0.1), "503")).grade is Grade.PASS
    assert judged(tmp_path, under("observe"), (burst(8, -5.0), RESET)).grade is Grade.PASS


def test_a_change_of_our_own_begins_when_it_is_made(tmp_path: Path) -> None:
    assert judged(tmp_path, under("restart"), (burst(8, -0.3), RESET)).grade is Grade.PASS
