from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.cluster.rollout.progress import an_autoscaler_s, first_sign, kubectl_status, leaving, progress
from harness.cluster.rollout.view import Baseline, View, pods_of, revisions
from harness.cluster.trigger import RESTARTED_AT, restart_patch
from harness.cluster.watching.reduce import reduced
from harness.model import ClusterEvent, PodRef


def event(kind: str, obj: dict[str, Any], change: str = "MODIFIED", t_ns: int = 0) -> ClusterEvent:
    metadata = obj["metadata"]
    return ClusterEvent(t_ns, change, kind, "default", metadata["name"], metadata["uid"], obj)


def pod(name: str, revision: str, *, ready: bool = True, going: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "labels": {"pod-template-hash": revision}}
    if going:
        metadata["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    return {
        "metadata": metadata,
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def deployment(generation: int = 2, template: Any = None, wanted: int = 2, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "uid": "uid-web", "generation": generation},
        "spec": {"replicas": wanted, "template": template or OURS},
        "status": {"observedGeneration": generation, **status},
    }


def slices(*endpoints: tuple[str, bool, bool]) -> dict[str, Any]:
    listed = [
        {"targetRef": {"uid": f"uid-{name}"}, "conditions": {"ready": ready, "terminating": going}}
        for name, ready, going in endpoints
    ]
    return {"metadata": {"name": "web-abc", "uid": "uid-slice"}, "endpoints": listed}


DONE: dict[str, Any] = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}


def view_of(workload: dict[str, Any], pods: list[dict[str, Any]], slice_: dict[str, Any]) -> View:
    view = View()
    view.apply(event("Deployment", workload))
    for obj in pods:
        view.apply(event("Pod", obj))
    view.apply(event("EndpointSlice", slice_))
    return view


OLD = (PodRef("old-1", "uid-old-1"), PodRef("old-2", "uid-old-2"))
OURS: dict[str, Any] = {"metadata": {"annotations": {RESTARTED_AT: "x"}}, "spec": {"a": 1}}
BEFORE = Baseline(OLD, "aaa", template_before={"spec": {"a": 1}}, template=OURS, generation=2)
NEW = [pod("new-1", "bbb"), pod("new-2", "bbb")]
SERVING = slices(("new-1", True, False), ("new-2", True, False))


def test_a_rollout_is_over_when_no_old_pod_and_no_old_endpoint_is_left() -> None:
    now = progress(view_of(deployment(**DONE), NEW, SERVING), BEFORE, "Deployment")
    assert now.over
    assert (now.old_pods, now.new_pods, now.ready_pods) == (0, 2, 2)


def test_kubectl_s_success_is_not_the_end_while_an_old_pod_still_terminates() -> None:
    now = progress(
        view_of(deployment(**DONE), [*NEW, pod("old-1", "aaa", going=True)], SERVING), BEFORE, "Deployment"
    )
    assert now.status.done
    assert not now.over


def test_scaling_down_is_not_over_while_a_pod_too_many_still_lives() -> None:
    """kubectl's rule is content at once: the pods that are there are all new, and more than enough."""
    three = [*NEW, pod("new-3", "bbb")]
    status = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
    serving = slices(*((f"new-{n}", True, False) for n in (1, 2, 3)))
    before = replace(BEFORE, old_pods=pods_of(view_of(deployment(), three, serving)), template_before=OURS)
    now = progress(view_of(deployment(**status), three, serving), before, "Deployment")
    assert now.status.done
    assert not now.over


def test_a_pod_that_was_evicted_and_lies_about_is_not_one_too_many() -> None:
    evicted = pod("new-3", "bbb", ready=False)
    evicted["status"]["phase"] = "Failed"
    assert progress(view_of(deployment(**DONE), [*NEW, evicted], SERVING), BEFORE, "Deployment").over


@pytest.mark.parametrize(
    "slice_",
    [
        slices(("new-1", True, False), ("new-2", True, False), ("old-1", False, True)),
        slices(("new-1", True, False), ("new-2", True, False), ("other", False, True)),
        slices(("new-1", True, False)),
    ],
)
def test_endpoints_are_not_settled_while_one_is_old_or_going_or_missing(slice_: dict[str, Any]) -> None:
    assert not progress(view_of(deployment(**DONE), NEW, slice_), BEFORE, "Deployment").over


def test_a_rollout_is_not_done_before_our_own_change_was_observed() -> None:
    stale = deployment(generation=1, **DONE)
    assert not progress(view_of(stale, NEW, SERVING), BEFORE, "Deployment").status.done


def test_a_deadline_exceeded_is_named_with_kubernetes_own_word() -> None:
    obj = deployment(**DONE)
    obj["status"]["conditions"] = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    ]
    assert kubectl_status("Deployment", obj).failed == "ProgressDeadlineExceeded"


