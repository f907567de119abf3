"""Label selectors: whom they take in, and how a list or a watch asks for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.k8s.argo import HASH

if TYPE_CHECKING:
    from collections.abc import Mapping

_AS_TEXT = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


def selected(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector (matchLabels, matchExpressions) takes in these labels. None takes in nothing, {}
    all.
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_fits(rule, labels) for rule in selector.get("matchExpressions") or ())


def _fits(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = rule["key"], rule.get("values") or []
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[rule["operator"]]


def as_text(selector: Mapping[str, Any]) -> str:
    """Write a LabelSelector as the text that lists and watches take."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or ():
        values = ",".join(rule.get("values") or ())
        parts.append(_AS_TEXT[rule["operator"]].format(key=rule["key"], values=values))
    return ",".join(parts)


def service_selects(service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a Service's selector takes in pods with these labels. No selector takes in nothing.

    Argo Rollouts adds the hash of one of its ReplicaSets to a Service's selector. A template has no such label, so it
    counts only where pods' own labels are asked about.
    """
    selector = (service.get("spec") or {}).get("selector") or {}
    return labels_match({k: v for k, v in selector.items() if k != HASH or k in labels}, labels)


def budget_selects(budget: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a PodDisruptionBudget covers pods with these labels.

    An empty selector is left out: it covers all of a namespace in policy/v1, and nothing in v1beta1.
    """
    return labels_match(((budget.get("spec") or {}).get("selector") or {}).get("matchLabels"), labels)


def labels_match(wanted: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether all wanted labels are there. None, and an empty mapping, match nothing."""
    return bool(wanted) and all(labels.get(key) == value for key, value in (wanted or {}).items())
