"""An Argo Rollout before and during a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.clock import NS
from harness.errors import UsageError
from harness.judge.findings.finding import COVERED
from harness.judge.verdict.judgement import judge
from harness.model import ClusterFacts, PathProof
from harness.recording.read import Recording
from harness.report.summary.remedies import remedy
from harness.run.announcing import restarted_by
from harness.run.change.aftermath import outcome, way_back, what_rolls
from harness.run.preflight.argo import check, reached
from harness.run.preflight.workload import Subject
from harness.run.stopping import Disturbance, Limits, Standing, why_stop
from harness.scenario.trigger import parse
from tests.argorollouts import BLUE_GREEN, healthy, midway, rollout
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

UPDATE, RESTART = parse("set-image app=img:2"), parse("restart")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            {"workloadRef": {"kind": "Deployment", "name": "web"}},
            "takes its pod template from Deployment web",
        ),
        ({"template": None}, "no spec.template"),
        ({"strategy": {}}, "neither spec.strategy.canary nor spec.strategy.blueGreen"),
        ({"paused": True}, "kubectl argo rollouts promote web"),
    ],
)
def test_a_rollout_that_cannot_be_rolled_out_as_it_is_is_refused_in_one_line(
    broken: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as error:
        check(rollout(spec=broken, **healthy()), UPDATE)
    assert "\n" not in str(error.value)


def test_an_update_that_is_under_way_is_not_disturbed_and_may_be_watched() -> None:
    with pytest.raises(UsageError, match=r"under way .*--trigger observe"):
        check(rollout(**midway()), UPDATE)
    check(rollout(**midway()), parse("observe"))


def test_an_aborted_update_is_ended_by_a_new_one_alone() -> None:
    aborted = rollout(**midway(abort=True, phase="Degraded", message="metric"))
    with pytest.raises(UsageError, match="would never be over"):
        check(aborted, RESTART)
    assert any("was aborted" in note for note in check(aborted, UPDATE))
    check(aborted, parse("observe"))


def test_a_pause_that_waits_for_somebody_is_announced_before_the_run() -> None:
    assert any(
        "step 2 of web pauses until somebody promotes it" in note
        for note in check(rollout(**healthy()), UPDATE)
    )
    timed = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": 5}}]}}
    assert check(rollout(strategy=timed, **healthy()), UPDATE) == ()


def test_blue_green_says_how_long_old_pods_are_kept_and_who_promotes() -> None:
    notes = check(rollout(strategy=BLUE_GREEN, **healthy()), UPDATE)
    assert any("keeps its old pods for 30 s" in note for note in notes)
    by_hand = {"blueGreen": {"activeService": "web", "autoPromotionEnabled": False}}
    assert any(
        "not promoted by itself" in note for note in check(rollout(strategy=by_hand, **healthy()), UPDATE)
    )


def test_a_restart_says_that_it_takes_no_canary_steps() -> None:
    (note,) = check(rollout(**healthy()), RESTART)
    assert "without canary steps" in note
    assert restarted_by("Rollout") == "spec.restartAt"


def test_the_preview_service_takes_no_users_requests() -> None:
    services = [{"metadata": {"name": name}} for name in ("web", "web-preview")]
    assert reached(services, rollout(strategy=BLUE_GREEN)) == services[:1]
    assert reached(services, rollout()) == services


def test_a_restart_is_a_change_although_template_and_size_stay() -> None:
    assert what_rolls(rollout()) != what_rolls(rollout(spec={"restartAt": "2026-11-25T14:02:11Z"}))


def test_the_way_back_is_the_one_of_argo_s_plugin() -> None:
    facts = ClusterFacts(
        "https://10.0.0.1", "staging", "shop", "Rollout", "web", "uid-web", "v1.30.2", "admin"
    )
    subject = Subject(facts, rollout(), UPDATE, (), (), (), PathProof(proven=True, how=""), ())
    line = way_back(subject, changed=True, over=False)
    assert "kubectl --context staging -n shop argo rollouts status web" in line
    assert line.endswith("argo rollouts undo web")


LIMITS = Limits(60 * NS, 20 * NS, 30 * NS, 2700 * NS)


def test_a_rollout_that_argo_aborted_ends_the_run_once_it_has_come_to_rest() -> None:
    at = Standing(now_ns=100 * NS, warmup_end_ns=2 * NS, trigger_ns=22 * NS, last_progress_ns=90 * NS)
    rest = Disturbance(at_rest_ns=75 * NS, given_up=True)
    assert why_stop(replace(at, disturbed=rest), LIMITS, rollout=True) is None
    assert why_stop(replace(at, disturbed=rest, now_ns=105 * NS), LIMITS, rollout=True) == "rollout_stalled"
    # One that is not aborted goes on until its deadline, and one that is not at rest is still changing pods.
    assert (
        why_stop(replace(at, disturbed=Disturbance(at_rest_ns=0), now_ns=300 * NS), LIMITS, rollout=True)
        is None
    )
    assert (
        why_stop(replace(at, disturbed=Disturbance(given_up=True), now_ns=300 * NS), LIMITS, rollout=True)
        is None
    )


def test_a_pause_that_is_waited_for_is_no_stuck_pod(tmp_path: Path) -> None:
    made = SyntheticRun.rolling(prestop=4, grace=20)
    whole = made.run()
    assert whole.rollout is not None
    waits = "paused at step 2 of 4 (pause without a duration), until somebody promotes it"
    made.record = {
        "ended_by": "rollout_stalled",
        "rollout": replace(whole.rollout, state="stalled", reason=waits),
    }
    found = judge(Recording.open(made.write(tmp_path)))
    (stalled,) = [one for one in found.verdict.findings if one.objective == COVERED]
    assert stalled.observed == f"the rollout stalled ({waits})"
    assert "promote" in remedy(stalled, found)


def test_the_reason_of_an_aborted_rollout_is_argo_s_own_word() -> None:
    from harness.cluster.rollout.progress import Progress, Status

    aborted = Status(done=False, message="the update was aborted (metric)", failed="RolloutAborted")
    now = Progress(aborted, 3, 1, 4, enough=False, endpoints_settled=True)
    state, reason = outcome(now, "rollout_stalled", "", over=False)
    assert state == "stalled"
    assert "RolloutAborted" in reason
    assert "the update was aborted (metric)" in reason
