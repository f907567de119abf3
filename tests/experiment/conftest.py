"""One lab's API server for all tests of a file, and its Deployment `web` as each test finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.from_thread
import pytest
import yaml

from harness.cluster.client.api import Api
from harness.experiment.place import Place
from harness.lab import lab
from harness.model import LabPlan
from tests.lab.control_plane import deployment, service

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("lab")
    (home / "all.yaml").write_text(yaml.safe_dump_all([deployment(replicas=0), service()]))
    plan = LabPlan(manifests=(str(home / "all.yaml"),), tls=False, lag_ns=0)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(lab.running(plan, home / "lab")) as endpoint,
    ):
        yield Api.connect(endpoint.kubeconfig, endpoint.context)


@pytest.fixture
def place(api: Api) -> Iterator[Place]:
    found = Place(api, "Deployment", "default", "web")
    original = found.original()
    yield found
    api.replace_spec("Deployment", "default", "web", original.spec, field_manager="test")
