from __future__ import annotations

from dataclasses import replace

from harness.clock import NS
from harness.model import NEVER
from harness.run import steps
from harness.run.steps import Leg, Step, course, step_now
from harness.run.stopping import Limits, Standing, why_stop

LIMITS = Limits(
    duration_ns=60 * NS, trigger_after_ns=20 * NS, settle_ns=30 * NS, max_time_ns=600 * NS, rollout_ns=12 * NS
)
BEGUN = Step(steps.ROLLOUT, 22 * NS)
ROLLING = Standing(now_ns=30 * NS, warmup_end_ns=2 * NS, trigger_ns=22 * NS)
OVER = replace(ROLLING, old_pods_gone_ns=40 * NS, endpoints_settled_ns=41 * NS)


def test_a_rollout_ends_when_nobody_knows() -> None:
    assert step_now(BEGUN, ROLLING, LIMITS) == Step(steps.ROLLOUT, 22 * NS, NEVER)


def test_what_was_begun_on_purpose_is_the_step() -> None:
    lull = Step(steps.LULL, 20 * NS, 25 * NS)
    assert step_now(lull, ROLLING, LIMITS) is lull


def test_before_somebody_elses_change_the_run_waits() -> None:
    assert step_now(BEGUN, replace(ROLLING, trigger_ns=NEVER), LIMITS) == Step(steps.WAITING, 22 * NS)


def test_a_command_that_still_runs_is_still_the_rollout() -> None:
    assert step_now(BEGUN, replace(OVER, command_running=True), LIMITS).name == steps.ROLLOUT


def test_settling_ends_when_the_run_would_stop() -> None:
    cases = (
        OVER,
        replace(OVER, last_failed_ns=60 * NS),
        replace(OVER, last_failed_ns=60 * NS, clean_before=False),
    )
    for at in cases:
        settling = step_now(BEGUN, at, LIMITS)
        assert settling.name == steps.SETTLING
        just_before = replace(at, now_ns=settling.until_ns - 1)
        assert why_stop(just_before, LIMITS, rollout=True) is None
        assert why_stop(replace(at, now_ns=settling.until_ns), LIMITS, rollout=True) == "settled"


def test_settling_lasts_until_the_load_s_duration_is_over() -> None:
    long = replace(LIMITS, duration_ns=300 * NS)
    assert step_now(BEGUN, OVER, long).until_ns == 302 * NS


def test_the_course_of_a_run_names_its_steps_in_order() -> None:
    assert course(LIMITS, rollout=True, lull_ns=5 * NS) == (
        Leg(steps.WARMUP, 2 * NS),
        Leg(steps.BASELINE, 20 * NS),
        Leg(steps.LULL, 5 * NS),
        Leg(steps.ROLLOUT, 12 * NS),
        Leg(steps.SETTLING, 30 * NS),
    )
    assert course(LIMITS, rollout=False, lull_ns=0) == (Leg(steps.WARMUP, 2 * NS), Leg(steps.LOAD, 60 * NS))
