"""A run with the least Role that `zdtest rbac` prints, and with one verb less."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import pytest
import yaml

from harness.cluster.permission.rbac import role
from harness.lab import lab
from harness.model import LabPlan
from harness.scenario.resolve import shipped
from harness.scenario.trigger import parse
from tests.contract.api_client import MERGE, Server
from tests.contract.test_access import with_token

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import LabEndpoint


def run(endpoint: LabEndpoint, kubeconfig: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "harness", "run", endpoint.url, "-f", str(shipped() / "seed/4-grace"), "--cacert",
        str(endpoint.ca_file),
        "--kubeconfig", str(kubeconfig), "--context", endpoint.context, "-n", endpoint.namespace, "--deployment", "web",
        "-o", str(out), "-c", "5", "-d", "5s", "--trigger-after", "2s", "--settle", "2s",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.slow
def test_the_least_role_is_enough_and_one_verb_less_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = shipped() / "seed/4-grace"
    files = tuple(
        str(folder / name) for name in yaml.safe_load((folder / "zdtest.yaml").read_text())["manifests"]
    )
    documents: list[dict[str, Any]] = role("default", "Deployment", "web", parse("restart"))
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            lab.running(LabPlan(manifests=files), tmp_path / "lab")
        ) as endpoint,
    ):
        owner = Server(endpoint.kubeconfig)
        made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "zdtest"}}
        owner("POST", owner.path("serviceaccounts"), made).good(201)
        for document, plural in zip(documents, ("roles", "rolebindings"), strict=True):
            owner("POST", owner.path(plural), document).good(201)
        given = owner("POST", owner.path("serviceaccounts", "zdtest", "token"), {}).good(201)["status"][
            "token"
        ]
        kubeconfig = tmp_path / "restricted"
        with_token(owner, given, kubeconfig).close()

        done = run(endpoint, kubeconfig, tmp_path / "out")
        assert done.returncode == 0, done.stdout + done.stderr
        [verdict] = (tmp_path / "out").glob("*/verdict.json")
        assert json.loads(verdict.read_text())["verdict"]["grade"] == "PASS"

        rules = [
            {
                **rule,
                "verbs": [v for v in rule["verbs"] if (v, rule["resources"]) != ("patch", ["deployments"])],
            }
            for rule in documents[0]["rules"]
        ]
        owner("PATCH", owner.path("roles", "zdtest"), {"rules": rules}, content_type=MERGE).good()
        refused = run(endpoint, kubeconfig, tmp_path / "out")
        assert refused.returncode == 2, refused.stderr
        assert "patch deployments.apps/web" in refused.stderr.splitlines()[-1]
        owner.close()
