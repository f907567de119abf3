from __future__ import annotations

from typing import Any

from harness.cluster.rollout.podnews import pod_news
from harness.cluster.rollout.view import View
from harness.model import ClusterEvent

WEB = {"metadata": {"name": "web", "uid": "uid-web"}}
SET = {"metadata": {"name": "web-1", "uid": "uid-set", "ownerReferences": [{"uid": "uid-web"}]}}


def pod(
    *, ready: bool = False, going: bool = False, restarts: int = 0, owner: str = "uid-set"
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "web-1-a", "uid": "uid-a", "ownerReferences": [{"uid": owner}]}
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": metadata,
        "status": {"conditions": [condition], "containerStatuses": [{"restartCount": restarts}]},
    }


def told(*events: tuple[str, dict[str, Any]]) -> list[list[str]]:
    view = View(workload=WEB, replicasets={"uid-set": SET})
    found = []
    for change, obj in events:
        event = ClusterEvent(1, change, "Pod", "default", "web-1-a", "uid-a", obj)
        found.append([one.what for one in pod_news(view, event)])
        view.apply(event)
    return found


def test_a_pod_s_life_is_told_step_by_step() -> None:
    assert told(
        ("ADDED", pod()),
        ("MODIFIED", pod(ready=True)),
        ("MODIFIED", pod(ready=True)),
        ("MODIFIED", pod(ready=True, going=True)),
        ("MODIFIED", pod(ready=False, going=True)),
        ("DELETED", pod(going=True)),
    ) == [["created"], ["ready"], [], ["deleted"], [], ["gone"]]


def test_a_pod_that_was_there_already_is_no_news() -> None:
    assert told(("LISTED", pod(ready=True)), ("MODIFIED", pod(ready=True))) == [[], []]


def test_a_pod_that_fails_and_comes_back_is_told() -> None:
    assert told(
        ("LISTED", pod(ready=True)), ("MODIFIED", pod(restarts=1)), ("MODIFIED", pod(ready=True, restarts=1))
    ) == [[], ["restarted", "not ready"], ["ready"]]


def test_another_workload_s_pods_are_no_news() -> None:
    assert told(("ADDED", pod(owner="uid-other"))) == [[]]
