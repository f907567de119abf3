"""Somebody else's changes while a rollout is under way: told by events alone."""

from __future__ import annotations

from typing import Any

import pytest

from harness.clock import NS
from harness.cluster.rollout.hands import Hands
from harness.cluster.rollout.progress import progress
from harness.cluster.rollout.view import Baseline, View
from harness.cluster.trigger import RESTARTED_AT
from harness.cluster.watching.reduce import reduced
from harness.model import ClusterEvent, OtherChange, PodRef

OLD = (PodRef("web-a-1", "uid-web-a-1"), PodRef("web-a-2", "uid-web-a-2"))


def template(image: str, **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }


def deployment(image: str, replicas: int = 2, **more: Any) -> dict[str, Any]:
    writers = [{"manager": m, "operation": "Update", "time": t} for m, t in more.pop("writers", {}).items()]
    notes = more.pop("notes", {})
    whole = {
        "metadata": {"name": "web", "uid": "uid-web", "generation": 3, "managedFields": writers},
        "spec": {"replicas": replicas, "template": template(image, **notes), **more},
        "status": {"observedGeneration": 3},
    }
    return reduced("Deployment", whole)


def pod(name: str, owner: str, **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "ownerReferences": [{"uid": owner}], **more.pop("meta", {})},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", **more},
    }  # fmt: skip


class Followed:
    """A rollout of web from image a to image b, of two pods each."""

    def __init__(self, *, foreign: bool = False, kind: str = "Deployment") -> None:
        self.view, self.t_ns, self.found = View(), 10 * NS, list[OtherChange]()
        self.kind = kind
        before = deployment("a")
        self.view.apply(self.event(kind, before))
        for name, size in (("a", 2), ("b", 2)):
            self.sized(name, size)
        for name in ("web-a-1", "web-a-2", "web-b-1", "web-b-2"):
            owner = f"uid-rs-{name[4]}" if kind == "Deployment" else "uid-web"
            self.view.apply(self.event("Pod", pod(name, owner)))
        slice_ = {
            "metadata": {"name": "web-x", "uid": "uid-slice", "labels": {"kubernetes.io/service-name": "web"}}
        }
        self.view.apply(self.event("EndpointSlice", slice_))
        after = deployment("b", writers={"kubectl-rollout": "2026-11-25T14:00:00Z"})
        self.view.apply(self.event(kind, after))
        self.baseline = Baseline(
            old_pods=OLD, old_revision="a", foreign=foreign, generation=3, size=2,
            template_before=before["spec"]["template"], template=after["spec"]["template"],
        )  # fmt: skip
        self.hands = Hands(self.view, self.baseline, ours="zdtest-lock", after=after)

    def event(self, kind: str, obj: dict[str, Any], change: str = "MODIFIED") -> ClusterEvent:
        meta = obj["metadata"]
        return ClusterEvent(self.t_ns, change, kind, "shop", meta["name"], meta["uid"], obj)

    def sized(self, name: str, size: int) -> None:
        owner = [{"uid": "uid-web"}]
        rs = {
            "metadata": {"name": f"web-{name}", "uid": f"uid-rs-{name}", "ownerReferences": owner},
            "spec": {"replicas": size},
        }
        event = self.event("ReplicaSet", rs)
        self.view.apply(event)
        if hasattr(self, "hands"):
            self.found += self.hands.see(event, self.baseline, own_tool=False)

    def see(
        self, kind: str, obj: dict[str, Any], change: str = "MODIFIED", *, own_tool: bool = False
    ) -> None:
        event = self.event(kind, obj, change)
        self.view.apply(event)
        self.found += self.hands.see(event, self.baseline, own_tool=own_tool)

    def deleted(self, name: str, **more: Any) -> None:
        owner = f"uid-rs-{name[4]}" if self.kind == "Deployment" else "uid-web"
        self.see("Pod", pod(name, owner, meta={"deletionTimestamp": "2026-11-25T14:00:30Z"}, **more))

    def later(self, seconds: float = 2, *, heard: bool = True) -> list[OtherChange]:
        """Let time pass; meanwhile the controllers write their status."""
        self.t_ns += round(seconds * NS)
        if heard and self.kind == "Deployment":
            for uid, one in list(self.view.replicasets.items()):
                self.sized(uid[-1], one["spec"]["replicas"])
        elif heard:
            self.see(self.kind, self.view.workload)
        self.found += self.hands.tick(self.t_ns, self.baseline, own_tool=False)
        return self.found

    @property
    def told(self) -> list[str]:
        return [change.told for change in self.found]


