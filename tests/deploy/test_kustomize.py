"""The kustomize base, built by kubectl's own kustomize."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kustomize"

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


def built(folder: Path) -> Sequence[dict[str, Any]]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def overlay_of_the_docs() -> str:
    text = (ROOT / "docs" / "incluster.md").read_text()
    _, _, rest = text.partition("# kustomization.yaml\n")
    return rest.partition("```")[0]


def by_kind(documents: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in documents}


def test_the_base_is_its_files_in_its_namespace() -> None:
    plain = [
        doc for name in ("rbac", "cronjob") for doc in yaml.safe_load_all((BASE / f"{name}.yaml").read_text())
    ]
    assert by_kind(built(BASE)) == by_kind(plain)


def test_the_overlay_in_the_docs_changes_what_it_says(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "zdtest")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(overlay_of_the_docs())
    found = by_kind(built(tmp_path / "mine"))
    assert {document["metadata"]["namespace"] for document in found.values()} == {"checkout"}
    assert found["RoleBinding"]["subjects"][0]["namespace"] == "checkout"
    assert found["Role"]["rules"][0]["resourceNames"] == ["api"]
    container = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.com/tools/zdtest:0.6.0"
    assert container["args"][1:6:4] == ["https://checkout.example.com/", "api"]
    assert container["args"][-2:] == ["--output", "s3://nights/checkout"]
    assert "$(NAMESPACE)" in container["args"]
    assert {variable["name"] for variable in container["env"]} == {"NAMESPACE"}
    assert container["envFrom"] == [{"secretRef": {"name": "zdtest-storage"}}]


def test_the_patch_in_the_docs_makes_the_cronjob_of_an_old_cluster(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "zdtest")
    (tmp_path / "old").mkdir()
    text = (ROOT / "docs" / "incluster.md").read_text()
    patches = text[text.index("patches:", text.index("Before Kubernetes 1.21")) :].partition("```")[0]
    (tmp_path / "old" / "kustomization.yaml").write_text(f"resources: [../zdtest]\n{patches}")
    cronjob = by_kind(built(tmp_path / "old"))["CronJob"]
    assert cronjob["apiVersion"] == "batch/v1beta1"
    assert "timeZone" not in cronjob["spec"]
