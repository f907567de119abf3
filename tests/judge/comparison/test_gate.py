"""One new night against earlier ones: how often nights on which nothing changed fail, and what is seen."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.judge.comparison.gate import LEAST, baseline_of, beside, beyond, checks, held_against
from harness.judge.comparison.sides import JudgedRun, side_of
from harness.judge.findings.finding import NO_WORSE
from harness.judge.verdict.judgement import judge
from harness.model import Grade
from harness.recording.read import Recording
from harness.recording.series.baseline import Baseline, OldRollout, OldRun
from tests.judge.comparison.invented import MS, S, latency, left_out, rollout, side, with_each
from tests.judge.test_rollouts import clean, lossy

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.judge.comparison.gate import Check
    from harness.judge.verdict.judgement import Judgement

LEVEL = 0.01


def baseline(reaches: object, *, lost: object = None, level: float = LEVEL, p99_s: float = 0.06) -> Baseline:
    """A run of one rollout for each reach, in seconds."""
    values = [float(value) for value in np.asarray(reaches)]
    losses = [0] * len(values) if lost is None else [int(one) for one in np.asarray(lost)]
    return Baseline(
        1,
        "results",
        level,
        tuple(
            OldRun(
                f"n{at}", "50 connections", ("GET http://web/",), "Deployment shop/web", 3, "https://one:6443",
                (OldRollout(losses[at], int(p99_s * S), int(value * S), 20 * S),),
            )
            for at, value in enumerate(values)
        ),
    )  # fmt: skip


def check(found: Baseline, measure: str = "reach", **new: object) -> Check:
    return next(one for one in checks(found, [rollout(**new)]) if one.measure == measure)  # type: ignore[arg-type]


USUAL = [2.0, 2.2, 1.9, 2.1, 2.3, 1.8, 2.0, 2.1]


def test_a_reach_that_grew_from_2_to_6_s_is_worse_though_nothing_was_lost() -> None:
    found = check(baseline(USUAL), reach_ns=6 * S)
    assert found.worse
    assert found.words == "reach 6 s, usually 2.05 s and at most 3.04 s by chance"
    assert not check(baseline(USUAL), reach_ns=2 * S).worse
    assert not check(baseline(USUAL), reach_ns=S // 10).worse, "better is not worse"


def test_p99_and_the_time_of_the_rollout_are_watched_too() -> None:
    assert check(baseline(USUAL), "p99", during=latency(60)).worse
    assert check(baseline(USUAL), "rollout", settled_ns=40 * S).worse
    assert not check(baseline(USUAL), "rollout", settled_ns=23 * S).worse, "by less than a fifth"


def test_too_few_nights_cannot_tell_and_it_says_how_many_would() -> None:
    found = check(baseline(USUAL[: LEAST - 1]), reach_ns=60 * S)
    assert not found.worse
    assert not found.tells
    assert found.bound is None
    assert found.needed == LEAST
    wild = check(baseline([1.0, 4.0, 0.5, 6.0, 1.0, 2.0, 0.7, 3.0]), reach_ns=5 * S)
    assert not wild.worse
    assert not wild.tells
    assert wild.needed is None


def test_a_bound_beyond_all_sense_is_not_printed() -> None:
    found = check(baseline([1e-6, 1e6] * 4), reach_ns=900_000 * S)
    assert not found.worse
    assert not found.tells
    assert "by chance" not in found.words


def test_losses_are_held_against_a_baseline_that_has_some_and_left_to_objectives_where_it_has_none() -> None:
    assert check(baseline(USUAL, lost=[5, 4, 6, 5, 5, 7, 4, 6]), "lost", lost=60).worse
    assert not check(baseline(USUAL, lost=[5, 4, 6, 5, 5, 7, 4, 6]), "lost", lost=7).worse
    assert "lost" not in {one.measure for one in checks(baseline(USUAL), [rollout(60)])}


def test_a_lower_bound_is_no_number_to_compare() -> None:
    assert "reach" not in {
        one.measure for one in checks(baseline(USUAL), [rollout(reach_ns=60 * S, reach_at_least=True)])
    }


def test_a_night_of_several_rollouts_is_its_median() -> None:
    rollouts = [rollout(reach_ns=int(value * S)) for value in (2, 2.1, 60)]
    assert not next(one for one in checks(baseline(USUAL), rollouts) if one.measure == "reach").worse


# How often nights on which nothing changed fail, by reach alone: a fourth of the level is its share.

TRIES = 20_000


def alarms(logs: NDArray[np.float64]) -> float:
    """Of (try, night) on a log scale, how often the last night is worse than those before it."""
    seconds = np.exp(logs) * S
    return float(beyond(seconds[:, :-1], seconds[:, -1], LEVEL / 4)[1].mean())


@pytest.mark.parametrize("nights", [8, 12, 20, 30])
@pytest.mark.parametrize("correlated", [0.0, 0.5, 0.8])
def test_nights_on_which_nothing_changed_fail_at_most_as_often_as_stated(
    nights: int, correlated: float
) -> None:
    rng = np.random.default_rng(nights)
    logs = rng.normal(0, 0.3, (TRIES, nights + 1))
    for at in range(1, nights + 1):  # drift: each night is much like the one before it
        logs[:, at] = correlated * logs[:, at - 1] + math.sqrt(1 - correlated**2) * logs[:, at]
    share = LEVEL / 4
    assert alarms(logs) <= share + 3 * math.sqrt(share / len(logs))


def test_nights_with_wild_ones_among_them_fail_a_little_more_often() -> None:
    for nights in (8, 20, 30):
        logs = np.random.default_rng(5).standard_t(3, (TRIES, nights + 1)) * 0.1
        assert alarms(logs) <= 4.5 * LEVEL / 4


@pytest.mark.parametrize(("nights", "least"), [(8, 0.6), (16, 0.8), (30, 0.95)])
def test_a_reach_three_times_as_long_is_seen_the_surer_the_more_nights_there_are(
    nights: int, least: float
) -> None:
    logs = np.random.default_rng(6).normal(math.log(2), 0.2, (TRIES, nights + 1))
    logs[:, -1] += math.log(3)
    assert alarms(logs) > least


# The finding, and the verdict.


def judged(tmp_path: Path, *, bad: bool = False) -> tuple[Judgement, JudgedRun]:
    recording = Recording.open((lossy() if bad else clean()).write(tmp_path))
    judgement = judge(recording)
    return judgement, JudgedRun(recording.run, judgement)


def nights_like(run: JudgedRun, count: int, **changed: object) -> Baseline:
    one = side_of("run", [run])
    made = baseline_of("last nights", one, LEVEL)
    old = replace(made.runs[0], **changed)  # type: ignore[arg-type]
    each = []
    for number in range(count):
        factor = 1 + (number % 5) / 50
        rollouts = tuple(
            replace(
                r,
                p99_ns=int((r.p99_ns or 0) * factor),
                reach_ns=int((r.reach_ns or 0) * factor),
                rollout_ns=int((r.rollout_ns or 0) * factor),
            )
            for r in old.rollouts
        )
        each.append(replace(old, folder=f"n{number}", rollouts=rollouts))
    return replace(made, runs=tuple(each))


def held(judgement: Judgement, run: JudgedRun, against: Baseline) -> Judgement:
    return held_against(judgement, side_of("run", [run]), against)


def last(judgement: Judgement) -> tuple[str, Grade, str]:
    finding = judgement.verdict.findings[-1]
    return finding.objective, finding.grade, finding.observed


def test_a_pass_stays_one_where_the_run_is_as_its_baseline(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path)
    found = held(judgement, run, nights_like(run, 12))
    assert (found.grade, found.verdict.headline) == (Grade.PASS, judgement.verdict.headline)
    assert last(found)[:2] == (NO_WORSE, Grade.PASS)
    assert last(found)[2].startswith(
        "no worse than the baseline (last nights: 12 runs): p99 during the rollout "
    )


def test_a_pass_that_is_worse_than_its_baseline_is_a_fail_that_says_by_what(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path)
    quicker = nights_like(run, 12)
    quicker = replace(
        quicker,
        runs=tuple(
            replace(r, rollouts=tuple(replace(o, rollout_ns=(o.rollout_ns or 0) // 3) for o in r.rollouts))
            for r in quicker.runs
        ),
    )
    found = held(judgement, run, quicker)
    assert found.grade is Grade.FAIL
    assert found.verdict.headline.startswith(
        "worse than the baseline (last nights: 12 runs, level 1%): rollout to the end "
    )
    assert found.verdict.headline.endswith(judgement.verdict.headline)
    assert found.verdict.lost == 0


def test_a_fail_stays_the_fail_that_it_is(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path, bad=True)
    found = held(judgement, run, nights_like(run, 12))
    assert (found.grade, found.verdict.headline) == (Grade.FAIL, judgement.verdict.headline)


def test_a_baseline_that_is_empty_small_or_of_something_else_passes_and_says_so(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path)
    empty = replace(nights_like(run, 1), runs=())
    assert last(held(judgement, run, empty)) == (
        NO_WORSE,
        Grade.PASS,
        "cannot tell: the baseline (last nights) has no earlier run to compare with, and it takes 8",
    )  # fmt: skip
    said = last(held(judgement, run, nights_like(run, 2)))[2]
    assert "2 earlier runs, and it takes 8 (last nights: 2 runs)" in said
    other = nights_like(run, 12, load="200 connections")
    assert last(held(judgement, run, other))[2] == (
        "not compared with the baseline (last nights: 12 runs): its load is another one (10 connections; in the "
        "baseline 200 connections)"
    )


def slow_by_three(run: JudgedRun, count: int) -> Baseline:
    """Earlier nights whose rollouts took a third of the time."""
    made = nights_like(run, count)
    quick = (
        tuple(replace(o, rollout_ns=(o.rollout_ns or 0) // 3) for o in old.rollouts) for old in made.runs
    )
    return replace(
        made, runs=tuple(replace(old, rollouts=each) for old, each in zip(made.runs, quick, strict=True))
    )


def test_one_earlier_run_of_another_kind_is_left_out_and_the_others_still_count(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path)
    against = slow_by_three(run, 12)
    scaled = replace(against.runs[0], replicas=99)
    found = held(judgement, run, replace(against, runs=(scaled, *against.runs)))
    assert found.grade is Grade.FAIL
    assert last(found)[2].startswith(
        "worse than the baseline (last nights: 12 runs, level 1%): rollout to the"
    )
    assert beside(judgement, side_of("run", [run]), replace(against, runs=(scaled, *against.runs)))
    assert not beside(judgement, side_of("run", [run]), replace(against, runs=(scaled,)))


def test_a_stray_request_after_nights_without_reach_is_not_worse() -> None:
    assert not check(baseline([0.0] * 8), reach_ns=5 * MS).worse
    assert check(baseline([0.0] * 8), reach_ns=2 * S).worse


def test_one_run_is_counted_by_its_rollouts_and_claims_no_level(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path)
    against = slow_by_three(run, 1)
    [old] = against.runs
    few = replace(against, runs=(replace(old, rollouts=old.rollouts[:1] * 3),))
    assert last(held(judgement, run, few))[2].endswith("3 rollouts, and it takes 8 (last nights: 1 run)")
    many = replace(against, runs=(replace(old, rollouts=old.rollouts[:1] * 8),))
    said = last(held(judgement, run, many))[2]
    assert said.startswith(
        "worse than the baseline (last nights: 1 run, which cannot tell how nights differ): rollout to the end "
    )


def test_an_inconclusive_run_is_not_held_against_anything(tmp_path: Path) -> None:
    recording = Recording.open(replace(clean(), lag_p99=0.2).write(tmp_path))
    judgement = judge(recording)
    run = JudgedRun(recording.run, judgement)
    found = held(judgement, run, baseline(USUAL))
    assert found.grade is Grade.INCONCLUSIVE
    assert "this run proves nothing" in last(found)[2]


def test_a_fail_without_a_finished_rollout_says_why_it_is_not_compared(tmp_path: Path) -> None:
    judgement, run = judged(tmp_path, bad=True)
    why = "the rollout was not seen to its end"
    stuck = replace(side_of("run", [run]), rollouts=(), left_out=(left_out(why),))
    assert last(held_against(judgement, stuck, nights_like(run, 12)))[2] == (
        f"not compared with the baseline (last nights: 12 runs): {why}"
    )


def test_what_is_kept_of_the_earlier_runs_is_their_numbers() -> None:
    found = baseline_of("last-pass", with_each(side("baseline", [0, 0], runs=2), reach_at_least=True), LEVEL)
    assert [run.folder for run in found.runs] == ["20261130T030000Z-baseline", "20261131T030000Z-baseline"]
    assert found.runs[0].rollouts == (OldRollout(0, 66 * MS, None, 20 * S),)
