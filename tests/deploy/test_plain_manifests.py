"""The plain manifests and the Dockerfile agree with the code, and a cluster and an image builder accept them."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import harness.cli  # noqa: F401  registers the commands
from harness.cli.root import root
from harness.cluster.permission.rbac import role
from harness.scenario.trigger import parse
from tests.deploy.context import in_the_context
from tests.podsecurity import violations

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def pod_of_the_cronjob() -> dict[str, Any]:
    cronjob = yaml.safe_load((DEPLOY / "kustomize" / "cronjob.yaml").read_text())
    template: dict[str, Any] = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    return template


def test_the_role_in_deploy_is_the_least_role() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kustomize" / "rbac.yaml").read_text()))
    assert [d["kind"] for d in documents] == ["ServiceAccount", "Role", "RoleBinding"]
    assert documents[1:] == role("shop", "Deployment", "web", parse("restart"))


def test_the_cronjob_s_arguments_are_a_command_line_that_zdtest_takes() -> None:
    words = pod_of_the_cronjob()["spec"]["containers"][0]["args"]
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


def test_the_cronjob_s_pod_is_one_that_pod_security_restricted_takes() -> None:
    template = pod_of_the_cronjob()
    assert violations(template["spec"], template["metadata"].get("annotations")) == []


def test_the_pod_s_user_owns_its_results_and_is_the_image_s() -> None:
    security = pod_of_the_cronjob()["spec"]["securityContext"]
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    user, group = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)[-1]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (
        int(user),
        int(group),
        int(group),
    )
    assert f"install --directory --owner={user} --group={group} /results" in dockerfile
    assert "\nWORKDIR /results\n" in dockerfile
    assert f"useradd --uid {user} --gid {group}" in dockerfile


CONTAINER = ("containers", 0, "securityContext")
BROKEN: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("hostNetwork",), True, "Host Namespaces"),
    (("hostPID",), True, "Host Namespaces"),
    (("hostIPC",), True, "Host Namespaces"),
    (("volumes", 0), {"name": "x", "hostPath": {"path": "/"}}, "Volume Types"),
    (("volumes", 0), {"name": "x", "nfs": {"server": "s", "path": "/"}}, "Volume Types"),
    (("securityContext", "sysctls"), [{"name": "kernel.msgmax", "value": "1"}], "Sysctls"),
    (("securityContext", "windowsOptions"), {"hostProcess": True}, "HostProcess"),
    (("securityContext", "seLinuxOptions"), {"user": "u"}, "SELinux"),
    (("securityContext", "seLinuxOptions"), {"type": "spc_t"}, "SELinux"),
    (("securityContext", "appArmorProfile"), {"type": "Unconfined"}, "AppArmor"),
    (("securityContext", "runAsUser"), 0, "Running as Non-root user"),
    (("securityContext", "runAsNonRoot"), None, "Running as Non-root"),
    (("securityContext", "seccompProfile"), None, "Seccomp"),
    (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "Seccomp"),
    ((*CONTAINER, "seccompProfile"), {"type": "Unconfined"}, "Seccomp"),
    ((*CONTAINER, "runAsNonRoot"), False, "Running as Non-root"),
    ((*CONTAINER, "runAsUser"), 0, "Running as Non-root user"),
    ((*CONTAINER, "privileged"), True, "Privileged Containers"),
    ((*CONTAINER, "procMount"), "Unmasked", "/proc Mount Type"),
    ((*CONTAINER, "allowPrivilegeEscalation"), True, "Privilege Escalation"),
    ((*CONTAINER, "allowPrivilegeEscalation"), None, "Privilege Escalation"),
    ((*CONTAINER, "capabilities"), None, "Capabilities"),
    ((*CONTAINER, "capabilities"), {"drop": ["NET_RAW"]}, "Capabilities"),
    ((*CONTAINER, "capabilities"), {"drop": ["ALL"], "add": ["CHOWN"]}, "Capabilities"),
    (("containers", 0, "ports"), [{"containerPort": 1, "hostPort": 1}], "Host Ports"),
    (
        ("containers", 0, "livenessProbe"),
        {"httpGet": {"host": "x", "port": 1}},
        "Host Probes / Lifecycle Hooks",
    ),
    (("initContainers",), [{"name": "i", "image": "i"}], "Capabilities"),
]


@pytest.mark.parametrize(("where", "value", "control"), BROKEN)
def test_each_control_of_the_standard_is_really_checked(
    where: tuple[str | int, ...], value: Any, control: str
) -> None:
    spec = copy.deepcopy(pod_of_the_cronjob()["spec"])
    inner: Any = spec
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    assert control in violations(spec)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config", ".git", ".env", ".venv/bin/python", ".nox/x/y", ".mypy_cache/x", ".ruff_cache/x",
        ".pytest_cache/x",
        ".hypothesis/x", ".import_linter_cache/x", ".ci/run", ".dockerignore", "results/example/run.json",
        "results/x/hits/1.arrow",
        "kubeconfig", "id_rsa", "notes.txt", "tests/deploy/rules.py", "docs/lab.md", "build/x", "dist/x.whl",
        "venv/bin/python",
        "zdtest.egg-info/PKG-INFO", "harness/__pycache__/x.pyc", "harness/lab/__pycache__/app.cpython-312.pyc",
        "harness/lab/old.pyc",
        "harness/.env", "scenarios/seed/.kubeconfig", "harness/.mypy_cache/x", "deploy/Dockerfile",
    ],
)  # fmt: skip
def test_nothing_private_and_no_cache_reaches_the_image(path: str) -> None:
    assert not in_the_context(path)


def test_all_that_the_package_is_built_from_reaches_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    singles = ["pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    folders = [*wheel["packages"], *wheel["force-include"]]
    wanted = [*singles]
    for folder in folders:
        wanted += [
            str(file.relative_to(ROOT))
            for file in (ROOT / folder).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
        ]
    assert len(wanted) > 200
    assert [path for path in wanted if not in_the_context(path)] == []
