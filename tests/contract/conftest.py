"""Each test runs on the lab as it is, on the lab as a Kubernetes 1.20, and on a real cluster where one is named.

No test asks which server it has; some ask what it serves.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import pytest
import yaml

from harness.lab import lab
from harness.lab.objects.resources import MINOR
from harness.model import LabPlan
from tests.contract.api_client import Server, deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = os.environ.get("ZDTEST_CONTRACT") == "all"  # else of the old version what it says about itself
SLOW = pytest.mark.skip(
    reason="kubectl takes its time: `nox -s contract` runs it; tests/lab has a shorter one"
)
REAL = os.environ.get("KUBECONFIG") if "ZDTEST_BED" in os.environ else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        old = ALL or metafunc.module.__name__.endswith("test_discovery")
        if metafunc.module.__name__.endswith("test_kubectl") and not (ALL or REAL):
            metafunc.parametrize("server", [pytest.param("lab", marks=SLOW)], indirect=True)
            return
        servers = ["lab", *(["lab-1.20"] if old else []), *(["real"] if REAL else [])]
        metafunc.parametrize("server", servers, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server with a namespace of our own in it."""
    if request.param == "real":
        assert REAL is not None
        yield from _in_a_namespace(Server(REAL))
        return
    home = tmp_path_factory.mktemp("lab")
    manifests = home / "all.yaml"
    service: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "seed"}}
    service["spec"] = {"selector": {"app": "seed"}, "ports": [{"port": 80, "targetPort": 8080}]}
    manifests.write_text(yaml.safe_dump_all([deployment("seed", 1), service]), encoding="utf-8")
    minor = 20 if request.param == "lab-1.20" else MINOR
    plan = LabPlan(manifests=(str(manifests),), tls=False, lag_ns=0, minor=minor)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(lab.running(plan, home / "lab")) as endpoint,
    ):
        yield from _in_a_namespace(Server(endpoint.kubeconfig))


def _in_a_namespace(server: Server) -> Iterator[Server]:
    server.namespace = f"fidelity-contract-{secrets.token_hex(3)}"
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": server.namespace}}
    server("POST", "/api/v1/namespaces", made).good(201)
    try:
        server.until(server.path("serviceaccounts", "default"), lambda _: True)
        yield server
    finally:
        server("DELETE", f"/api/v1/namespaces/{server.namespace}")
        server.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t-{secrets.token_hex(4)}"


@pytest.fixture
def kubeconfig(server: Server) -> Path:
    return Path(server.kubeconfig)
