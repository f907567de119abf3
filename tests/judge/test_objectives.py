"""A run's own objectives: what they may say, and how they change the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.escaping import for_markdown
from harness.judge.findings.finding import LOSSLESS
from harness.judge.verdict.judgement import judge
from harness.model import Grade
from harness.recording.read import Recording
from harness.report import markdown
from harness.report.text import render
from harness.scenario.objectives import parse, replacing
from harness.scenario.reading import validate
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def judged(tmp_path: Path, synthetic: SyntheticRun, **scenario: list[str]) -> Judgement:
    synthetic.record["scenario"] = scenario
    return judge(Recording.open(synthetic.write(tmp_path)))


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
        ("failed", "not a condition"),
        ("failed=0", "not a condition"),
        ("failures>0", "there is no metric 'failures'"),
        ("p99>250", "is a duration"),
        ("failed>1s", "has no unit"),
        ("lag{during}>1s", "is not measured"),
        ("p99{settling}>1s", "phases are"),
    ],
)
def test_an_invalid_condition_gets_a_helpful_message(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_an_invalid_condition_in_a_flag_is_quoted() -> None:
    with pytest.raises(UsageError, match=r"--fail-on: 'p99>oops' is not a condition"):
        validate({}, {"fail_on": ["failed>0", "p99>oops"]})
    assert validate({"objectives": ["p99 <  1s"]}, {}).objectives == ("p99 < 1s",)


def test_an_objective_on_latency_adds_to_the_default_one(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(prestop=4, grace=20), fail_on=["p99>1ms"])
    assert found.grade is Grade.FAIL
    assert found.verdict.lost == 0
    assert found.verdict.headline.startswith("p99 is ")
    lossy = judged(tmp_path, SyntheticRun.rolling(), fail_on=["p99>10s"])
    assert lossy.grade is Grade.FAIL
    assert "because of the rollout" in lossy.verdict.headline


def test_an_objective_on_failures_replaces_the_default_one(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(), objectives=["failed_share < 90%"])
    assert found.grade is Grade.PASS
    assert found.verdict.lost > 0
    assert "which the run's own objectives allow" in found.verdict.headline
    assert found.verdict.bound == ""
    assert judged(tmp_path, SyntheticRun.rolling(), objectives=["failed == 0"]).grade is Grade.FAIL


BOUNDS = [
    ({"objectives": ["failed <= 5"]}, {"during", "after"}),
    ({"objectives": ["failed < 5"]}, {"during", "after"}),
    ({"objectives": ["failed == 0"]}, {"during", "after"}),
    ({"objectives": ["failed_share < 0.1%"]}, {"during", "after"}),
    ({"objectives": ["lost == 0"]}, {"during", "after"}),
    ({"objectives": ["failed{during} < 5"]}, {"during"}),
    ({"objectives": ["failed_share{after} <= 1%"]}, {"after"}),
    ({"objectives": ["failed{during} < 5", "failed{after} == 0"]}, {"during", "after"}),
    ({"objectives": ["failed{during} < 5"], "fail_on": ["failed{after} > 0"]}, {"during", "after"}),
    ({"fail_on": ["failed > 5"]}, {"during", "after"}),
    ({"fail_on": ["failed >= 5"]}, {"during", "after"}),
    ({"fail_on": ["lost != 0"]}, {"during", "after"}),  # the same as lost == 0
    ({"fail_on": ["failed_share > 1%"]}, {"during", "after"}),
    # One kind of failure, or a count of something else, leaves the rest unbounded.
    ({"objectives": ["404 == 0"]}, set()),
    ({"fail_on": ["503 > 0"]}, set()),
    ({"objectives": ["masked < 1000"]}, set()),
    ({"objectives": ["hard_failures == 0"]}, set()),
    ({"objectives": ["bad_seconds < 3"]}, set()),
    ({"objectives": ["outage < 1s"]}, set()),
    ({"objectives": ["stalled == 0"]}, set()),
    # What failed before the trigger says nothing of the rollout.
    ({"objectives": ["failed{before} == 0"]}, set()),
    ({"fail_on": ["failed_share{before} > 1%"]}, set()),
    # A bound from below, or none.
    ({"objectives": ["failed >= 0"]}, set()),
    ({"objectives": ["failed != 7"]}, set()),
    ({"objectives": ["lost > 0"]}, set()),
    ({"fail_on": ["failed < 5"]}, set()),
    ({"fail_on": ["failed == 5"]}, set()),
    ({"objectives": ["failed_share <= 100%"]}, set()),
    ({"fail_on": ["failed_share > 1"]}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("scenario", "phases"), BOUNDS, ids=[str(scenario) for scenario, _ in BOUNDS])
def test_only_a_bound_from_above_on_all_failures_since_the_trigger_replaces_the_default(
    scenario: dict[str, list[str]], phases: set[str]
) -> None:
    assert set(replacing(scenario, rollout=True)) == phases


@pytest.mark.parametrize(
    ("scenario", "phases"),
    [
        ({"objectives": ["failed < 5"]}, {""}),
        ({"objectives": ["failed{during} < 5", "failed{after} < 5"]}, set()),
        ({"objectives": ["failed{before} < 5"]}, set()),
    ],
)
def test_without_a_rollout_only_a_bound_on_the_whole_run_does(
    scenario: dict[str, list[str]], phases: set[str]
) -> None:
    assert set(replacing(scenario, rollout=False)) == phases


@pytest.mark.parametrize(
    "scenario",
    [
        {"fail_on": ["599>0"]},
        {"objectives": ["404==0"]},
        {"objectives": ["failed{before}==0"]},
        {"objectives": ["masked<1000"]},
        {"objectives": ["hard_failures < 100000"]},
        {"objectives": ["bad_seconds < 1000"]},
        {"objectives": ["outage < 10m"]},
        {"objectives": ["failed >= 0"]},
        {"objectives": ["failed_share <= 100%"]},
        {"objectives": ["failed{after} < 100000"]},
    ],
    ids=str,
)
def test_an_objective_that_holds_does_not_excuse_what_it_does_not_bound(
    tmp_path: Path, scenario: dict[str, list[str]]
) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(), **scenario)
    assert found.verdict.lost > 0
    assert found.grade is Grade.FAIL
    assert "because of the rollout" in found.verdict.headline


def with_failures(tmp_path: Path, *moments: float, **scenario: list[str]) -> Judgement:
    """A clean rollout in which the answers nearest to these moments are errors."""
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    synthetic.record["scenario"] = scenario
    path, rows = synthetic.write(tmp_path), synthetic.hits()
    for moment in moments:
        row = min(rows, key=lambda row: abs(row["done_ns"] - (TRIGGER + moment) * S))
        row |= {"status": 500, "pod": ""}
    write_hits(path / "hits" / "0.arrow", rows)
    return judge(Recording.open(path))


def test_a_bound_on_one_phase_leaves_the_other_to_the_default(tmp_path: Path) -> None:
    after = SyntheticRun.rolling(prestop=4, grace=20).rolled + 1.0
    both = with_failures(tmp_path / "1", 3.0, after, objectives=["failed{during} < 5"])
    assert both.grade is Grade.FAIL
    assert "1 of them in after, which no objective of this run bounds" in lossless(both)
    only = with_failures(tmp_path / "2", 3.0, objectives=["failed{during} < 5"])
    assert only.grade is Grade.PASS
    assert "which the run's own objectives allow (failed{during} < 5)" in only.verdict.headline
    assert with_failures(tmp_path / "3", 3.0, objectives=["failed{after} < 5"]).grade is Grade.FAIL
    assert with_failures(tmp_path / "4", after, objectives=["failed{after} < 5"]).grade is Grade.PASS
    each = with_failures(
        tmp_path / "5", 3.0, after, objectives=["failed{during} < 5"], fail_on=["failed{after}>1"]
    )
    assert each.grade is Grade.PASS


def lossless(found: Judgement) -> str:
    return next(f.observed for f in found.verdict.findings if f.objective == LOSSLESS)


@pytest.mark.parametrize("lost", [0, 1])
def test_the_summary_says_which_objective_replaces_the_default(tmp_path: Path, lost: int) -> None:
    found = with_failures(tmp_path, *[3.0] * lost, objectives=["failed <= 5"])
    said = f'failed <= 5 replaces "{LOSSLESS}"'
    assert found.grade is Grade.PASS
    assert said in " ".join(render(found, latencies=False).split())
    assert for_markdown(said) in markdown.render(found)
    plain = with_failures(tmp_path, objectives=["404 == 0"])
    assert "replaces" not in render(plain, latencies=False) + markdown.render(plain)


def test_a_condition_that_could_not_be_measured_withholds_a_pass(tmp_path: Path) -> None:
    calm = SyntheticRun.rolling(prestop=4, grace=20, names_pods=False)
    found = judged(tmp_path, calm, objectives=["lag < 5s"])
    assert found.grade is Grade.INCONCLUSIVE
    assert "lag was not measured" in found.verdict.headline
