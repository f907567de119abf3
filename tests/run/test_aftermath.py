"""What an interrupted run says it leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import ClusterFacts, PathProof
from harness.run.change.aftermath import way_back
from harness.run.preflight.workload import Subject
from harness.scenario.trigger import parse

STAGING = ClusterFacts("https://10.0.0.1", "staging", "shop", "Deployment", "web", "uid", "v1.30.2", "admin")


def subject(trigger: str = "restart", facts: ClusterFacts = STAGING) -> Subject:
    workload = {"spec": {"replicas": 3}}
    return Subject(facts, workload, parse(trigger), (), (), (), PathProof(proven=True, how="by decree"), ())


def test_the_commands_go_to_the_cluster_of_the_run_whatever_the_current_context_is() -> None:
    line = way_back(subject("set-image web=img:2"), changed=True, over=False)
    kubectl = "kubectl --context staging -n shop rollout"
    assert f"follow it with: {kubectl} status deployment/web" in line
    assert f"go back with: {kubectl} undo deployment/web" in line


def test_a_kubeconfig_that_was_named_is_named_again_and_quoted_for_the_shell() -> None:
    facts = replace(STAGING, kubeconfig="my clusters/one", context="a b")
    line = way_back(subject("scale 5", facts), changed=True, over=False)
    assert (
        "kubectl --kubeconfig 'my clusters/one' --context 'a b' -n shop scale deployment/web --replicas=3"
        in line
    )


def test_the_credentials_of_a_pod_are_no_context() -> None:
    line = way_back(subject(facts=replace(STAGING, context="in-cluster")), changed=True, over=False)
    assert line.endswith("kubectl -n shop rollout status deployment/web")


def test_on_the_lab_no_command_is_advised_for_the_next_cluster_would_take_it() -> None:
    line = way_back(subject("scale 5", replace(STAGING, lab=True)), changed=True, over=False)
    assert line == "deployment/web was changed (scale 5), on the lab, which ends with this run"


@pytest.mark.parametrize("lab", [True, False])
def test_what_was_not_changed_is_said_so(lab: bool) -> None:  # noqa: FBT001
    line = way_back(subject(facts=replace(STAGING, lab=lab)), changed=False, over=False)
    assert line == "deployment/web was not changed"


def test_a_change_that_is_complete_still_has_a_way_back() -> None:
    line = way_back(subject("scale 5"), changed=True, over=True)
    assert "follow" not in line
    assert line.endswith("scale deployment/web --replicas=3")
