from __future__ import annotations

import pytest

from harness.cluster.permission.guard import protected_word, refusal


@pytest.mark.parametrize(
    "names",
    [
        ("prod", "web", "api"), ("eks-prod1", "web", "api"), ("arn:aws:eks:eu-west-1:1:cluster/production", "d", "w"),
        ("staging", "live", "api"), ("staging", "web", "api-PROD"), ("gke_acme_europe_prod-2", "d", "w"),
    ],
)  # fmt: skip
def test_a_name_with_a_protected_word_is_protected(names: tuple[str, str, str]) -> None:
    assert protected_word(*names)


@pytest.mark.parametrize(
    "names",
    [("staging", "delivery", "product"), ("preprod", "olive", "reproduction"), ("kind", "default", "web")],
)
def test_a_word_inside_another_word_is_not_protected(names: tuple[str, str, str]) -> None:
    assert protected_word(*names) is None


def test_a_protected_workload_is_refused_until_it_is_spelled_out() -> None:
    line = refusal("eks-prod", "shop", "api", None)
    assert line
    assert "--allow eks-prod/shop/api" in line
    assert refusal("eks-prod", "shop", "api", "eks-prod/shop/api") is None


def test_allow_for_another_workload_is_refused_even_where_nothing_is_protected() -> None:
    assert refusal("staging", "shop", "api", "staging/shop/web")
