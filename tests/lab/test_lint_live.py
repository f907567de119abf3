"""`zdtest lint KIND/NAME` looks at the live pods too: what a webhook gave to them stands in no template."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio.from_thread

from harness.lab import lab
from harness.model import LabPlan
from tests.contract.api_client import Server
from tests.lab.control_plane import deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GATE = {"conditionType": "target-health.elbv2.k8s.aws/k8s-web"}


def _pod(name: str, *gates: dict[str, str]) -> dict[str, Any]:
    spec = {"containers": [{"name": "web", "image": "x:1"}], "readinessGates": list(gates)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": spec,
    }


def _ingress() -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "annotations": {"alb.ingress.kubernetes.io/target-type": "ip"},
        },
        "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": paths}}]},
    }


def test_a_gate_is_missing_where_live_pods_have_none_and_not_where_all_have_one(
    tmp_path: Path, write: Callable[..., str]
) -> None:
    plan = LabPlan(manifests=(write(deployment(replicas=0), service(), _ingress()),), tls=False, lag_ns=0)

    def said(kubeconfig: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "lint", "deployment/web", "-n", "default", "--kubeconfig", kubeconfig],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr
        text = " ".join(done.stdout.split())
        return re.findall(r"(none|\d of \d live pods have none): old pods", text)

    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(lab.running(plan, tmp_path / "lab")) as endpoint,
    ):
        server = Server(endpoint.kubeconfig)
        server.namespace = "default"
        assert said(endpoint.kubeconfig) == ["none"]
        server("POST", server.path("pods"), _pod("one", GATE)).good(201)
        assert said(endpoint.kubeconfig) == []
        server("POST", server.path("pods"), _pod("two")).good(201)
        assert said(endpoint.kubeconfig) == ["1 of 2 live pods have none"]
        server.close()
