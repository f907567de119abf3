"""The counts of the verdict's one line agree with each other, and with what was held against the rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.model import Grade, Outcome
from tests.judge.test_background import BEFORE, RESET, burst, clean, judged, spread

if TYPE_CHECKING:
    from pathlib import Path


def test_a_kind_that_is_background_alone_is_not_among_the_lost(tmp_path: Path) -> None:
    background = (spread(12, *BEFORE), "503"), (spread(9, 0.5, 9.5), "503")
    found = judged(tmp_path, clean(), *background, (burst(20, 2.0), RESET))
    assert found.verdict.headline.startswith("20 of ")
    assert found.verdict.headline.endswith(
        "failed during the rollout, tied to nothing that happened to a pod (reset_before_response: 20)"
    )
    assert found.verdict.kinds == {"reset_before_response": 20}


def test_what_this_host_could_not_send_is_not_among_the_lost(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(), ([3.0], Outcome.NO_LOCAL_PORT), (burst(20, 2.0), RESET))
    assert found.verdict.headline.endswith(
        "failed during the rollout, tied to nothing that happened to a pod (reset_before_response: 20)"
    )
    assert not found.verdict.headline.startswith("about")


def test_about_is_said_where_background_of_the_same_kind_was_subtracted(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(), (spread(12, *BEFORE), "503"), (spread(60, 0.2, 15.2), "503"))
    assert found.grade is Grade.FAIL
    assert found.verdict.lost < 60
    assert found.verdict.headline.startswith(f"about {found.verdict.lost} of ")
    assert found.verdict.headline.endswith("(503: 60)")


# One failure in the baseline and 5 within 70 ms: too little to tell whether these were lost.
SUSPECT = ([-5.0], "503"), (burst(5, 2.0), "503")


@pytest.mark.parametrize(
    ("objective", "grade"),
    [
        ("failed <= 100", Grade.PASS),
        ("failed{during} <= 100", Grade.PASS),
        ("failed{after} <= 100", Grade.INCONCLUSIVE),
        ("lost <= 100", Grade.PASS),
        ("lost == 0", Grade.INCONCLUSIVE),
        ("p99 < 10s", Grade.INCONCLUSIVE),
    ],
)
def test_what_may_have_been_lost_is_allowed_only_where_an_objective_allows_so_many(
    tmp_path: Path, objective: str, grade: Grade
) -> None:
    bounded = clean(record={"max_baseline_failures": 0.01, "scenario": {"objectives": [objective]}})
    found = judged(tmp_path, bounded, *SUSPECT)
    assert found.grade is grade, found.verdict.findings
    if grade is Grade.PASS:
        assert found.verdict.headline.startswith("up to 5 of ")
        assert objective in found.verdict.headline


def test_an_objective_on_lost_is_asked_of_what_is_certain_and_of_what_may_be(tmp_path: Path) -> None:
    """20 resets are certain, 5 more 503s may have been lost: 22 allow the first, and not both."""
    bounded = clean(record={"max_baseline_failures": 0.01, "scenario": {"objectives": ["lost <= 22"]}})
    found = judged(tmp_path, bounded, *SUSPECT, (burst(20, 6.0), RESET))
    assert found.grade is Grade.INCONCLUSIVE
    assert "up to 25 may have been lost" in found.verdict.headline
