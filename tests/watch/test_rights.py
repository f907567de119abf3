"""A watch may look, and nothing else."""

from __future__ import annotations

from pathlib import Path

import yaml

import harness.cli  # noqa: F401  registers the commands
from harness.cli.root import root
from harness.cluster.permission.rbac import needs, needs_of_a_watch, role_of
from harness.scenario.trigger import parse
from tests.podsecurity import violations
from tests.program import zdtest

LOOKING = {"get", "list", "watch"}


def test_no_verb_of_the_role_changes_anything() -> None:
    done = zdtest("rbac", "--watch", "-n", "staging")
    role, binding = yaml.safe_load_all(done.stdout)
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} <= LOOKING
    assert (role["kind"], role["metadata"]) == ("Role", {"name": "zdtest-watch", "namespace": "staging"})
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "zdtest-watch", "namespace": "staging"}]


def test_nothing_secret_is_looked_at() -> None:
    resources = {need.resource for need in needs_of_a_watch()}
    assert not resources & {"secrets", "configmaps", "pods/log", "pods/exec"}


def test_it_holds_all_that_each_recording_asks_for() -> None:
    held = {(need.verb, need.group, need.resource) for need in needs_of_a_watch()}
    for kind in ("Deployment", "StatefulSet"):
        asked = {(need.verb, need.group, need.resource) for need in needs(kind, "web", parse("observe"))}
        assert asked <= held


def test_a_role_of_both_sorts_is_refused() -> None:
    done = zdtest("rbac", "--watch", "--deployment", "web")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "drop --deployment, --trigger and --pods" in done.stderr
    assert zdtest("rbac").returncode == 2


def test_the_manifest_in_deploy_has_this_role_and_a_pod_that_restricted_takes() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "watch.yaml").read_text()
    documents = {doc["kind"]: doc for doc in yaml.safe_load_all(text)}
    assert [documents["Role"], documents["RoleBinding"]] == role_of(
        "staging", "zdtest-watch", needs_of_a_watch()
    )
    template = documents["Deployment"]["spec"]["template"]
    assert template["spec"]["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"]
    assert violations(template["spec"], template["metadata"]["annotations"]) == []
    words = template["spec"]["containers"][0]["args"]
    context = root.commands[words[0]].make_context("watch", words[1:], resilient_parsing=False)
    assert (context.params["namespace"], context.params["boost"]) == ("staging", 20)
