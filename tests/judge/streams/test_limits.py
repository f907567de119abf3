"""Limits on how long a stream may last, or be silent: told from reloads and from pods' ends, and not the rollout's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.findings.finding import BASELINE, CLOSED, LOSSLESS
from harness.model import Grade, Mark
from tests.judge.streams.test_streams_judged import causes, grade, judged, rolling

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

# The trigger comes after 12 s of load.
FIRST_AFTER, BEFORE_TOO = 14.0, 5.0
_OF_A_LOAD = frozenset({Mark.LOAD_START, Mark.WARMUP_END, Mark.LOAD_END, Mark.DRAIN_END})
ALLOWED = {"max_baseline_failures": 0.5}


def exit_of_first(**pods: Any) -> float:
    return min(pod.exits for pod in rolling(**pods).pods if pod.exits is not None)


def said(found: Judgement, objective: str) -> str:
    return next(f.observed for f in found.verdict.findings if f.objective.startswith(objective))


@pytest.mark.parametrize("names", [True, False], ids=["pods named", "pods unknown"])
def test_a_limit_that_first_strikes_during_the_rollout_is_not_the_rollouts(
    tmp_path: Path, *, names: bool
) -> None:
    found = judged(tmp_path, closes=True, limit=FIRST_AFTER, names=names)
    assert causes(found) == {("C20",)}
    assert found.verdict.lost == 0
    assert grade(found, LOSSLESS) is Grade.PASS
    assert (grade(found, CLOSED), found.grade) == (Grade.INCONCLUSIVE, Grade.INCONCLUSIVE)
    assert "each stream is cut when it is 14.0 s old" in found.verdict.headline
    assert "C20" in found.verdict.headline
    cause = found.causes[0]
    assert not cause.the_rollouts
    assert any("timeout: 0s" in line for line in cause.mend)
    assert found.advice is None or not found.advice.patch


def test_a_limit_that_strikes_before_the_trigger_too_is_named_where_the_baseline_is_unsound(
    tmp_path: Path,
) -> None:
    found = judged(tmp_path, closes=True, limit=BEFORE_TOO)
    assert grade(found, BASELINE) is Grade.INCONCLUSIVE
    assert "each stream is cut when it is 5.00 s old" in said(found, BASELINE)
    assert grade(found, LOSSLESS) is Grade.PASS
    assert causes(found) == {("C20",)}


def test_a_rollout_that_loses_nothing_beside_a_limit_that_the_user_allows_passes(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, limit=BEFORE_TOO, record=ALLOWED)
    assert found.grade is Grade.PASS, found.verdict.headline
    assert "each stream is cut when it is 5.00 s old" in found.verdict.headline
    assert found.streams is not None
    assert found.streams.away == 0  # of those that it cut just before the end, which had no time to come back
    assert not any("reused connections" in line for cause in found.causes for line in cause.evidence)


@pytest.mark.parametrize("names", [True, False], ids=["pods named", "pods unknown"])
@pytest.mark.parametrize("limit", [FIRST_AFTER, BEFORE_TOO])
def test_a_limit_hides_no_stream_that_a_pod_cut(tmp_path: Path, limit: float, *, names: bool) -> None:
    found = judged(tmp_path, limit=limit, record=ALLOWED, names=names)
    assert found.grade is Grade.FAIL
    assert ("C20",) in causes(found)
    others = [cause for cause in found.causes if cause.the_rollouts]
    assert others
    assert all("B2" in cause.ids for cause in others)
    assert found.verdict.lost == sum(cause.hits for cause in others)
    assert f"{found.verdict.lost:,} of" in found.verdict.headline


def test_streams_that_a_pods_exit_cuts_at_the_very_age_of_a_limit_are_not_cleared(tmp_path: Path) -> None:
    end = exit_of_first(prestop=3, grace=20)
    found = judged(tmp_path, limit=12 + end, opens_over=0.0)
    assert found.grade is Grade.FAIL
    assert any("B2" in cause.ids for cause in found.causes if cause.the_rollouts)


def test_pods_that_close_their_streams_are_not_accused_where_they_end_at_the_age_of_a_limit(
    tmp_path: Path,
) -> None:
    end = exit_of_first(prestop=3, grace=20)
    for early in (0.0, 0.3, 1.0):
        found = judged(tmp_path / str(early), closes=True, limit=12 + end - early, record=ALLOWED)
        assert grade(found, LOSSLESS) is Grade.PASS, (early, found.verdict.headline)


def test_one_burst_of_streams_that_were_opened_together_may_be_a_limit_or_a_reload(tmp_path: Path) -> None:
    by_reload = judged(tmp_path / "reload", closes=True, reloads=1.0, opens_over=0.0)
    assert ("C8", "C20") in causes(by_reload)
    assert by_reload.grade is Grade.FAIL
    told = next(cause for cause in by_reload.causes if cause.ids == ("C8", "C20"))
    assert any("--trigger-after" in line for line in told.evidence)


def test_reloads_at_a_steady_pace_make_no_limit(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, reloads=(1.0, 8.0, 15.0))
    assert "C20" not in {name for ids in causes(found) for name in ids}
    assert ("C8",) in causes(found)
    assert found.grade is Grade.FAIL


def test_a_stream_that_outlasts_the_others_shows_that_there_is_no_limit(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, reloads=-6.0, opens_over=0.0, record=ALLOWED)
    assert found.streams is not None
    assert found.streams.limit == ""


def test_an_idle_timeout_cuts_after_one_silence_at_any_age(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, idle=4.5, talks=6.0)
    assert causes(found) == {("C7",)}
    assert any("proxy_read_timeout" in line for line in found.causes[0].mend)


def test_silence_that_began_with_the_rollout_may_be_the_rollouts_doing(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, idle=6.0, talks=9.0)
    assert causes(found) == {("C7",)}
    assert found.causes[0].the_rollouts
    assert found.grade is Grade.FAIL


def test_an_idle_timeout_that_cut_streams_before_the_trigger_too_is_not_the_rollouts(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, idle=4.5, talks=1.0, record=ALLOWED)
    assert causes(found) == {("C7",)}
    assert grade(found, LOSSLESS) is Grade.PASS
    assert found.streams is not None
    assert found.streams.limit == "silence"


def test_streams_that_never_had_a_message_may_have_met_either_limit(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, idle=14.5)
    assert causes(found) == {("C7", "C20")}
    assert found.grade is Grade.FAIL
    both = judged(tmp_path / "before", closes=True, idle=4.5, record=ALLOWED)
    assert "and has brought no message, with and without a rollout: an idle timeout" in said(both, CLOSED)
    assert "(C7 or C20)" in said(both, CLOSED)


def test_without_a_rollout_a_limit_fails_as_any_cut_does(tmp_path: Path) -> None:
    marks = tuple(mark for mark in rolling().run().marks if mark.mark in _OF_A_LOAD)
    record = {"marks": marks, "rollout": None, "cluster": None, "rollout_wanted": False}
    found = judged(tmp_path, closes=True, limit=BEFORE_TOO, record=record)
    assert found.grade is Grade.FAIL
    assert found.streams is not None
    assert (found.streams.limit, found.streams.limited) == ("age", 0)
    assert f"{found.streams.cut:,} of " in found.verdict.headline
    assert "handshake" not in found.verdict.headline
    assert "each stream is cut when it is 5.00 s old: a limit of the balancer (C20)" in found.verdict.headline
