"""What was changed is said in words, with the one who did it; and so is what nobody saw."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cluster.rollout.view import View
from harness.watch.changed import following, in_words, is_deploy, missed, revision


def workload(
    image: str = "web:1", replicas: int = 3, manager: str = "", restarted: str = "", **more: Any
) -> dict[str, Any]:
    fields = [{"manager": manager, "operation": "Update", "time": "2026-01-01T00:00:01Z"}] if manager else []
    annotations = {"kubectl.kubernetes.io/restartedAt": restarted} if restarted else {}
    return {
        "metadata": {"managedFields": fields, **more},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (workload(), workload("web:2", manager="helm"), "helm changed the image of web to web:2"),
        (workload(), workload("web:2"), "somebody changed the image of web to web:2"),
        (workload(), workload(restarted="now", manager="kubectl-rollout"), "kubectl-rollout restarted it"),
        (workload(), workload(replicas=5, manager="kubectl"), "kubectl scaled it from 3 to 5 replicas"),
        (workload(), workload(), "a pod went while the workload stayed as it was"),
    ],
)
def test_a_change_is_said_in_words(before: dict[str, Any], after: dict[str, Any], said: str) -> None:
    assert in_words(before, View(workload=after)) == said


def test_what_an_autoscaler_scaled_is_said_to_be_its_doing() -> None:
    view = View(workload=workload(replicas=5, manager="kube-controller-manager"), rescaled={5})
    assert in_words(workload(), view) == "an autoscaler scaled it from 3 to 5 replicas"
    assert not is_deploy(workload(), view)


def test_only_another_template_is_a_deploy() -> None:
    assert is_deploy(workload(), View(workload=workload("web:2")))
    assert not is_deploy(workload(), View(workload=workload()))


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ("4", "4", 0),
        ("4", "5", 1),
        ("4", "7", 3),
        ("", "7", 0),
        ("4", "", 0),
        ("web-5d4", "web-77f", 1),
        ("7", "3", 1),
    ],
)
def test_revisions_tell_how_many_deploys_were_missed_at_least(before: str, after: str, count: int) -> None:
    assert missed(before, after) == count


def test_the_revision_of_a_deploy_on_record_is_known_before_it_is_written() -> None:
    assert following("7") == "8"
    assert following("web-5d4") == ""  # then nothing is said of what was missed


def test_a_revision_is_a_deployments_number_or_a_statefulsets_name() -> None:
    assert revision({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "7"}}}) == "7"
    assert revision({"metadata": {}, "status": {"updateRevision": "db-77f"}}) == "db-77f"
    assert revision({}) == ""
