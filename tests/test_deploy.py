"""What is in deploy/ is what the code says."""

from __future__ import annotations

from pathlib import Path

import yaml
from click.testing import CliRunner

import harness.cli  # noqa: F401  registers the commands
from harness.cli.root import root
from harness.cluster.rbac import role
from harness.scenario.trigger import parse

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_role_in_deploy_is_the_least_role() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text()))
    assert [d["kind"] for d in documents] == ["ServiceAccount", "Role", "RoleBinding"]
    assert documents[1:] == role("shop", "Deployment", "web", parse("restart"))


def test_the_cronjob_s_arguments_are_a_command_line_that_zdtest_takes() -> None:
    pod = yaml.safe_load((DEPLOY / "cronjob.yaml").read_text())["spec"]["jobTemplate"]["spec"]["template"][
        "spec"
    ]
    words = pod["containers"][0]["args"]
    command = root.commands[words[0]]
    context = command.make_context("run", words[1:], resilient_parsing=False)
    assert context.params["workload"] == "web"
    assert context.params["concurrency"] == 200


def test_the_role_is_printed_for_kubectl() -> None:
    printed = CliRunner().invoke(
        root,
        ["rbac", "--deployment", "sts/db", "-n", "data", "--trigger", "evict-pod"],
        standalone_mode=False,
    )
    kinds = [d["kind"] for d in yaml.safe_load_all(printed.output)]
    assert kinds == ["Role", "RoleBinding"]
    assert "pods/eviction" in printed.output
    assert "patch" not in printed.output
