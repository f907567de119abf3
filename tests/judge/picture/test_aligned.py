from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.judge.numbers.hits import COLUMNS, classify
from harness.judge.picture.aligned import STEP_NS, latencies, together
from harness.judge.verdict.judgement import judge_with_picture
from harness.model import Mark, MarkAt, Phase
from harness.recording.read import Recording
from tests.judge.synthetic import S, SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path


def test_hits_are_counted_in_steps_from_the_trigger(tmp_path: Path) -> None:
    recording = Recording.open(lossy().write(tmp_path))
    judgement, picture = judge_with_picture(recording)
    found = picture.aligned
    assert found
    assert int(found.failed.sum()) == judgement.numbers.failed > 0
    assert int(found.good.sum()) == judgement.numbers.good
    assert len(found.good) == len(found.failed)
    hits = classify(recording.hits(COLUMNS), recording.run)
    at = hits.done_ns - judgement.timeline.zero_ns
    for step in (-30, -1, 0, 25):
        mine = hits.good & (at >= step * STEP_NS) & (at < (step + 1) * STEP_NS)
        assert found.good[step - found.first] == mine.sum(), step


def test_good_answers_are_counted_by_phase_and_how_long_they_took(tmp_path: Path) -> None:
    judgement, picture = judge_with_picture(Recording.open(lossy().write(tmp_path)))
    assert picture.aligned
    for one in picture.aligned.latencies:
        part = judgement.numbers.part(one.phase)
        assert part
        assert part.latency
        assert one.total == part.latency.count
        for share in ("50", "99"):
            assert one.at(int(share) / 100) == pytest.approx(part.latency.percentiles[share], rel=0.03)
    assert [one.phase for one in picture.aligned.latencies] == [Phase.BEFORE, Phase.DURING, Phase.AFTER]


def test_latencies_counted_together_are_those_of_all_answers_at_once() -> None:
    chance = np.random.default_rng(3)
    parts = [(chance.lognormal(15 + n, 1, 500)).astype(np.int64) for n in range(3)]
    one = together(latencies(Phase.DURING, part) for part in parts)
    whole = latencies(Phase.DURING, np.concatenate(parts))
    assert (one.low, one.counts.tolist()) == (whole.low, whole.counts.tolist())
    ordered = np.sort(np.concatenate(parts))
    for share in (0.01, 0.5, 0.9, 0.999, 1):
        assert whole.at(share) == pytest.approx(ordered[max(int(np.ceil(share * 1500)), 1) - 1], rel=0.0125)


def test_no_answer_has_no_latency() -> None:
    with pytest.raises(ValueError, match="no latency"):
        latencies(Phase.BEFORE, np.zeros(0, dtype=np.int64))


def test_each_rollout_of_several_is_counted_from_its_own_trigger(tmp_path: Path) -> None:
    judgement, picture = judge_with_picture(Recording.open(series(tmp_path, lossy(), clean())))
    assert picture.aligned is None
    for one, its in zip(judgement.rollouts, picture.rollouts, strict=True):
        assert its.aligned
        assert its.aligned.first < 0
        assert int(its.aligned.failed.sum()) == one.numbers.failed


def test_a_run_without_a_rollout_has_no_trigger_to_count_from(tmp_path: Path) -> None:
    marks = (MarkAt(Mark.LOAD_START, 0), MarkAt(Mark.WARMUP_END, 2 * S), MarkAt(Mark.LOAD_END, 20 * S))
    bare = SyntheticRun(record={"rollout": None, "cluster": None, "path": None, "marks": marks}).write(
        tmp_path
    )
    assert judge_with_picture(Recording.open(bare))[1].aligned is None
