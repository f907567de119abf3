"""The CronJob of deploy/ in a namespace that enforces the Pod Security Standard "restricted", where the server does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.real_cluster import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
FIRST = 23  # of 1.x: the first in which the labels are enforced without being asked for


@pytest.fixture
def restricted() -> Iterator[str]:
    """A namespace of its own, with the label."""
    minor = int(json.loads(kubectl("get", "--raw", "/version"))["minor"].rstrip("+"))
    if minor < FIRST:
        pytest.skip(f"a Kubernetes 1.{minor} does not enforce the labels")
    name = f"zdtest-restricted-{os.getpid()}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    )
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_the_cronjob_s_pod_is_admitted(restricted: str) -> None:
    cronjob = yaml.safe_load((REPOSITORY / "deploy" / "kustomize" / "cronjob.yaml").read_text())
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    template["spec"].pop("serviceAccountName")  # it has none of that name
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}

    def admitted() -> str:
        pod["metadata"] = {**template["metadata"], "name": "p", "namespace": restricted}
        return kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))

    assert "pod/p created" in admitted()
    del template["spec"]["securityContext"]["seccompProfile"]
    with pytest.raises(AssertionError, match="restricted"):
        admitted()
