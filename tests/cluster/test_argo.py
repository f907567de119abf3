"""An Argo Rollout as the workload: its patches, how far it is, what a recording keeps, what a run may do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.permission.rbac import needs
from harness.cluster.rollout.estimate import rollout_ns
from harness.cluster.rollout.hands import Hands
from harness.cluster.rollout.history import revisions_left
from harness.cluster.rollout.progress import first_sign, kubectl_status, leaving, progress
from harness.cluster.rollout.view import Baseline, View, doomed, pods_of, restart_at, revisions
from harness.cluster.trigger import patch_for, was_made
from harness.cluster.watching.reduce import manifest, reduced
from harness.model import ClusterEvent
from harness.recording import shapes
from harness.scenario.trigger import parse
from harness.scenario.values import kind_and_name
from tests.argorollouts import BLUE_GREEN, NEW, OLD, healthy, midway, rollout

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 25, 14, 2, 11, 345678, tzinfo=UTC)
RESTART = {"restartAt": "2026-11-25T14:02:11Z"}


def event(kind: str, obj: dict[str, Any], change: str = "MODIFIED", t_ns: int = 0) -> ClusterEvent:
    metadata = obj["metadata"]
    return ClusterEvent(t_ns, change, kind, "shop", metadata["name"], metadata["uid"], obj)


def replicaset(hash_: str, size: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"web-{hash_}",
            "uid": f"uid-rs-{hash_}",
            "ownerReferences": [{"uid": "uid-web"}],
        },
        "spec": {"replicas": size},
    }


def pod(hash_: str, number: int, *, going: bool = False) -> dict[str, Any]:
    name = f"web-{hash_}-{number}"
    return {
        "metadata": {
            "name": name, "uid": f"uid-{name}", "labels": {"app": "web", "rollouts-pod-template-hash": hash_},
            "ownerReferences": [{"uid": f"uid-rs-{hash_}"}],
            **({"deletionTimestamp": "2026-11-25T14:02:12Z"} if going else {}),
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def served(*pods: dict[str, Any]) -> dict[str, Any]:
    endpoints = [
        {"targetRef": {"uid": one["metadata"]["uid"]}, "conditions": {"ready": True}} for one in pods
    ]
    labels = {"kubernetes.io/service-name": "web"}
    return {"metadata": {"name": "web-x", "uid": "uid-slice", "labels": labels}, "endpoints": endpoints}


def view_of(
    workload: dict[str, Any], *pods: dict[str, Any], serving: tuple[dict[str, Any], ...] = ()
) -> View:
    view = View()
    view.apply(event("Rollout", reduced("Rollout", workload)))
    for hash_ in (OLD, NEW):
        view.apply(event("ReplicaSet", replicaset(hash_, 2)))
    for one in pods:
        view.apply(event("Pod", one))
    view.apply(event("EndpointSlice", served(*serving)))
    return view


def baseline(view: View) -> Baseline:
    workload = view.workload
    return Baseline(
        pods_of(view), OLD, workload["spec"]["template"], workload["spec"]["template"], 2, replicas=2,
        restart_at=restart_at(workload), size=2,
    )  # fmt: skip


OLDS, NEWS = (pod(OLD, 1), pod(OLD, 2)), (pod(NEW, 1), pod(NEW, 2))
BEFORE = rollout(wanted=2, **healthy(wanted=2))


@pytest.mark.parametrize("text", ["rollout/web", "rollouts/web", "ro/web", "Rollout/web"])
def test_a_rollout_is_named_as_kubectl_names_it(text: str) -> None:
    assert kind_and_name(text) == ("Rollout", "web")


def test_a_restart_is_argos_own_patch_in_whole_seconds_of_utc(tmp_path: Path) -> None:
    patch = patch_for(parse("restart"), BEFORE, NOW, tmp_path)
    assert patch == {"spec": RESTART}
    assert was_made(parse("restart"), patch, BEFORE, rollout(spec=RESTART))
    assert not was_made(parse("restart"), patch, BEFORE, rollout(spec={"restartAt": "2026-11-25T14:02:10Z"}))


def test_an_image_of_a_rollout_is_known_to_be_set_by_the_container_s_name(tmp_path: Path) -> None:
    trigger = parse("set-image app=img:2")
    patch = patch_for(trigger, BEFORE, NOW, tmp_path)
    assert was_made(trigger, patch, BEFORE, rollout(image="img:2"))
    assert not was_made(trigger, patch, BEFORE, BEFORE)


def test_a_restart_is_over_when_every_pod_from_before_it_is_gone() -> None:
    before = baseline(view_of(BEFORE, *OLDS, serving=OLDS))
    asked = rollout(wanted=2, generation=3, spec=RESTART, **healthy(wanted=2))
    fresh = (pod(OLD, 3), pod(OLD, 4))
    midst = view_of(asked, OLDS[1], fresh[0], serving=(OLDS[1], fresh[0]))
    assert leaving(midst, before) == {one.uid for one in before.old_pods}
    now = progress(midst, before, "Rollout")
    assert (now.old_pods, now.over, now.changed) == (1, False, "")
    done = {**asked, "status": asked["status"] | {"restartedAt": RESTART["restartAt"]}}
    assert progress(view_of(done, *fresh, serving=fresh), before, "Rollout").over


def test_a_restart_by_somebody_else_is_seen_at_once_and_its_pods_are_not_held_against_anybody() -> None:
    view = view_of(BEFORE, *OLDS, serving=OLDS)
    before = replace(baseline(view), foreign=True)
    assert first_sign(view, before) == ""
    view.apply(
        event(
            "Rollout", reduced("Rollout", rollout(wanted=2, generation=3, spec=RESTART, **healthy(wanted=2)))
        )
    )
    assert first_sign(view, before) == "restart"
    begun = replace(before, doomed=doomed(before, view.workload))
    hands, going = Hands(view, begun), event("Pod", pod(OLD, 1, going=True), t_ns=1)
    view.apply(going)
    told = [*hands.see(going, begun, own_tool=False), *hands.tick(30_000_000_000, begun, own_tool=False)]
    assert not told


def test_a_canary_s_first_step_is_not_the_end_although_all_pods_are_ready() -> None:
    before = baseline(view_of(BEFORE, *OLDS, serving=OLDS))
    changed = rollout(
        image="img:2", wanted=2, generation=3, **midway(replicas=2, availableReplicas=2, message="")
    )
    view = view_of(changed, OLDS[0], NEWS[0], serving=(OLDS[0], NEWS[0]))
    now = progress(view, replace(before, template=view.workload["spec"]["template"]), "Rollout")
    assert not now.status.done
    assert not now.over
    assert revisions(view, {one["metadata"]["uid"] for one in OLDS}, inside=False) == [NEW]


def test_a_blue_green_rollout_is_over_only_once_the_old_pods_that_were_kept_are_gone() -> None:
    before = baseline(view_of(BEFORE, *OLDS, serving=OLDS))
    status = healthy(NEW, 2, blueGreen={"activeSelector": NEW})
    switched = rollout(image="img:2", wanted=2, generation=3, strategy=BLUE_GREEN, **status)
    kept = progress(view_of(switched, *OLDS, *NEWS, serving=NEWS), before, "Rollout")
    assert kept.status.done
    assert (kept.old_pods, kept.over) == (2, False)
    assert progress(view_of(switched, *NEWS, serving=NEWS), before, "Rollout").over


def test_an_aborted_rollout_says_so_and_is_never_over() -> None:
    aborted = reduced("Rollout", rollout(**midway(abort=True, phase="Degraded", message="metric")))
    status = kubectl_status("Rollout", aborted)
    assert (status.done, status.failed) == (False, "RolloutAborted")
    assert "aborted" in status.message


def test_a_step_a_weight_and_a_switch_are_progress() -> None:
    view = View()
    states = [
        midway(),
        midway(currentStepIndex=1),
        midway(currentStepIndex=1, canary={"weights": {"canary": {"weight": 20}, "stable": {"weight": 80}}}),
        midway(currentStepIndex=1, blueGreen={"activeSelector": NEW}),
    ]
    seen = []
    for t_ns, status in enumerate([*states, states[-1]], 1):
        view.apply(event("Rollout", reduced("Rollout", rollout(**status)), t_ns=t_ns))
        seen.append(view.last_progress_ns)
    assert seen == [1, 2, 3, 4, 4]


def test_a_recording_keeps_of_a_rollout_only_what_is_known_to_be_harmless() -> None:
    secret = "tok-5f3a"  # noqa: S105  the canary of this test
    steps = [
        {"setWeight": 20},
        {"analysis": {"args": [{"name": "token", "value": secret}], "templates": [{"templateName": "t"}]}},
        {"pause": {"duration": "10s"}},
        {"setHeaderRoute": {"match": [{"headerName": "x", "headerValue": {"exact": secret}}]}},
    ]
    canary = {
        "steps": steps,
        "analysis": {"args": [{"name": "k", "value": secret}]},
        "trafficRouting": {"plugins": {"x/y": {"key": secret}}},
        "canaryMetadata": {"annotations": {"a": secret}},
        "stableService": "web",
    }
    spec = {"analysis": {"x": secret}, "restartAt": "2026-11-25T14:02:11Z"}
    whole = rollout(
        strategy={"canary": canary}, spec=spec, **midway(message=f"https://me:{secret}@host/ failed")
    )
    whole["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "K", "value": secret}]
    for kept in (reduced("Rollout", whole), manifest(whole)):
        assert secret not in str(kept)
        assert shapes.wrong(kept, shapes.of("Rollout")) == ""
        assert kept["spec"]["strategy"]["canary"] == {
            "steps": [
                {"setWeight": 20},
                {"analysis": {}},
                {"pause": {"duration": "10s"}},
                {"setHeaderRoute": {}},
            ],
            "stableService": "web",
            "trafficRouting": {"plugins": {}},
        }
        assert kept["spec"]["restartAt"] == "2026-11-25T14:02:11Z"
        assert kept["spec"]["template"]["spec"]["containers"][0]["image"] == "img:1"
    assert reduced("Rollout", whole)["status"]["observedGeneration"] == 2


@pytest.mark.parametrize(
    "broken", [{"currentStepIndex": "2"}, {"pauseConditions": "x"}, {"blueGreen": []}, {"abort": 1}]
)
def test_a_stranger_s_rollout_with_values_that_none_can_have_is_refused(broken: dict[str, Any]) -> None:
    kept = reduced("Rollout", rollout(**midway()))
    kept["status"] |= broken
    assert shapes.wrong(kept, shapes.of("Rollout"))


def test_a_run_on_a_rollout_needs_rights_in_its_own_group_and_replicasets() -> None:
    wanted = {str(need) for need in needs("Rollout", "web", parse("restart"))}
    assert {
        "patch rollouts.argoproj.io/web",
        "watch replicasets.apps",
        "watch rollouts.argoproj.io/web",
    } <= wanted
    assert not any(need.startswith("patch") for need in map(str, needs("Rollout", "web", parse("observe"))))


def test_a_restart_makes_no_revision_and_an_update_does() -> None:
    live = {**BEFORE, "spec": {**BEFORE["spec"], "revisionHistoryLimit": 2}}
    assert revisions_left(live, [], parse("restart"), 5) == ()
    assert revisions_left(live, [replicaset(OLD, 2)], parse("set-image app=img:2"), 1)
    none = {**BEFORE, "spec": {**BEFORE["spec"], "revisionHistoryLimit": 0}}
    assert "kubectl argo rollouts undo" in revisions_left(none, [], parse("set-image app=img:2"), 1)[0]


def test_an_estimate_counts_pauses_and_the_time_for_which_old_pods_are_kept() -> None:
    def seconds(strategy: dict[str, Any], trigger: str) -> float:
        return rollout_ns("Rollout", rollout(strategy=strategy, wanted=4), trigger) / 1e9

    plain: dict[str, Any] = {"canary": {}}
    paused = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "30s"}}, {"pause": {}}]}}
    assert seconds(paused, "set-image") - seconds(plain, "set-image") == 30
    assert seconds(paused, "restart") == seconds(plain, "restart")  # a restart takes no steps
    kept = {"blueGreen": {"activeService": "web", "scaleDownDelaySeconds": 100, "autoPromotionSeconds": 20}}
    assert seconds(kept, "set-image") > 120
    assert seconds(kept, "restart") < 60
