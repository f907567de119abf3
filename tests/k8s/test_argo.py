"""What an Argo Rollout says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from harness.k8s import argo
from harness.k8s.argosteps import happenings
from harness.k8s.selectors import service_selects
from tests.argorollouts import BLUE_GREEN, NEW, OLD, STEPS, healthy, midway, rollout

PAUSED = {"phase": "Paused", "message": "CanaryPauseStep", "controllerPause": True}
AT_STEP = [{"reason": "CanaryPauseStep", "startTime": "2026-11-25T14:02:11Z"}]


def test_a_rollout_is_over_when_it_is_healthy_and_its_new_replicaset_is_the_stable_one() -> None:
    now = argo.standing(rollout(**healthy()))
    assert (now.phase, now.message, now.failed) == (argo.HEALTHY, "", "")


def test_healthy_of_an_older_generation_is_not_over() -> None:
    stale = rollout(generation=3, observed=2, **healthy())
    assert argo.standing(stale).message == "waiting for the change to be observed"
    assert argo.standing(rollout(generation=2, **healthy()), generation=3).phase == argo.PROGRESSING


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"updatedReplicas": 4}, "4 of 5 new replicas have been updated"),
        ({"availableReplicas": 3}, "3 of 5 updated replicas are available"),
        ({"replicas": 6}, "1 old replicas are pending termination"),
        (
            {"stableRS": OLD, "currentStepIndex": 2},
            "step 3 of 4 (setWeight 60): the new ReplicaSet is not the stable",
        ),
        ({"controllerPause": True}, "waiting for it to go on after a pause"),
    ],
)
def test_healthy_is_believed_only_where_its_numbers_say_the_same(status: dict[str, Any], said: str) -> None:
    now = argo.standing(rollout(**(healthy(NEW) | status)))
    assert now.phase == argo.PROGRESSING
    assert said in now.message


def test_before_1_0_no_phase_was_written_and_the_numbers_tell() -> None:
    old_controller = {name: value for name, value in healthy().items() if name != "phase"}
    assert argo.standing(rollout(**old_controller)).phase == argo.HEALTHY
    assert argo.standing(rollout(**old_controller | {"updatedReplicas": 2})).phase == argo.PROGRESSING
    # Its observedGeneration was a hash of the spec.
    assert (
        argo.standing({**rollout(), "status": old_controller | {"observedGeneration": "5f8c"}}).phase
        == argo.HEALTHY
    )


def test_a_rollout_without_any_status_is_not_over() -> None:
    assert argo.standing(rollout()).phase == argo.PROGRESSING


def test_a_pause_step_without_a_duration_waits_for_somebody() -> None:
    held = rollout(**midway(currentStepIndex=1, pauseConditions=AT_STEP, **PAUSED))
    now = argo.standing(held)
    assert now.phase == argo.PAUSED
    assert now.message == "paused at step 2 of 4 (pause without a duration), until somebody promotes it"
    assert argo.pause(held) == argo.Pause(now.message.removeprefix("paused "), timed=False)


@pytest.mark.parametrize(("duration", "said"), [(30, "for 30 s"), ("30", "for 30 s"), ("1m30s", "for 90 s")])
def test_a_pause_step_with_a_duration_goes_on_by_itself(duration: object, said: str) -> None:
    steps = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": duration}}]}}
    held = argo.pause(rollout(strategy=steps, **midway(currentStepIndex=1, pauseConditions=AT_STEP)))
    assert held is not None
    assert held.timed
    assert held.words.endswith(said)


@pytest.mark.parametrize("duration", ["soon", "1 hour", -5, None])
def test_what_is_no_duration_is_not_taken_for_one(duration: object) -> None:
    steps = {"canary": {"steps": [{"pause": {"duration": duration}}]}}
    held = argo.pause(rollout(strategy=steps, **midway(currentStepIndex=0, pauseConditions=AT_STEP)))
    assert held is not None
    assert not held.timed


def test_a_blue_green_pause_is_timed_only_where_it_is_promoted_by_itself() -> None:
    waits = [{"reason": "BlueGreenPause"}]

    def held(**given: Any) -> argo.Pause | None:
        strategy = {"blueGreen": {**BLUE_GREEN["blueGreen"], **given}}
        return argo.pause(rollout(strategy=strategy, pauseConditions=waits))

    assert held(autoPromotionSeconds=60) == argo.Pause(
        "before the active Service is switched, for 60 s", timed=True
    )
    by_hand = argo.Pause("before the active Service is switched, until somebody promotes it", timed=False)
    assert held() == held(autoPromotionEnabled=False, autoPromotionSeconds=60) == by_hand


def test_a_pause_by_hand_is_told_apart() -> None:
    held = argo.standing(rollout(spec={"paused": True}, **healthy()))
    assert (held.phase, held.message) == (argo.PAUSED, "paused by hand (spec.paused)")


def test_an_abort_is_told_apart_from_a_rollout_that_is_degraded() -> None:
    gone = argo.standing(
        rollout(**midway(abort=True, phase="Degraded", message="RolloutAborted: metric failed"))
    )
    assert gone.failed == "RolloutAborted"
    assert gone.message == "the update was aborted (RolloutAborted: metric failed)"
    late = argo.standing(
        rollout(**midway(phase="Degraded", message='ProgressDeadlineExceeded: it "timed out"'))
    )
    assert late.failed == "ProgressDeadlineExceeded"
    assert argo.standing(rollout(**midway(phase="Degraded", message=""))).failed == "Degraded"


def test_a_restart_is_over_when_its_moment_is_the_one_that_was_asked_for() -> None:
    asked = {"restartAt": "2026-11-25T14:02:11Z"}
    assert "restartAt" in argo.standing(rollout(spec=asked, **healthy())).message
    assert (
        "restartAt"
        in argo.standing(rollout(spec=asked, **healthy(restartedAt="2026-11-25T13:00:00Z"))).message
    )
    assert (
        argo.standing(rollout(spec=asked, **healthy(restartedAt="2026-11-25T14:02:11Z"))).phase
        == argo.HEALTHY
    )


def test_a_blue_green_rollout_is_not_over_before_its_active_service_leads_to_the_new_pods() -> None:
    old = healthy(NEW, blueGreen={"activeSelector": OLD, "previewSelector": NEW})
    assert (
        argo.standing(rollout(strategy=BLUE_GREEN, **old)).message
        == "the active Service has not been switched yet"
    )
    new = healthy(NEW, blueGreen={"activeSelector": NEW, "previewSelector": NEW}, replicas=10)
    assert (
        argo.standing(rollout(strategy=BLUE_GREEN, **new)).phase == argo.HEALTHY
    )  # the old pods are kept for a while


def test_an_update_is_under_way_while_the_stable_replicaset_is_the_old_one() -> None:
    assert argo.under_way(rollout(**midway()))
    assert not argo.under_way(rollout(**healthy()))
    assert not argo.under_way(rollout(**midway(abort=True, phase="Degraded")))


def test_old_pods_are_kept_after_a_switch_for_30_s_where_nothing_is_said() -> None:
    assert argo.scale_down_s({"strategy": BLUE_GREEN}) == 30
    assert argo.scale_down_s({"strategy": {"blueGreen": {"scaleDownDelaySeconds": 0}}}) == 0
    assert argo.scale_down_s({"strategy": {"canary": {"steps": list(STEPS)}}}) == 0
    assert argo.scale_down_s({"strategy": {"canary": {"trafficRouting": {"nginx": {}}}}}) == 30


def kinds(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind, one.words) for one in happenings(before, after)]


def test_the_steps_of_a_canary_are_told_one_by_one() -> None:
    begun = rollout(**midway())
    assert kinds(rollout(**healthy()), begun) == [("step", "step 1 of 4 (setWeight 20)")]
    held = rollout(**midway(currentStepIndex=1, pauseConditions=AT_STEP, **PAUSED))
    told = kinds(begun, held)
    assert [kind for kind, _ in told] == ["step", "paused"]
    assert "until somebody promotes it" in told[1][1]
    on = kinds(held, rollout(**midway(currentStepIndex=2)))
    assert on == [("step", "step 3 of 4 (setWeight 60)"), ("resumed", "goes on after the pause")]
    done = kinds(rollout(**midway(currentStepIndex=3)), rollout(**healthy(NEW)))
    assert done == [("step", "all 4 steps done"), ("stable", f"ReplicaSet {NEW} is the stable one")]


def test_a_weight_is_told_where_a_traffic_router_was_told_it() -> None:
    def routed(weight: int) -> dict[str, Any]:
        return rollout(
            **midway(canary={"weights": {"canary": {"weight": weight}, "stable": {"weight": 100 - weight}}})
        )

    assert kinds(routed(20), routed(60)) == [("weight", "60 % of the traffic to new pods")]
    assert kinds(routed(60), routed(60)) == []


def test_the_switches_of_a_blue_green_rollout_are_told_with_the_services_names() -> None:
    def at(active: str, preview: str) -> dict[str, Any]:
        return rollout(strategy=BLUE_GREEN, blueGreen={"activeSelector": active, "previewSelector": preview})

    assert kinds(at(OLD, OLD), at(OLD, NEW)) == [
        ("preview", f"preview Service web-preview switched to {NEW}")
    ]
    assert kinds(at(OLD, NEW), at(NEW, NEW)) == [("active", f"active Service web switched to {NEW}")]


def test_an_abort_is_no_resumption() -> None:
    held = rollout(**midway(currentStepIndex=1, pauseConditions=AT_STEP, **PAUSED))
    told = kinds(held, rollout(**midway(currentStepIndex=0, abort=True, phase="Degraded", message="by hand")))
    assert ("aborted", "the update was aborted (by hand)") in told
    assert all(kind != "resumed" for kind, _ in told)


def test_the_hash_that_argo_adds_to_a_services_selector_hides_no_pods_from_it() -> None:
    labels = {"app": "web"}
    service = {"spec": {"selector": {"app": "web", argo.HASH: NEW}}}
    assert service_selects(service, labels)
    assert service_selects(service, labels | {argo.HASH: NEW})
    assert not service_selects(service, labels | {argo.HASH: OLD})
    assert not service_selects({"spec": {"selector": {argo.HASH: NEW}}}, labels)
