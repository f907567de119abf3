"""A real Kubernetes, with a real balancer in front of one workload."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.real_cluster import Deployed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BALANCER = Path(os.environ.get("ZDTEST_BED", "/nowhere")) / "ingress"


@pytest.fixture(scope="session", autouse=True)
def _cluster_there() -> None:
    if "KUBECONFIG" not in os.environ or not BALANCER.exists():
        pytest.fail("these tests want KUBECONFIG and ZDTEST_BED, see CONTRIBUTING.md")


def _port() -> int:
    """Return a port for balancers of this process: of two that run side by side (-n 2), each has one of its own."""
    return 8090 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@contextmanager
def _deployments(home: Path) -> Iterator[Callable[..., Deployed]]:
    started: list[tuple[Deployed, subprocess.Popen[bytes]]] = []

    def make(
        scenario: str, *options: str, port: int = _port(), kind: str = "Deployment", word: str = "zdtest"
    ) -> Deployed:
        name = f"{word}-{os.getpid()}-{len(started)}-{time.monotonic_ns() % 100000}"
        made = Deployed(scenario, name, port, home, kind)
        made.apply()
        command = [str(BALANCER), "web", str(port), "--namespace", made.namespace, *options]
        with (home / f"balancer-{len(started)}.log").open("wb") as log:
            started.append((made, subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)))
        made.wait_until_it_answers()
        return made

    yield make
    for made, balancer in started:
        balancer.terminate()
        balancer.wait(20)
        made.delete()


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Callable[..., Deployed]]:
    """Put a scenario's manifests on the cluster, each time in a namespace of its own, with a balancer in front."""
    with _deployments(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def without_a_probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """One workload for all tests of a file that leave it as they found it: settled, and not paused."""
    with _deployments(tmp_path_factory.mktemp("no-probe")) as make:
        yield make("seed/1-no-probe", port=_port() + 1)
