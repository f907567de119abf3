from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.judge.numbers.hits import COLUMNS, classify
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.picture import failures as columns
from harness.judge.picture.buckets import MOST as MOST_BUCKETS, buckets, width_for
from harness.judge.picture.failures import spread_out
from harness.judge.timeline.timeline import Span
from harness.judge.verdict.judgement import judge, judge_with_picture, to_json
from harness.model import Mark, MarkAt, Phase
from harness.recording.answers import Answer
from harness.recording.read import Recording
from harness.recording.upstreams import Entry, keep
from tests.judge.synthetic import S, SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement


def seen(path: Path) -> tuple[Judgement, Picture]:
    return judge_with_picture(Recording.open(path))


def test_asking_for_a_picture_does_not_change_the_judgement(tmp_path: Path) -> None:
    for name, path in (("one", lossy().write(tmp_path)), ("three", series(tmp_path, clean(), lossy()))):
        found, _ = seen(path)
        assert found == judge(Recording.open(path)), name
        assert len(to_json(found)) < 100_000, "no row of a failed hit is in verdict.json"


def test_every_hit_is_in_one_bucket(tmp_path: Path) -> None:
    path = lossy().write(tmp_path)
    found, picture = seen(path)
    parts = found.numbers
    inside = [picture.buckets.good, picture.buckets.failed]
    counted = [sum(int(column.sum()) for column in each.values()) for each in inside]
    assert counted == [
        parts.good + parts.warmup_requests - parts.warmup_failed,
        parts.failed + parts.warmup_failed,
    ]
    assert {kind: int(column.sum()) for kind, column in picture.buckets.failed.items()} == {
        kind.kind: kind.count for kind in parts.kinds
    }
    assert all(len(column) == picture.buckets.count for each in inside for column in each.values())


