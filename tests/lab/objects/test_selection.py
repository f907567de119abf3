"""Label and field selection."""

from __future__ import annotations

from typing import Any

import pytest

from harness.k8s.selectors import selected
from harness.lab.objects import selection
from harness.lab.objects.status import StatusError

ITEM: dict[str, Any] = {
    "metadata": {"name": "a", "namespace": "n", "labels": {"app": "web", "tier": "x"}},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier!=y", True),
        ("app = web", True),
        ("app!=web", False),
        ("none!=x", True),
        ("app in (web, api),tier", True),
        ("app notin (web)", False),
        ("!none", True),
        ("!app", False),
        ("none", False),
    ],
)
def test_a_label_selector_takes_what_kubectl_would_take(text: str, *, taken: bool) -> None:
    assert selection.labels(text)(ITEM) is taken


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("metadata.name=a,metadata.namespace=n", True),
        ("status.phase!=Running", False),
        ("spec.nodeName=", True),
    ],
)
def test_a_field_selector_takes_by_path(text: str, *, taken: bool) -> None:
    assert selection.fields(text, "Pod")(ITEM) is taken


def test_a_field_that_no_server_selects_by_is_refused() -> None:
    with pytest.raises(StatusError) as refused:
        selection.fields("spec.containers=x", "Pod")
    assert refused.value.code == 400


def test_a_malformed_label_selector_is_refused() -> None:
    with pytest.raises(StatusError):
        selection.labels("app in web")


@pytest.mark.parametrize(
    ("selector", "taken"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "api"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        (None, False),
    ],
)
def test_a_label_selector_object_takes_labels(selector: dict[str, Any] | None, *, taken: bool) -> None:
    assert selected(selector, ITEM["metadata"]["labels"]) is taken
