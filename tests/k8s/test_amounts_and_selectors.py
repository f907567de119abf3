"""Numbers that may be percentages, and whom a selector takes in."""

from __future__ import annotations

from typing import Any

import pytest

from harness.k8s.amounts import amount
from harness.k8s.selectors import as_text, budget_selects, selected, service_selects


@pytest.mark.parametrize(
    ("value", "whole", "surge", "unavailable"),
    [
        ("25%", 3, 1, 0),
        ("25%", 4, 1, 1),
        ("100%", 7, 7, 7),
        ("0%", 7, 0, 0),
        (2, 3, 2, 2),
        ("2", 3, 2, 2),
        ("some%", 3, 0, 0),
        (None, 3, 0, 0),
        (-1, 3, 0, 0),
    ],
)
def test_surge_rounds_up_and_unavailable_rounds_down(
    value: object, whole: int, surge: int, unavailable: int
) -> None:
    assert (amount(value, whole, up=True), amount(value, whole, up=False)) == (surge, unavailable)


WEB = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "text", "taken"),
    [
        ({"matchLabels": {"tier": "front", "app": "web"}}, "app=web,tier=front", True),
        ({"matchLabels": {"app": "api"}}, "app=api", False),
        (
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}]},
            "app in (api,web)",
            True,
        ),
        (
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
            "app notin (web)",
            False,
        ),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, "tier", True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, "!tier", False),
        ({}, "", True),
    ],
)
def test_a_selector_takes_in_whom_its_text_asks_for(
    selector: dict[str, Any], text: str, *, taken: bool
) -> None:
    assert (selected(selector, WEB), as_text(selector)) == (taken, text)


def test_a_service_and_a_budget_without_a_selector_take_in_nobody() -> None:
    assert not service_selects({"spec": {}}, WEB)
    assert not budget_selects({"spec": {"selector": {}}}, WEB)
    assert service_selects({"spec": {"selector": {"app": "web"}}}, WEB)
    assert budget_selects({"spec": {"selector": {"matchLabels": {"app": "web"}}}}, WEB)
