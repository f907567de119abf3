from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.permission.gitops import objection, tracked_by
from harness.cluster.trigger import doomed_pod, patch_for
from harness.errors import UsageError
from harness.scenario.trigger import Trigger, parse

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WEB: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "img:1"}]}}},
}


def test_a_trigger_is_read_with_its_argument() -> None:
    assert parse("restart") == Trigger("restart")
    assert parse("scale  5") == Trigger("scale", "5")
    assert parse("set-image app=img:2") == Trigger("set-image", "app=img:2")
    assert parse("evict-pod") == Trigger("evict-pod")
    assert parse("command helm upgrade 'my release' ./chart").words == [
        "helm",
        "upgrade",
        "my release",
        "./chart",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reboot",
        "restart now",
        "scale",
        "scale many",
        "scale ²",
        "set-image app",
        "apply",
        "command",
        "command 'x",
    ],
)
def test_what_is_no_trigger_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_an_image_is_set_in_the_named_container_only(tmp_path: Path) -> None:
    patch = patch_for(parse("set-image app=img:2"), WEB, NOW, tmp_path)
    assert patch == {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "img:2"}]}}}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("set-image other=img:2", "app"),
        ("set-image app=img:1", "nothing would change"),
        ("scale 3", "nothing would change"),
    ],
)
def test_a_change_that_does_not_fit_the_workload_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        patch_for(parse(text), WEB, NOW, tmp_path)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        patch_for(parse("apply new.yaml"), WEB, NOW, tmp_path)


def test_a_daemonset_has_no_replicas_to_scale(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one pod on each node"):
        patch_for(parse("scale 3"), {**WEB, "kind": "DaemonSet"}, NOW, tmp_path)


def test_apply_takes_the_workload_s_own_document_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(
        "kind: Service\nmetadata: {name: web}\n---\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 5}\n"
    )
    assert patch_for(parse("apply new.yaml"), WEB, NOW, tmp_path)["spec"] == {"replicas": 5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Service\nmetadata: {name: web}\n", "Service web"),
        ("kind: Deployment\nmetadata: web\n", "it holds: Deployment None"),
        ("a: [\n", r"new\.yaml:2: malformed YAML"),
        ("", "nothing"),
    ],
)
def test_a_file_without_the_workload_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "new.yaml").write_text(text)
    with pytest.raises(UsageError, match=words):
        patch_for(parse("apply new.yaml"), WEB, NOW, tmp_path)


def test_the_first_pod_by_name_goes_unless_one_is_named() -> None:
    assert doomed_pod(parse("delete-pod"), ["a", "b"]) == "a"
    assert doomed_pod(parse("delete-pod b"), ["a", "b"]) == "b"
    with pytest.raises(UsageError, match="a, b"):
        doomed_pod(parse("evict-pod c"), ["a", "b"])


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "x"}}, "Flux"),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
        ({"managedFields": [{"manager": "kubectl"}], "labels": {"app": "argocd"}}, ""),
    ],
)
def test_a_gitops_tool_is_recognised_by_its_marks(metadata: dict[str, Any], tool: str) -> None:
    assert tracked_by({"metadata": metadata}) == tool


def test_what_a_gitops_tool_would_undo_is_refused_with_the_ways_that_work() -> None:
    assert objection("Flux", "restart") == ""
    assert objection("", "apply") == ""
    for trigger in ("apply", "set-image"):
        assert "observe" in objection("Flux", trigger)