LATER = "2026-11-25T14:00:07Z"


def test_a_rollout_that_nobody_touches_has_no_other_hand() -> None:
    web = Followed()
    web.see(
        "Deployment",
        deployment("b", writers={"kubectl-rollout": "2026-11-25T14:00:00Z", "zdtest-lock": LATER}),
    )
    web.sized("a", 1)
    web.deleted("web-a-1")
    web.sized("a", 0)
    web.deleted("web-a-2")
    assert web.later() == []


def test_a_second_release_is_told_with_its_image_and_who_made_it() -> None:
    web = Followed()
    first = {"kubectl-rollout": "2026-11-25T14:00:00Z"}
    web.see(
        "Deployment", deployment("c", writers={**first, "zdtest-lock": "2026-11-25T14:00:09Z", "helm": LATER})
    )
    assert web.told == ["helm changed the image of web to c"]
    assert web.found[0].disturbs


def test_an_undo_is_told_as_one() -> None:
    web = Followed()
    web.see("Deployment", deployment("a", writers={"kubectl-rollout": LATER}))
    assert [(one.kind, one.told) for one in web.found] == [
        ("undone", "kubectl-rollout changed the pod template back to what it was")
    ]


def test_an_undo_that_only_takes_fields_away_leaves_nothing_that_tells_whose_it_is() -> None:
    web = Followed()
    web.see("Deployment", deployment("a", writers={}))
    assert web.told == ["somebody changed the pod template back to what it was"]


def test_a_second_restart_is_told_as_one() -> None:
    web = Followed()
    web.see("Deployment", deployment("b", notes={RESTARTED_AT: LATER}, writers={"kubectl-rollout": LATER}))
    assert web.told == ["kubectl-rollout restarted it once more"]


def test_a_pause_and_a_resume_are_told() -> None:
    web = Followed()
    web.see("Deployment", deployment("b", paused=True, writers={"kubectl-rollout": LATER}))
    web.see("Deployment", deployment("b", writers={"kubectl-rollout": "2026-11-25T14:00:11Z"}))
    assert web.told == ["kubectl-rollout paused the rollout", "kubectl-rollout resumed the rollout"]


def test_what_the_trigger_s_own_command_does_besides_is_no_other_hand() -> None:
    web = Followed(foreign=True)
    web.see("Deployment", deployment("b", replicas=5, paused=True), own_tool=True)
    web.see("Deployment", deployment("b", replicas=5, paused=True))
    assert web.found == []


def test_a_horizontal_pod_autoscaler_is_known_by_its_manager_at_once() -> None:
    web = Followed()
    scaled = deployment("b", replicas=4)
    entry = {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "subresource": "scale",
        "time": LATER,
    }
    scaled["metadata"]["managedFields"] = [entry]
    web.see("Deployment", scaled)
    assert web.told == ["an autoscaler scaled it from 2 to 4 replicas"]
    assert not web.found[0].disturbs


def test_a_scale_by_a_person_is_that_person_s() -> None:
    web = Followed()
    web.see("Deployment", deployment("b", replicas=4, writers={"kubectl": LATER}))
    assert web.told == ["kubectl scaled it from 2 to 4 replicas"]
    assert web.found[0].disturbs


def test_a_workload_that_is_deleted_is_told_once() -> None:
    web = Followed()
    web.see("Deployment", deployment("b"), "DELETED")
    web.deleted("web-b-1")
    web.later()
    assert web.told == ["somebody deleted the workload"]


def test_a_pod_that_its_controller_still_wanted_was_deleted_by_somebody() -> None:
    web = Followed()
    web.deleted("web-b-1")
    web.see("Pod", pod("web-b-3", "uid-rs-b"), "ADDED")
    assert web.found == [], "the size that explains it may still come"
    assert [(one.at_ns, one.told) for one in web.later()] == [(10 * NS, "somebody deleted pod web-b-1")]


def test_a_pod_deleted_just_after_its_controller_grew_was_deleted_by_somebody() -> None:
    web = Followed()
    web.sized("b", 1)
    web.t_ns += 5 * NS
    web.sized("b", 2)
    web.t_ns += NS // 2
    web.deleted("web-b-1")
    assert [one.told for one in web.later()] == ["somebody deleted pod web-b-1"]


