"""kubectl, an independent client, takes either server for a Kubernetes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.contract.door import deployment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.door import Server

    Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(server: Server, tmp_path: Path) -> Kubectl:
    """`kubectl(*args, stdin=…, code=0)` -> standard output and errors."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")

    def run(*args: str, stdin: Any = None, code: int = 0) -> str:
        done = subprocess.run(
            ["kubectl", "--kubeconfig", server.kubeconfig, "-n", server.namespace, *args],
            input=yaml.safe_dump(stdin) if stdin else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        assert done.returncode == code, (args, done.stdout, done.stderr)
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
