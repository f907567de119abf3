"""grpcio's server in pods of a real cluster, called straight at its Service: each connection leads to one pod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

pytest.importorskip("grpc_tools", reason="the extra grpc is not installed")

from tests.e2e.real_cluster import CONTEXT, MOUNTS, kubectl, one_load_at_a_time

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PORT = 50051
QUICK = ("-c", "12", "-d", "25s", "--trigger-after", "8s", "--settle", "10s")
PROTECTED = ("--max-age", "8", "--grace", "10")


def manifests(*arguments: str, protected: bool) -> list[dict[str, Any]]:
    """A Deployment of three pods, and its Service."""
    packages = next(path for path in map(Path, sys.path) if (path / "grpc" / "__init__.py").exists())
    mounts = {**MOUNTS, "packages": str(packages), "app": str(ROOT / "tests" / "grpcshop")}
    container: dict[str, Any] = {
        "name": "till", "image": "docker.io/local/box:1", "imagePullPolicy": "Never",
        "command": ["/python/bin/python3", "/app/server.py", str(PORT), *arguments],
        "env": [
            {"name": "PYTHONPATH", "value": "/packages"},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "LD_LIBRARY_PATH", "value": "/python/lib"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": n, "mountPath": f"/{n}", "readOnly": True} for n in mounts],
    }  # fmt: skip
    if protected:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    pod = {
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 30,
        "containers": [container],
        "volumes": [{"name": n, "hostPath": {"path": p}} for n, p in mounts.items()],
    }
    labels = {"app": "till"}
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"selector": labels, "ports": [{"port": PORT, "targetPort": PORT}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "till"}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "till"}, "spec": service},
    ]


@dataclass(frozen=True)
class Till:
    """The workload, in a namespace of its own."""

    namespace: str
    home: Path

    def apply(self, *arguments: str, protected: bool) -> None:
        listed = yaml.safe_dump_all(manifests(*arguments, protected=protected))
        kubectl("-n", self.namespace, "apply", "-f", "-", stdin=listed)
        kubectl("-n", self.namespace, "rollout", "status", "deployment/till", "--timeout=90s")

    def verdict(self, *options: str) -> dict[str, Any]:
        """Run zdtest on it, and return its verdict.json."""
        address = kubectl("-n", self.namespace, "get", "service", "till", "-o", "jsonpath={.spec.clusterIP}")
        out = self.home / "out"
        command = [
            sys.executable, "-m", "harness", "run", f"grpc://{address}:{PORT}/shop.Till/Buy", "--context", CONTEXT,
            "-n", self.namespace, "--deployment", "till", "-o", str(out), "--data", '{"id": "{seq}", "wait": "0.02s"}',
            *QUICK, *options,
        ]  # fmt: skip
        with one_load_at_a_time():
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode in {0, 1, 3}, done.stderr
        found: dict[str, Any] = json.loads(next(out.glob("*/verdict.json")).read_text())
        return found


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    namespace = f"zdtest-grpc-{os.getpid()}-{time.monotonic_ns() % 100000}"
    kubectl("create", "namespace", namespace)
    yield Till(namespace, tmp_path)
    kubectl("delete", "namespace", namespace, "--wait=false")
    kubectl("-n", namespace, "delete", "pods", "--all", "--grace-period=1", "--ignore-not-found")


def test_a_restart_of_a_server_that_does_not_drain_loses_calls(till: Till) -> None:
    till.apply(protected=False)
    told = till.verdict()
    assert told["verdict"]["grade"] == "FAIL"
    causes = {name for cause in told["causes"] for name in cause["ids"]}
    assert causes <= {"B1", "B2", "C3"}
    assert any("GOAWAY" in line for cause in told["causes"] for line in cause["mend"])
    assert {kind["kind"] for kind in told["numbers"]["kinds"]} & {"UNAVAILABLE", "CANCELLED"}


def test_a_restart_of_one_that_drains_loses_none_and_is_heard_by_goaway(till: Till) -> None:
    till.apply(*PROTECTED, protected=True)
    told = till.verdict()
    assert told["numbers"]["failed"] == 0
    assert told["calls"]["goaway"] >= 12
    assert told["calls"]["unannounced"] == 0
    assert told["calls"]["renewed_ns"] > 0
    assert all(pod["calls"] > 0 for pod in told["calls"]["pods"] if not pod["old"])


def test_pods_that_come_later_get_no_call_until_connections_have_an_age(till: Till) -> None:
    till.apply(protected=False)
    told = till.verdict("--trigger", "scale 5", "--settle", "15s")
    assert len(told["calls"]["left_out"]) == 2
    assert told["calls"]["age_s"] >= 30
    kubectl("-n", till.namespace, "scale", "deployment/till", "--replicas", "3")
    till.apply(*PROTECTED, protected=True)
    again = Till(till.namespace, till.home / "again")
    again.home.mkdir()
    assert again.verdict("--trigger", "scale 5", "--settle", "15s")["calls"]["left_out"] == []
