from __future__ import annotations

from dataclasses import replace

from harness.clock import NS
from harness.model import LiveCounts
from harness.run.stopping import Disturbance, Limits, Standing, Tally, baseline_share, is_down, why_stop

LIMITS = Limits(
    duration_ns=60 * NS,
    trigger_after_ns=20 * NS,
    settle_ns=30 * NS,
    max_time_ns=600 * NS,
    progress_deadline_ns=100 * NS,
)
START = 2 * NS
ROLLING = Standing(now_ns=30 * NS, warmup_end_ns=START, trigger_ns=22 * NS)
OVER = replace(ROLLING, old_pods_gone_ns=40 * NS, endpoints_settled_ns=41 * NS)


def test_a_load_without_a_rollout_ends_after_its_duration() -> None:
    assert why_stop(Standing(61 * NS, START), LIMITS, rollout=False) is None
    assert why_stop(Standing(62 * NS, START), LIMITS, rollout=False) == "duration"


def test_the_load_goes_on_while_an_old_pod_is_there_however_long_it_lasts() -> None:
    assert why_stop(replace(ROLLING, now_ns=110 * NS, last_progress_ns=90 * NS), LIMITS, rollout=True) is None


def test_a_run_ends_when_the_rollout_is_over_settled_and_the_duration_has_passed() -> None:
    assert why_stop(replace(OVER, now_ns=70 * NS), LIMITS, rollout=True) is None
    assert why_stop(replace(OVER, now_ns=71 * NS), LIMITS, rollout=True) == "settled"


def test_settling_is_counted_from_the_last_failed_hit() -> None:
    late = replace(OVER, now_ns=71 * NS, last_failed_ns=60 * NS)
    assert why_stop(late, LIMITS, rollout=True) is None
    assert why_stop(replace(late, now_ns=90 * NS), LIMITS, rollout=True) == "settled"


def test_a_service_that_answers_nothing_any_more_has_not_settled() -> None:
    silent = replace(OVER, now_ns=75 * NS, last_good_ns=60 * NS, in_flight=10)
    assert why_stop(silent, LIMITS, rollout=True) is None
    assert why_stop(replace(silent, last_good_ns=74 * NS), LIMITS, rollout=True) == "settled"
    assert why_stop(replace(silent, service_down=True), LIMITS, rollout=True) == "settled"


def test_between_two_hits_of_a_slow_schedule_nothing_is_silent() -> None:
    at_rest = replace(OVER, now_ns=75 * NS, last_good_ns=60 * NS, in_flight=0)
    assert why_stop(at_rest, LIMITS, rollout=True) == "settled"


def test_once_the_hits_of_a_silence_have_timed_out_settling_counts_from_there() -> None:
    timed_out = replace(OVER, now_ns=110 * NS, last_good_ns=60 * NS, in_flight=10, last_failed_ns=85 * NS)
    assert why_stop(timed_out, LIMITS, rollout=True) is None
    assert why_stop(replace(timed_out, now_ns=115 * NS), LIMITS, rollout=True) == "settled"


def test_failures_that_were_there_before_do_not_keep_a_run_from_settling() -> None:
    noisy = replace(OVER, now_ns=71 * NS, last_failed_ns=70 * NS, clean_before=False)
    assert why_stop(noisy, LIMITS, rollout=True) == "settled"


def test_a_short_rollout_does_not_end_the_load_before_its_duration() -> None:
    limits = replace(LIMITS, settle_ns=NS)
    assert why_stop(replace(OVER, now_ns=50 * NS), limits, rollout=True) is None
    assert why_stop(replace(OVER, now_ns=62 * NS), limits, rollout=True) == "settled"


