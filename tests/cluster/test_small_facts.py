"""Small pure parts of the cluster side: lock, clock offset, estimate, permissions, why a rollout is stuck."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from harness.clock import NS
from harness.cluster.offset import OffsetBounds, Reading, bounds, next_send_ns
from harness.cluster.permission.lock import ANNOTATION, LASTS, claim, holder
from harness.cluster.permission.rbac import as_yaml, needs, role
from harness.cluster.rollout.estimate import rollout_ns
from harness.cluster.rollout.stuck import why_stuck
from harness.cluster.rollout.view import View
from harness.scenario.trigger import parse

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def annotated(value: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {ANNOTATION: value}}}


def test_a_workload_is_held_by_another_run_until_its_claim_runs_out() -> None:
    held = annotated(claim("other on host", NOW))
    assert "other on host" in holder(held, "mine", NOW)
    assert holder(held, "other on host", NOW) == ""
    assert holder(held, "mine", NOW + LASTS + timedelta(seconds=1)) == ""


@pytest.mark.parametrize("value", ["", "nonsense", "x until yesterday"])
def test_what_is_no_claim_holds_nothing(value: str) -> None:
    assert holder(annotated(value), "mine", NOW) == ""


def written_by(*managers: str) -> dict[str, Any]:
    held = annotated(claim("other on host", NOW))
    fields: dict[str, Any] = {"f:metadata": {"f:annotations": {f"f:{ANNOTATION}": {}}}}
    held["metadata"]["managedFields"] = [
        {"manager": "kubectl-create", "fieldsV1": {"f:spec": {}}},
        *({"manager": manager, "fieldsV1": fields} for manager in managers),
    ]
    return held


def test_a_claim_that_an_undo_brought_back_is_nobody_s() -> None:
    assert holder(written_by("kubectl-rollout"), "mine", NOW) == ""
    assert "other on host" in holder(written_by("zdtest-lock"), "mine", NOW)
    assert "other on host" in holder(written_by("kubectl-rollout", "zdtest-lock"), "mine", NOW)


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.tuples(st.integers(0, 60 * 10**9), st.integers(10**5, 10**8)), min_size=1, max_size=8),
)
def test_the_true_offset_lies_within_the_bounds_of_any_readings(
    offset: int, asked: list[tuple[int, int]]
) -> None:
    base = 1_764_000_000 * NS
    readings = []
    for at, trip in asked:
        server = base + at + trip // 2 + offset
        date = format_datetime(datetime.fromtimestamp(server // NS, tz=UTC), usegmt=True)
        readings.append(Reading(base + at, base + at + trip, date))
    found = bounds(readings)
    assert found
    assert found[0] <= offset <= found[1]


def test_readings_of_two_different_clocks_contradict_each_other() -> None:
    date = "Wed, 25 Nov 2026 12:00:00 GMT"
    at = round(NOW.timestamp()) * NS
    assert bounds([Reading(at, at + 1, date), Reading(at + 5 * NS, at + 5 * NS + 1, date)]) is None


def test_a_date_that_is_none_is_passed_over() -> None:
    at = round(NOW.timestamp()) * NS
    good = Reading(at, at + 1, "Wed, 25 Nov 2026 12:00:00 GMT")
    assert bounds([Reading(at, at + 1, "soon"), Reading(at, at + 1, ""), good]) == bounds([good])


def test_the_next_question_is_timed_so_that_the_second_turns_in_the_middle_of_what_is_possible() -> None:
    now = 10 * NS + 300_000_000
    assert next_send_ns(now, None, 0) == now
    assert next_send_ns(now, OffsetBounds(0, 0), 0) == 11 * NS


def test_an_estimate_grows_with_probe_delay_hook_and_replicas() -> None:
    def workload(replicas: int, delay: int, hook: int) -> dict[str, Any]:
        container = {
            "readinessProbe": {"initialDelaySeconds": delay, "periodSeconds": 1},
            "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {hook}"]}}},
        }
        return {
            "spec": {
                "replicas": replicas,
                "template": {"spec": {"terminationGracePeriodSeconds": 60, "containers": [container]}},
            }
        }

    base = rollout_ns("Deployment", workload(3, 5, 5))
    assert rollout_ns("Deployment", workload(3, 15, 5)) - base == 30 * NS
    assert rollout_ns("Deployment", workload(3, 5, 25)) - base == 20 * NS
    assert (
        rollout_ns("StatefulSet", workload(3, 5, 25)) - rollout_ns("StatefulSet", workload(3, 5, 5))
        == 60 * NS
    )


def test_an_estimate_reads_a_hook_in_minutes_and_a_grace_period_of_zero() -> None:
    def lasts(command: str, grace_s: int) -> int:
        hook = {"preStop": {"exec": {"command": ["sh", "-c", command]}}}
        pod = {"terminationGracePeriodSeconds": grace_s, "containers": [{"lifecycle": hook}]}
        return rollout_ns("Deployment", {"spec": {"replicas": 1, "template": {"spec": pod}}})

    assert lasts("nginx -s quit; sleep 1m", 90) - lasts("sleep 5", 90) == 55 * NS
    assert lasts("sleep 5", 90) - lasts("sleep 5", 0) == 6 * NS


def test_the_role_holds_exactly_what_is_needed_and_narrows_it_to_the_workload() -> None:
    documents = list(yaml.safe_load_all(as_yaml(role("shop", "Deployment", "web", parse("restart")))))
    rules = {(r["apiGroups"][0], r["resources"][0]): r for r in documents[0]["rules"]}
    assert rules["apps", "deployments"]["verbs"] == ["get", "list", "watch", "patch"]
    assert rules["apps", "deployments"]["resourceNames"] == ["web"]
    assert ("apps", "replicasets") in rules
    assert documents[1]["subjects"][0]["name"] == "zdtest"


def test_a_trigger_needs_its_own_verb_and_no_other() -> None:
    words = {
        trigger: " ".join(str(n) for n in needs("StatefulSet", "db", parse(trigger)))
        for trigger in ("observe", "delete-pod", "evict-pod")
    }
    assert "patch" not in words["observe"]
    assert "delete pods" in words["delete-pod"]
    assert "create pods/eviction" in words["evict-pod"]
    assert all("replicasets" not in text for text in words.values())


def pod(status: dict[str, Any]) -> View:
    view = View()
    view.pods["u"] = {"metadata": {"name": "web-1", "uid": "u"}, "status": status}
    return view


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
                ]
            },
            "ImagePullBackOff",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes",
                    }
                ]
            },
            "Unschedulable",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"running": {}},
                        "restartCount": 3,
                        "lastState": {"terminated": {"exitCode": 1}},
                    }
                ]
            },
            "CrashLoopBackOff: restarted 3 times, last with exit code 1",
        ),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, "not ready"),
    ],
)
def test_what_holds_a_new_pod_up_is_named_in_kubernetes_words(status: dict[str, Any], word: str) -> None:
    assert word in why_stuck(pod(status), set())
    assert why_stuck(pod(status), {"u"}) == "", "an old pod's trouble is not the rollout's"


def test_a_quota_that_forbids_new_pods_is_named() -> None:
    view = View()
    view.workload = {
        "status": {
            "conditions": [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": "exceeded quota",
                }
            ]
        }
    }
    assert "exceeded quota" in why_stuck(view, set())


def test_a_pod_on_its_way_up_is_not_called_stuck() -> None:
    assert (
        why_stuck(
            pod({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}), set()
        )
        == ""
    )