def test_latencies_are_those_of_the_hits_that_ended_in_the_bucket(tmp_path: Path) -> None:
    recording = Recording.open(lossy().write(tmp_path))
    hits = classify(recording.hits(COLUMNS), recording.run)
    found = buckets(AllHits.of(recording), Span(0, 20 * S))
    took = hits.done_ns - hits.begun_ns
    for number in range(0, found.count, 7):
        mine = hits.good & (hits.done_ns // found.width_ns == number)
        if not mine.any():
            assert found.good_latency.p50_ns[number] == -1
            continue
        assert found.good_latency.max_ns[number] == took[mine].max()
        for share, column in ((0.5, found.good_latency.p50_ns), (0.99, found.good_latency.p99_ns)):
            assert column[number] == np.sort(took[mine])[int(np.ceil(share * mine.sum())) - 1]


def test_a_long_run_has_wider_buckets() -> None:
    assert width_for(180 * S) == S // 10
    assert width_for(7200 * S) == 2 * S
    assert all(length * S // width_for(length * S) <= MOST_BUCKETS for length in (1, 601, 86_400, 604_800))


def test_a_failed_hit_has_the_cause_that_the_summary_counts_it_under(tmp_path: Path) -> None:
    found, picture = seen(lossy().write(tmp_path))
    failed = picture.failures
    assert len(failed) == failed.total == found.numbers.failed > 0
    assert not failed.left_out
    counted = Counter(failed.causes[code] for code in failed.cause.tolist())
    assert counted == {cause.ids: cause.hits for cause in found.causes}
    for cause in found.causes:
        mine = failed.cause == failed.causes.index(cause.ids)
        assert (failed.done_ns[mine].min(), failed.done_ns[mine].max()) == (cause.first_ns, cause.last_ns)
        assert Counter(failed.kinds[code] for code in failed.kind[mine].tolist()) == cause.kinds
    assert (np.diff(failed.done_ns) >= 0).all()
    assert (failed.began_ns <= failed.done_ns).all()


def test_pods_that_fit_a_cause_by_time_are_those_of_its_evidence(tmp_path: Path) -> None:
    found, picture = seen(dataclasses.replace(lossy(), names_pods=False).write(tmp_path))
    failed = picture.failures
    assert (failed.pod == -1).all(), "no answer says which pod it was"
    for cause in found.causes:
        mine = failed.near[failed.cause == failed.causes.index(cause.ids)]
        near = {failed.pods[n] for place in mine.tolist() if place >= 0 for n in failed.nearby[place]}
        assert near == {share.pod for share in cause.pods}


def test_what_touches_the_whole_rollout_is_no_single_pods(tmp_path: Path) -> None:
    synthetic = dataclasses.replace(SyntheticRun.rolling(recreate=True), names_pods=False)
    found, picture = seen(synthetic.write(tmp_path))
    assert found.causes[0].ids == ("D3",)
    assert picture.failures.pods_of(("D3",)) == frozenset()
    found, picture = seen(dataclasses.replace(lossy(), names_pods=False).write(tmp_path / "one"))
    olds = {n for n, pod in enumerate(found.timeline.pods) if pod.old}
    assert picture.failures.pods_of(("B1",)) == olds
    assert picture.failures.pods_of(("A1",)) == frozenset()


def test_the_access_log_tells_the_pod_and_its_words(tmp_path: Path) -> None:
    path = dataclasses.replace(lossy(), names_pods=False).write(tmp_path)
    _, before = seen(path)
    olds = [pod for pod in before.timeline.pods if pod.old]
    row = (int(before.failures.worker[0]), int(before.failures.seq[0]))
    keep(path, {row: Entry(olds[0].address, "envoy", "UF,URX")})
    _, picture = seen(path)
    failed = picture.failures
    assert failed.pods[failed.pod[0]] == olds[0].name
    assert failed.log[failed.logged[0]].said == "UF,URX"
    assert (failed.logged[1:] == -1).all()


def test_an_answer_is_kept_once_for_all_hits_that_it_answered(tmp_path: Path) -> None:
    words = Answer(502, (("server", "nginx"),), "Bad Gateway")
    _, picture = seen(SyntheticRun.rolling(said={"502": words}).write(tmp_path))
    failed = picture.failures
    answered = failed.answer >= 0
    assert answered.any()
    assert {failed.answers[place] for place in failed.answer[answered].tolist()} == {words}
    assert len(failed.answers) == 1


def test_what_failed_before_the_trigger_has_no_cause(tmp_path: Path) -> None:
    _, picture = seen(dataclasses.replace(clean(), noise=0.02).write(tmp_path))
    failed = picture.failures
    early = failed.done_ns < picture.timeline.zero_ns
    assert early.any()
    assert (failed.cause[early] == -1).all()
    assert (failed.cause[~early] >= 0).all()


def test_the_focus_is_the_rollout_with_its_failures_and_a_little_around_it(tmp_path: Path) -> None:
    found, picture = seen(dataclasses.replace(lossy(), settle=60.0).write(tmp_path))
    zero, during = picture.timeline.zero_ns, found.timeline.phase(Phase.DURING)
    assert during is not None
    assert picture.focus.from_ns < zero < during.to_ns < picture.focus.to_ns
    assert picture.focus.to_ns > picture.failures.done_ns.max()
    assert picture.focus.length_ns < picture.whole.length_ns / 3
    assert picture.focuses == (picture.focus,)


def test_a_run_without_a_rollout_is_shown_whole(tmp_path: Path) -> None:
    marks = (MarkAt(Mark.LOAD_START, 0), MarkAt(Mark.WARMUP_END, 2 * S), MarkAt(Mark.LOAD_END, 20 * S))
    synthetic = clean()
    synthetic.record = {"rollout_wanted": False, "rollout": None, "cluster": None, "marks": marks}
    _, picture = seen(synthetic.write(tmp_path))
    assert picture.focus == picture.timeline.judged
    assert not len(picture.failures)
    assert not picture.bursts


def test_several_rollouts_share_one_picture_and_each_has_its_focus(tmp_path: Path) -> None:
    found, picture = seen(series(tmp_path, lossy(), clean(), lossy()))
    failed = picture.failures
    assert failed.total == len(failed) == found.numbers.failed
    assert len(picture.focuses) == 3
    for one, span in zip(found.rollouts, picture.focuses, strict=True):
        assert span.from_ns < one.timeline.zero_ns < span.to_ns
    counted = Counter(failed.causes[code] for code in failed.cause.tolist())
    by_rollout = Counter[tuple[str, ...]]()
    for one in found.rollouts:
        by_rollout.update({cause.ids: cause.hits for cause in one.causes})
    assert counted == by_rollout
    assert failed.pods[: len(found.timeline.pods)] == tuple(pod.name for pod in found.timeline.pods)
    known = failed.pod[failed.pod >= 0]
    assert all(found.timeline.pods[n].deleted_ns is not None for n in np.unique(known).tolist())
    assert picture.focus in {picture.focuses[0], picture.focuses[2]}


def test_a_burst_ends_where_two_seconds_are_quiet(tmp_path: Path) -> None:
    _, picture = seen(lossy().write(tmp_path))
    assert sum(burst.hits for burst in picture.bursts) == picture.failures.total
    for burst in picture.bursts:
        assert burst.from_ns <= burst.peak_ns <= burst.to_ns
    for ids in picture.failures.causes:
        mine = [burst for burst in picture.bursts if burst.ids == ids]
        assert all(b.from_ns - a.to_ns > 2 * S for a, b in pairwise(mine))


@pytest.mark.parametrize("most", [0, 1, 7, 60, 1000])
def test_of_too_many_failures_the_rare_kinds_are_kept_whole(most: int) -> None:
    done = np.arange(1000)
    groups = np.where(done % 100 == 0, 1, 0) + np.where(done == 500, 1, 0)
    kept = spread_out(done, groups, most)
    assert len(kept) <= most
    assert len(set(kept.tolist())) == len(kept)
    if most >= 60:
        assert (groups[kept] == 1).sum() == 9
        assert (groups[kept] == 2).sum() == 1
        assert kept[0] < 50
        assert kept[-1] > 950


def test_failures_that_are_not_drawn_are_counted_by_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for function in (columns.failures, columns.together):
        monkeypatch.setattr(function, "__defaults__", (20,))
    for path in (lossy().write(tmp_path), series(tmp_path, lossy(), lossy())):
        found, picture = seen(path)
        failed = picture.failures
        assert len(failed) <= 20 < failed.total == found.numbers.failed
        shown = Counter(failed.kinds[code] for code in failed.kind.tolist())
        shown.update(failed.left_out)
        assert shown == {kind.kind: kind.count for kind in found.numbers.kinds}
        assert not picture.drawn_all
