"""suite.json: written whenever a run begins or ends, read back, and refused in one line where it is not ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import RecordingError
from harness.recording.series.suite import (
    FILE,
    Before,
    Cause,
    Entry,
    Result,
    Suite,
    is_suite,
    mine,
    read,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


def suite() -> Suite:
    return Suite(
        name="nightly",
        entries=(
            Entry(
                "web", "web.yaml", "Deployment shop/web", ("edge:443",), "FAIL last time", "12", 100.0, 900.0,
                Before("PASS", "2026-11-29T01:00:00+00:00", "x/runs/y"), Result.FAIL, "5 of 100 failed é",
                "runs/20261130T010000Z-web", "logs/web.log", 1, 2, "2026-11-30T01:00:00+00:00", 90.5, 100, 5,
                (Cause(("B1",), "No preStop (B1)", 5, ("spec...preStop: sleep 30 s",)),),
            ),
            Entry("api", "api.yaml"),
        ),
        parallel=2,
        budget_s=18000.0,
        began="2026-11-30T01:00:00+00:00",
        request={"files": ["/s.yaml"]},
        notes=("a note",),
    )  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert not is_suite(tmp_path)
    write(tmp_path, suite())
    assert is_suite(tmp_path)
    assert read(tmp_path) == suite()
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_only_a_verdict_ends_a_scenario_for_good() -> None:
    judged = {result for result in Result if Entry("a", "a.yaml", result=result).judged}
    assert judged == {Result.PASS, Result.FAIL, Result.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "its format is 2, and this zdtest reads 1"),
        ({"entries": None}, "a list of objects was expected"),
        ({"entries": [{"name": "a"}]}, "scenario is missing"),
        ({"entries": [{"name": "a", "scenario": "x"}] * 2}, "two scenarios have one name"),
        ({"entries": [{"name": "a", "scenario": "x", "result": "fine"}]}, "'fine' is not a valid Result"),
        (
            {"entries": [{"name": "a", "scenario": "x", "run": "../../etc"}]},
            "lies outside of the suite's folder",
        ),
        (
            {"entries": [{"name": "a", "scenario": "x", "run": "runs/.."}]},
            "lies outside of the suite's folder",
        ),
        (
            {"entries": [{"name": "a", "scenario": "x", "log": "runs/x"}]},
            "lies outside of the suite's folder",
        ),
        ({"entries": [{"name": "a", "scenario": "x", "lost": -1}]}, "a whole number was expected"),
        ({"entries": [{"name": "a", "scenario": "x", "took_s": "1"}]}, "a number of seconds was expected"),
        ({"entries": [{"name": "a", "scenario": "x", "before": 3}]}, "an object was expected"),
        ({"state": "odd"}, "'odd' is no state of a suite"),
        ({"exit_code": 1e9}, "an exit code was expected"),
    ],
)
def test_what_is_not_ours_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write(tmp_path, suite())
    raw = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**raw, **change}))
    with pytest.raises(RecordingError) as refused:
        read(tmp_path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_without_one_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is no suite"):
        read(tmp_path)
    with pytest.raises(RecordingError, match="is no suite"):
        read(tmp_path / "gone")


def test_two_suites_do_not_meet_in_one_folder(tmp_path: Path) -> None:
    with mine(tmp_path), pytest.raises(RecordingError, match="another suite is under way in"), mine(tmp_path):
        pass
    with mine(tmp_path):  # the first one is over
        pass
