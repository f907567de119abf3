"""What a comparison is drawn from: rollouts laid over each other at their triggers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.judge.comparison.picture import (
    MOST_BINS,
    MOST_DRAWN,
    Key,
    Overlay,
    Seen,
    judged_with_pictures,
    keyed,
    mean_lost,
    overlay,
)
from harness.judge.comparison.sides import JudgedRun, Side, side_of
from harness.judge.picture.aligned import STEP_NS
from harness.judge.verdict.judgement import judge_with_picture
from harness.model import Mark, Phase
from harness.recording.read import Recording
from tests.judge.synthetic import S, SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path


def side(name: str, *paths: Path) -> tuple[Side, dict[Key, Seen]]:
    runs, pictures = [], dict[Key, Seen]()
    for path in paths:
        run, its = judged_with_pictures(Recording.open(path))
        runs.append(run)
        pictures |= its
    return side_of(name, runs), pictures


@dataclass(frozen=True)
class Laid:
    path: Path  # of the one run of BEFORE
    before: Side
    after: Side
    seen: dict[Key, Seen]  # of BEFORE
    found: Overlay


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    """Three rollouts before, of which two lost requests, and one clean one after."""
    root = tmp_path_factory.mktemp("runs")
    path = series(root / "a", lossy(), clean(), lossy())
    before, its = side("before", path)
    after, others = side("after", clean().write(root / "b"))
    found = overlay(before, after, its, others)
    assert found
    return Laid(path, before, after, its, found)


def test_each_rollout_that_counts_is_drawn_with_all_its_failures(laid: Laid) -> None:
    before, after, found = laid.before, laid.after, laid.found
    for mine, drawn in ((before, found.before), (after, found.after)):
        assert [one.one for one in drawn.rollouts] == list(mine.rollouts)
        for one in drawn.rollouts:
            assert int(one.failed.sum()) == one.one.failed
            assert len(one.failed) == len(one.good) == found.count <= MOST_BINS
    assert [int(one.failed.sum()) > 0 for one in found.before.rollouts] == [True, False, True]


def test_the_same_bin_is_the_same_time_from_each_trigger(laid: Laid) -> None:
    found = laid.found
    _, picture = judge_with_picture(Recording.open(laid.path))
    zero = -found.from_ns // found.width_ns
    assert found.from_ns % found.width_ns == 0
    for one, drawn in zip(picture.rollouts, found.before.rollouts, strict=True):
        failed = one.failures.done_ns - one.timeline.zero_ns
        for step in range(-5, 60):
            low = step * found.width_ns
            mine = int(((failed >= low) & (failed < low + found.width_ns)).sum())
            assert drawn.failed[zero + step] == mine


def test_the_window_has_every_rollout_and_its_surroundings(laid: Laid) -> None:
    found = laid.found
    to_ns = found.from_ns + found.count * found.width_ns
    for side_ in found.sides:
        for one in side_.rollouts:
            during = next(span for span in one.phases if span[0] is Phase.DURING)
            assert found.from_ns < during[1] == 0 < during[2] < to_ns


def test_the_middle_rollout_by_lost_requests_stands_for_its_side(laid: Laid) -> None:
    before, found = laid.before, laid.found
    assert before.rollouts[found.before.typical].lost == sorted(before.lost)[1]
    assert found.after.typical == 0


def test_answers_of_all_rollouts_of_a_side_are_counted_together(laid: Laid) -> None:
    before, found = laid.before, laid.found
    during = next(one for one in found.before.latencies if one.phase is Phase.DURING)
    assert during.total == sum(one.during.count for one in before.rollouts if one.during)


def test_pods_moments_are_those_of_the_new_and_the_old_ones(laid: Laid) -> None:
    found = laid.found
    for one in (*found.before.rollouts, *found.after.rollouts):
        counted = {what: sum(m.what == what for m in one.moments) for what in ("ready", "deleted", "exited")}
        assert counted == {"ready": 3, "deleted": 3, "exited": 3}
        assert all(moment.at_ns >= 0 for moment in one.moments)
        assert [m.at_ns for m in one.moments] == sorted(m.at_ns for m in one.moments)


def test_bins_in_which_no_load_was_measured_are_not_known(laid: Laid) -> None:
    found = laid.found
    for one in (*found.before.rollouts, *found.after.rollouts):
        first, last = one.known
        assert 0 <= first < last <= found.count
        assert one.good[first:last].all()  # and so the end of the load looks like no loss


def test_a_long_rollout_is_drawn_in_wider_bins(tmp_path: Path) -> None:
    run = SyntheticRun.rolling(startup=60.0)
    one, pictures = side("before", run.write(tmp_path / "a"))
    other, others = side("after", clean().write(tmp_path / "b"))
    found = overlay(one, other, pictures, others)
    assert found
    assert found.width_ns > STEP_NS
    assert found.count <= MOST_BINS
    assert int(found.before.rollouts[0].failed.sum()) == one.rollouts[0].failed


def test_a_side_whose_rollouts_do_not_count_leaves_nothing_to_lay_over_another(tmp_path: Path) -> None:
    marks = tuple(
        mark for mark in SyntheticRun.rolling().run().marks if mark.mark is not Mark.ENDPOINTS_SETTLED
    )
    unseen, pictures = side("before", SyntheticRun.rolling(record={"marks": marks}).write(tmp_path / "a"))
    other, others = side("after", clean().write(tmp_path / "b"))
    assert unseen.left_out
    assert overlay(unseen, other, pictures, others) is None
    assert overlay(other, unseen, others, pictures) is None


def test_of_a_hundred_rollouts_some_are_drawn_and_all_are_counted(laid: Laid) -> None:
    one, seen = laid.before.rollouts[0], next(iter(laid.seen.values()))
    many = tuple(replace(one, number=n, lost=n * 37 % 100) for n in range(100))
    known = {(each.run, each.number, each.began_ns): seen for each in many}
    whole = replace(laid.before, rollouts=many)
    found = overlay(whole, whole, known, known)
    assert found
    drawn = found.before
    assert len(drawn.rollouts) in {MOST_DRAWN, MOST_DRAWN + 1}
    assert (drawn.rollouts[0].place, drawn.rollouts[-1].place) == (0, 99)
    assert [each.place for each in drawn.rollouts] == sorted({each.place for each in drawn.rollouts})
    assert drawn.of == 100
    assert drawn.bold.one.lost == 50
    during = next(part for part in drawn.latencies if part.phase is Phase.DURING)
    assert during.total == 100 * next(p.total for p in seen.aligned.latencies if p.phase is Phase.DURING)


def test_two_runs_of_one_name_keep_their_own_pictures(tmp_path: Path) -> None:
    first = lossy().write(tmp_path / "a")
    later = clean()
    second = later.write(tmp_path / "b")
    assert first.name == second.name
    recordings = [Recording.open(path) for path in (first, second)]
    runs, pictures = [], dict[Key, Seen]()
    for number, recording in enumerate(recordings):
        judgement, picture = judge_with_picture(recording)
        moved = replace(recording.run, wall_ns=recording.run.wall_ns + number * 3600 * S)
        run = JudgedRun(moved, judgement)
        runs.append(run)
        pictures |= keyed(run, picture)
    whole = side_of("before", runs)
    found = overlay(whole, whole, pictures, pictures)
    assert found
    assert [int(one.failed.sum()) for one in found.before.rollouts] == [one.failed for one in whole.rollouts]
    assert [one.failed > 0 for one in whole.rollouts] == [True, False]


def lost(side_: Side, values: list[int], runs: list[str]) -> Side:
    one = side_.rollouts[0]
    each = zip(values, runs, strict=True)
    return replace(side_, rollouts=tuple(replace(one, lost=n, run=run) for n, run in each))


def test_the_interval_of_what_a_side_lost_is_that_of_resampled_rollouts(laid: Laid) -> None:
    few = lost(laid.before, [0, 0, 10, 30], ["a"] * 4)
    found = mean_lost(few, by_run=False)
    assert found
    assert found.mean == 10
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < 10 < found.high <= 30
    assert mean_lost(few, by_run=False) == found  # the seed is fixed
    # Of 200 rollouts it is the interval of the normal approximation.
    many = np.random.default_rng(2).poisson(20, 200)
    wide = mean_lost(lost(laid.before, many.tolist(), ["a"] * 200), by_run=False)
    assert wide
    assert wide.low == pytest.approx(many.mean() - 1.96 * many.std() / np.sqrt(200), abs=0.1)


def test_rollouts_of_a_run_that_are_alike_count_as_one_where_runs_are_the_unit(laid: Laid) -> None:
    alike = lost(laid.before, [0] * 4 + [20] * 4 + [40] * 4, ["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    narrow, wide = (mean_lost(alike, by_run=by_run) for by_run in (False, True))
    assert narrow
    assert wide
    assert narrow.mean == wide.mean == 20
    assert None not in {narrow.low, narrow.high, wide.low, wide.high}
    assert (wide.high or 0) - (wide.low or 0) > 1.5 * ((narrow.high or 0) - (narrow.low or 0))


def test_resampling_says_nothing_of_few_rollouts_or_of_equals(laid: Laid) -> None:
    assert mean_lost(replace(laid.before, rollouts=()), by_run=False) is None
    for values in ([3], [3, 9], [0, 0, 0, 0]):
        found = mean_lost(lost(laid.before, values, ["a"] * len(values)), by_run=False)
        assert found
        assert (found.low, found.high) == (None, None)