def test_scaling_meanwhile_is_no_change_of_the_template() -> None:
    scaled = deployment(generation=5, **DONE)
    assert progress(view_of(scaled, NEW, SERVING), BEFORE, "Deployment").changed == ""


def test_an_annotation_taken_away_again_is_recognised() -> None:
    stripped = deployment(generation=3, template={"metadata": {}, "spec": {"a": 1}}, **DONE)
    assert RESTARTED_AT in progress(view_of(stripped, NEW, SERVING), BEFORE, "Deployment").changed


def test_somebody_else_s_template_is_recognised() -> None:
    other = deployment(generation=3, template={"spec": {"a": 2}}, **DONE)
    assert "somebody else" in progress(view_of(other, NEW, SERVING), BEFORE, "Deployment").changed


@pytest.mark.parametrize("change", ["DELETED", "going", "made anew"])
def test_a_deleted_workload_is_not_rolled_out_whatever_it_looked_like(change: str) -> None:
    view = view_of(deployment(**DONE), NEW, SERVING)
    assert progress(view, BEFORE, "Deployment").over
    web = deployment(**DONE)
    if change == "going":
        web["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    if change == "made anew":
        web["metadata"]["uid"] = "uid-another"
    view.apply(event("Deployment", web, "DELETED" if change == "DELETED" else "MODIFIED"))
    now = progress(view, BEFORE, "Deployment")
    assert now.deleted
    assert not now.over
    assert now.status.message == "the workload was deleted"
    view.apply(event("Deployment", deployment(**DONE)))
    assert progress(view, BEFORE, "Deployment").deleted, "one that is made later is another one"
    assert first_sign(view, BEFORE) == "deleted"


KEPT = {"spec": {"a": 1}}
STAYING = [pod("old-1", "aaa"), pod("old-2", "aaa")]
BOTH = slices(("old-1", True, False), ("old-2", True, False))


def test_a_scaling_up_is_over_when_enough_pods_serve_and_the_old_ones_stay() -> None:
    baseline = replace(BEFORE, template=KEPT, generation=3)
    up = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
    view = view_of(deployment(3, KEPT, 3, **up), STAYING, BOTH)
    assert not progress(view, baseline, "Deployment").over
    view.apply(event("Pod", pod("new-1", "aaa")))
    assert not progress(view, baseline, "Deployment").over, "the third is not in the endpoints yet"
    view.apply(
        event("EndpointSlice", slices(("old-1", True, False), ("old-2", True, False), ("new-1", True, False)))
    )
    assert progress(view, baseline, "Deployment").over


def test_a_scaling_down_is_over_when_what_terminates_is_gone() -> None:
    baseline = replace(BEFORE, template=KEPT, generation=3)
    down = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    view = view_of(
        deployment(3, KEPT, 1, **down),
        [STAYING[0], pod("old-2", "aaa", going=True)],
        slices(("old-1", True, False)),
    )
    now = progress(view, baseline, "Deployment")
    assert now.status.done
    assert (now.old_pods, now.over) == (1, False)
    view.apply(event("Pod", STAYING[1], "DELETED"))
    assert progress(view, baseline, "Deployment").over


def test_a_deleted_pod_s_replacement_is_waited_for() -> None:
    baseline = replace(BEFORE, template={}, doomed=frozenset({"uid-old-1"}))
    view = view_of(deployment(2, KEPT, **DONE), STAYING, BOTH)
    assert not progress(view, baseline, "Deployment").over, "it is still there"
    view.apply(event("Pod", STAYING[0], "DELETED"))
    view.apply(event("EndpointSlice", slices(("old-2", True, False))))
    assert not progress(view, baseline, "Deployment").over, "one pod is not enough"
    view.apply(event("Pod", pod("new-1", "aaa")))
    view.apply(event("EndpointSlice", slices(("old-2", True, False), ("new-1", True, False))))
    assert progress(view, baseline, "Deployment").over


def test_an_annotation_of_the_workload_s_own_is_neither_progress_nor_a_beginning() -> None:
    """On a real server it raises a Deployment's generation, and so observedGeneration."""
    view = View()
    view.apply(event("Deployment", deployment(2, KEPT, **DONE), t_ns=1))
    view.apply(event("Deployment", deployment(7, KEPT, **DONE), t_ns=99))
    assert view.last_progress_ns == 1
    assert first_sign(view, Baseline((), "aaa", KEPT, {}, 2, replicas=2)) == ""


def test_a_change_has_begun_with_another_template_or_number_or_a_pod_that_goes() -> None:
    baseline = replace(BEFORE, template={}, replicas=2)
    view = view_of(deployment(2, KEPT, **DONE), STAYING, BOTH)
    assert first_sign(view, baseline) == ""
    view.apply(event("Pod", pod("old-1", "aaa", going=True)))
    assert first_sign(view, baseline) == "pod"
    assert first_sign(view_of(deployment(3, KEPT, 5, **DONE), STAYING, BOTH), baseline) == "size"
    assert (
        first_sign(view_of(deployment(3, {"spec": {"a": 2}}, **DONE), STAYING, BOTH), baseline) == "template"
    )


def test_another_number_of_pods_that_an_autoscaler_told_of_is_its_doing() -> None:
    baseline = replace(BEFORE, template={}, replicas=2)
    view = view_of(deployment(3, KEPT, 5, **DONE), STAYING, BOTH)
    assert not an_autoscaler_s(view, baseline)
    rescaled = {
        "metadata": {"name": "web.1", "uid": "uid-e"},
        "reason": "SuccessfulRescale",
        "message": "New size: 5; reason: cpu resource utilization (percentage of request) above target",
    }
    view.apply(event("Event", rescaled))
    assert an_autoscaler_s(view, baseline)


def owned(obj: dict[str, Any], uid: str) -> dict[str, Any]:
    obj["metadata"]["ownerReferences"] = [{"uid": uid, "controller": True}]
    return obj


def test_pods_of_somebody_else_under_the_same_selector_are_no_part_of_the_rollout() -> None:
    view = view_of(deployment(**DONE), [owned(pod(f"new-{n}", "bbb"), "uid-rs") for n in (1, 2)], SERVING)
    view.apply(event("ReplicaSet", owned({"metadata": {"name": "rs", "uid": "uid-rs"}}, "uid-web")))
    view.apply(event("Pod", owned(pod("canary-1", "ccc"), "uid-rs-of-the-canary")))
    assert [ref.name for ref in pods_of(view)] == ["new-1", "new-2"]
    assert progress(view, BEFORE, "Deployment").over


def test_an_old_pod_that_was_evicted_and_lies_about_is_not_waited_for_for_ever() -> None:
    dead = pod("old-1", "aaa", ready=False)
    dead["status"]["phase"] = "Failed"
    view = view_of(deployment(**DONE), [*NEW, dead], SERVING)
    assert progress(view, BEFORE, "Deployment").over
    assert "old-1" not in [ref.name for ref in pods_of(view)]
    dead["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    assert progress(view, BEFORE, "Deployment").old_pods == 1, "one that is being deleted still has to go"


def test_pods_below_a_partition_stay_with_the_old_template() -> None:
    workload = deployment(template={"spec": {"a": 2}})
    workload["spec"]["updateStrategy"] = {"rollingUpdate": {"partition": 1}}
    old = (PodRef("db-0", "uid-db-0"), PodRef("db-1", "uid-db-1"))
    view = view_of(workload, [pod("db-0", "aaa"), pod("db-1", "aaa")], SERVING)
    assert leaving(view, replace(BEFORE, old_pods=old)) == {"uid-db-1"}


def test_another_value_of_a_variable_is_another_template_and_is_not_written_down() -> None:
    def web(value: str) -> dict[str, Any]:
        container = {"name": "app", "env": [{"name": "PASSWORD", "value": value}]}
        return {
            "metadata": {"name": "web", "uid": "u"},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }

    first, second = (reduced("Deployment", web(value)) for value in ("hunter2", "hunter3"))
    assert first["spec"]["template"] != second["spec"]["template"]
    assert first == reduced("Deployment", web("hunter2"))
    assert "hunter" not in str(first)


def test_a_statefulset_is_done_when_all_but_the_partition_are_updated() -> None:
    obj = {
        "metadata": {"generation": 1},
        "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
        "status": {"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 2},
    }
    assert kubectl_status("StatefulSet", obj).done
    obj["status"] = {"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 1}
    assert not kubectl_status("StatefulSet", obj).done


def test_a_daemonset_is_done_when_every_node_has_an_available_new_pod() -> None:
    obj: dict[str, Any] = {
        "metadata": {"generation": 1}, "spec": {},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 2,
                   "updatedNumberScheduled": 2, "numberAvailable": 1},
    }  # fmt: skip
    assert not kubectl_status("DaemonSet", obj).done
    obj["status"]["numberAvailable"] = 2
    assert kubectl_status("DaemonSet", obj).done


def test_a_deleted_pod_leaves_the_view() -> None:
    view = view_of(deployment(**DONE), NEW, SERVING)
    view.apply(event("Pod", NEW[0], "DELETED"))
    assert [ref.name for ref in pods_of(view)] == ["new-2"]
    assert revisions(view, {"uid-new-2"}, inside=True) == ["bbb"]


def test_two_restarts_within_one_second_are_two_changes() -> None:
    at = datetime(2026, 11, 25, 12, 0, 0, 1, tzinfo=UTC)
    assert restart_patch(at) != restart_patch(at.replace(microsecond=2))
    value = restart_patch(at)["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
    assert datetime.fromisoformat(value) == at
