"""What a picture decides before anything is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.judge.timeline.timeline import Span
from harness.judge.verdict.judgement import judge_with_picture
from harness.recording.read import Recording
from harness.report.drawing import scene as scenes
from harness.report.drawing.columns import latencies, rates
from harness.report.drawing.lanes import MOST_LANES, by_state, lanes
from harness.report.drawing.scene import Moment, Scene, clock_words, placed, tick_step
from harness.report.drawing.theme import LIGHT
from tests.judge.synthetic import S, SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path


def scene(tmp_path: Path, replicas: int = 3, **how: Any) -> Scene:
    path = SyntheticRun.rolling(replicas, **how).write(tmp_path)
    return Scene(*judge_with_picture(Recording.open(path)), LIGHT)


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene(tmp_path_factory.mktemp("lossy"), probe=False, concurrency=4)


@pytest.mark.parametrize("most", [1, 2, 7, 50, 5000])
def test_no_request_is_lost_or_counted_twice_when_buckets_are_joined(lossy: Scene, most: int) -> None:
    whole = lossy.picture.whole
    found = rates(lossy.picture.buckets, whole, most)
    assert len(found.good) <= most
    seconds = np.diff(found.edges_ns) / S
    failed = float((found.all_failed * seconds).sum())
    assert failed == pytest.approx(lossy.judgement.numbers.failed)
    good = sum(int(counts.sum()) for counts in lossy.picture.buckets.good.values())
    assert float((found.good * seconds).sum()) == pytest.approx(good)


def test_a_part_of_the_run_has_only_the_requests_that_ended_there(lossy: Scene) -> None:
    zero = lossy.timeline.zero_ns
    before = rates(lossy.picture.buckets, Span(lossy.picture.whole.from_ns, zero), 20)
    assert not before.all_failed.any()
    assert before.good.any()


@pytest.mark.parametrize(("from_s", "to_s"), [(-1000, -900), (0, 0), (900, 1000)])
def test_a_span_in_which_nothing_was_recorded_is_no_error(lossy: Scene, from_s: int, to_s: int) -> None:
    zero = lossy.timeline.zero_ns
    span = Span(zero + from_s * S, zero + to_s * S)
    assert len(rates(lossy.picture.buckets, span, 10).good) >= 1
    assert len(latencies(lossy.picture.buckets, span, 10).p50) >= 1


def test_joined_latencies_never_hide_the_slowest(lossy: Scene) -> None:
    fine = latencies(lossy.picture.buckets, lossy.picture.whole, 10_000)
    rough = latencies(lossy.picture.buckets, lossy.picture.whole, 5)
    assert np.nanmax(rough.most) == np.nanmax(fine.most)
    assert np.nanmax(rough.failed) == np.nanmax(fine.failed)
    assert (rough.p50 <= rough.p99).all()


def test_failures_are_marks_up_to_a_number_and_then_bars(
    lossy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Scene(lossy.judgement, lossy.picture, LIGHT).as_marks
    monkeypatch.setattr(scenes, "MOST_MARKS", lossy.in_view - 1)
    assert not Scene(lossy.judgement, lossy.picture, LIGHT).as_marks


def test_failures_that_are_not_all_there_are_never_marks(lossy: Scene) -> None:
    some = replace(lossy.picture, failures=replace(lossy.picture.failures, total=10**6))
    assert not Scene(lossy.judgement, some, LIGHT).as_marks


def test_a_run_that_is_hardly_longer_than_its_rollout_is_drawn_whole(lossy: Scene) -> None:
    whole = lossy.picture.whole
    almost = replace(lossy.picture, focus=Span(whole.from_ns + whole.length_ns // 20, whole.to_ns))
    assert lossy.focused
    drawn = Scene(lossy.judgement, almost, LIGHT)
    assert not drawn.focused
    assert drawn.span == whole


def test_every_pod_has_a_lane_or_is_counted(tmp_path: Path) -> None:
    few = scene(tmp_path / "few", MOST_LANES // 2, startup=0.2)
    chosen = lanes(few.timeline, few.judgement.causes, few.span)
    assert (len(chosen.pods), chosen.folded, chosen.words) == (MOST_LANES, False, "")
    many = scene(tmp_path / "many", MOST_LANES // 2 + 1, startup=0.2, prestop=4, grace=20)
    chosen = lanes(many.timeline, many.judgement.causes, many.span)
    assert (len(chosen.pods), len(chosen.all_pods), chosen.folded) == (0, MOST_LANES + 2, True)
    assert str(MOST_LANES + 2) in chosen.words


def test_the_lanes_that_stay_are_of_the_pods_at_which_most_failed(tmp_path: Path) -> None:
    many = scene(tmp_path, 20, probe=False, startup=0.3)
    chosen = lanes(many.timeline, many.judgement.causes, many.span)
    lost: dict[str, int] = {}
    for cause in many.judgement.causes:
        for share in cause.pods:
            lost[share.pod] = lost.get(share.pod, 0) + share.hits
    least = min(lost[pod.name] for pod in chosen.pods)
    others = [pod.name for pod in many.timeline.pods if pod not in chosen.pods]
    assert all(lost.get(name, 0) <= least for name in others)
    assert [pod.old for pod in chosen.pods] == sorted((pod.old for pod in chosen.pods), reverse=True)


def test_each_pod_is_in_one_state_at_a_time(tmp_path: Path) -> None:
    many = scene(tmp_path, 20, probe=False, startup=0.3)
    old = [pod for pod in many.timeline.pods if pod.old]
    _, found = by_state(old, many.span, many.timeline.judged.to_ns)
    there = sum(found.values(), start=np.zeros(1, dtype=np.int64))
    assert there[0] == 20
    assert there.max() == 20
    assert there[-1] == 0


def test_names_of_moments_do_not_overlap() -> None:
    close = tuple(Moment(t_s, "rollout status done", 1, "-") for t_s in (0.0, 0.1, 0.2, 7.0, 9.9))
    rows = placed(close, (0.0, 10.0), 7.6, 0.078)
    assert rows == [0, 1, -1, 0, 1]
    assert placed((Moment(3, "", 1, "-"),), (0.0, 10.0), 7.6, 0.078) == [-1]


@pytest.mark.parametrize("length_s", [0.5, 1, 9, 10, 61, 599, 3600, 7200, 100_000, 10_000_000])
@pytest.mark.parametrize("in_minutes", [False, True])
def test_an_axis_never_has_too_many_numbers(length_s: float, *, in_minutes: bool) -> None:
    assert length_s / tick_step(length_s, 12, in_minutes=in_minutes) <= 116 / 9


@pytest.mark.parametrize(
    ("seconds", "in_minutes", "words"),
    [(12, False, "12"), (-0.5, False, "-0.5"), (125, True, "2:05"), (-30, True, "-0:30"), (0, True, "0:00")],
)
def test_places_on_the_axis_are_said_shortly(seconds: float, words: str, *, in_minutes: bool) -> None:
    assert clock_words(seconds, in_minutes=in_minutes) == words