def test_a_pod_that_goes_just_after_its_controller_shrank_and_grew_again_is_nobody_s() -> None:
    web = Followed()
    web.sized("b", 1)
    web.sized("b", 2)
    web.deleted("web-b-1")
    assert web.later() == []


def test_while_the_watch_of_the_controllers_is_silent_no_deletion_is_anybody_s() -> None:
    web = Followed()
    web.deleted("web-b-1")
    assert web.later(5, heard=False) == []
    assert [one.told for one in web.later(5)] == ["somebody deleted pod web-b-1"]


def test_a_deletion_that_nothing_explained_for_long_is_forgotten() -> None:
    web = Followed()
    web.deleted("web-b-1")
    web.later(20, heard=False)
    assert web.later(1) == []


@pytest.mark.parametrize("first", ["the size", "the pod"])
def test_a_pod_that_goes_as_its_controller_wants_fewer_is_nobody_s_whichever_is_seen_first(
    first: str,
) -> None:
    web = Followed()
    if first == "the size":
        web.sized("b", 1)
    web.deleted("web-b-1")
    if first == "the pod":
        web.sized("b", 1)
    assert web.later() == []


def test_pods_of_a_replica_set_that_is_gone_are_still_the_workload_s() -> None:
    web = Followed()
    web.see("Deployment", deployment("b"), "DELETED")
    rs = {"metadata": {"name": "web-b", "uid": "uid-rs-b", "ownerReferences": [{"uid": "uid-web"}]}}
    web.see("ReplicaSet", rs, "DELETED")
    assert not progress(web.view, web.baseline, "Deployment").at_rest
    for name in ("web-a-1", "web-a-2", "web-b-1", "web-b-2"):
        web.see("Pod", pod(name, f"uid-rs-{name[4]}"), "DELETED")
    assert progress(web.view, web.baseline, "Deployment").at_rest


def test_a_pod_whose_controller_says_that_it_deleted_it_is_nobody_s() -> None:
    web = Followed()
    web.deleted("web-b-1")
    said = {
        "metadata": {"name": "e", "uid": "e"},
        "reason": "SuccessfulDelete",
        "message": "Deleted pod: web-b-1",
    }
    web.see("Event", said, "ADDED")
    assert web.later() == []


def test_an_evicted_pod_says_so_itself() -> None:
    web = Followed()
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    web.deleted("web-b-1", conditions=[condition])
    assert web.told == ["somebody evicted pod web-b-1 from node node-1, as kubectl drain does"]
    assert web.later() == web.found[:1]


def test_where_the_change_waited_for_is_a_pod_s_end_that_is_no_second_change() -> None:
    web = Followed(foreign=True)
    same = web.baseline.template
    web.baseline = Baseline(OLD, "b", same, same, 3, foreign=True)
    web.deleted("web-b-1")
    assert web.later() == []


def test_a_service_without_any_slice_for_a_while_was_deleted() -> None:
    web = Followed()
    slice_ = {
        "metadata": {"name": "web-x", "uid": "uid-slice", "labels": {"kubernetes.io/service-name": "web"}}
    }
    web.see("EndpointSlice", slice_, "DELETED")
    assert web.found == []
    web.later()
    assert web.told == ["somebody deleted the Service web"]


def test_a_slice_that_is_replaced_by_another_one_is_no_deleted_service() -> None:
    web = Followed()
    slice_: dict[str, Any] = {
        "metadata": {"name": "web-x", "uid": "uid-slice", "labels": {"kubernetes.io/service-name": "web"}}
    }
    web.see("EndpointSlice", slice_, "DELETED")
    web.see("EndpointSlice", {"metadata": {**slice_["metadata"], "name": "web-y", "uid": "uid-y"}}, "ADDED")
    assert web.later() == []


def stateful(revision: str) -> Followed:
    web = Followed(kind="StatefulSet")
    status = {"updateRevision": "web-new", "observedGeneration": 3}
    web.view.workload = {**web.view.workload, "status": status}
    labels = {"controller-revision-hash": revision}
    gone = pod("web-1", "uid-web", meta={"deletionTimestamp": LATER, "labels": labels})
    web.see("Pod", gone)
    return web


def test_a_stateful_set_s_outdated_pod_goes_by_its_controller_and_an_up_to_date_one_by_somebody() -> None:
    assert stateful("web-old").later() == []
    assert [one.told for one in stateful("web-new").later()] == ["somebody deleted pod web-1"]