def test_a_rollout_without_progress_is_given_up_after_its_deadline_and_30_seconds() -> None:
    assert why_stop(replace(ROLLING, now_ns=152 * NS), LIMITS, rollout=True) is None
    assert why_stop(replace(ROLLING, now_ns=153 * NS), LIMITS, rollout=True) == "rollout_stalled"
    assert why_stop(replace(ROLLING, now_ns=153 * NS, last_progress_ns=60 * NS), LIMITS, rollout=True) is None


CHANGED = Disturbance(there=True)


def test_a_rollout_that_somebody_changed_is_seen_until_it_has_settled_and_no_longer() -> None:
    assert why_stop(replace(ROLLING, disturbed=CHANGED), LIMITS, rollout=True) is None
    over = replace(OVER, disturbed=CHANGED, warmup_end_ns=30 * NS)
    assert why_stop(replace(over, now_ns=70 * NS), LIMITS, rollout=True) is None
    assert why_stop(replace(over, now_ns=71 * NS), LIMITS, rollout=True) == "changed"


def test_a_paused_rollout_ends_the_run_once_its_pods_have_been_at_rest_for_the_settle_time() -> None:
    paused = replace(ROLLING, disturbed=replace(CHANGED, paused=True, at_rest_ns=25 * NS))
    assert why_stop(replace(paused, now_ns=54 * NS), LIMITS, rollout=True) is None
    assert why_stop(replace(paused, now_ns=55 * NS), LIMITS, rollout=True) == "changed"
    moving = replace(paused, now_ns=55 * NS, disturbed=replace(CHANGED, paused=True))
    assert why_stop(moving, LIMITS, rollout=True) is None


def test_a_deleted_workload_ends_the_run_when_its_pods_are_gone_or_after_the_settle_time() -> None:
    gone = replace(ROLLING, disturbed=replace(CHANGED, deleted_ns=25 * NS))
    assert why_stop(replace(gone, now_ns=54 * NS), LIMITS, rollout=True) is None
    assert why_stop(replace(gone, now_ns=55 * NS), LIMITS, rollout=True) == "deleted"
    rested = replace(gone, disturbed=replace(gone.disturbed, at_rest_ns=29 * NS))
    assert why_stop(replace(rested, now_ns=30 * NS), LIMITS, rollout=True) == "deleted"


def test_max_time_ends_everything() -> None:
    assert (
        why_stop(replace(ROLLING, now_ns=600 * NS, last_progress_ns=590 * NS), LIMITS, rollout=True)
        == "max_time"
    )


def test_an_interrupt_beats_every_other_reason() -> None:
    assert (
        why_stop(replace(OVER, now_ns=600 * NS, interrupted=True, workers_lost=True), LIMITS, rollout=True)
        == "interrupted"
    )


def test_a_lost_worker_ends_the_run() -> None:
    assert why_stop(replace(ROLLING, workers_lost=True), LIMITS, rollout=True) == "worker_lost"


def test_the_baseline_s_share_counts_only_what_came_in_between() -> None:
    assert (
        baseline_share(LiveCounts(completed=100, failed=50), LiveCounts(completed=1100, failed=51)) == 0.001
    )


def test_a_baseline_in_which_nothing_was_completed_is_unsound() -> None:
    assert baseline_share(LiveCounts(), LiveCounts()) == 1.0


def history(seconds: int, share: float) -> list[Tally]:
    return [Tally(t * NS // 10, 100 * t, int(100 * t * share)) for t in range(seconds * 10 + 1)]


def test_a_service_is_down_after_30_seconds_of_mostly_failures() -> None:
    assert is_down(history(31, 0.6))
    assert not is_down(history(29, 0.6))
    assert not is_down(history(31, 0.4))


def test_one_good_second_within_the_30_is_not_down() -> None:
    rows = history(40, 0.9)
    healed = [Tally(t, c + (5000 if t > 20 * NS else 0), f) for t, c, f in rows]
    assert not is_down(healed)


def test_a_service_that_answers_nothing_at_all_is_down() -> None:
    assert is_down([Tally(t * NS // 10, 500, 0) for t in range(320)])
