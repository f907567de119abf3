"""What a recording keeps of Gateway API objects. Pure.

Filters and header matches may hold tokens: of a filter its type is kept, of a header and a query parameter its name.
"""

from __future__ import annotations

from typing import Any

from harness.k8s.gateway import GROUP, ROUTES

Object = dict[str, Any]

KINDS = frozenset({*ROUTES, "Gateway"})
_PARENT = ("group", "kind", "namespace", "name", "sectionName", "port")
_BACKEND = ("group", "kind", "namespace", "name", "port", "weight")
_LISTENER = ("name", "hostname", "port", "protocol")


def is_ours(obj: Object) -> bool:
    """Tell whether an object is one of these: Istio has a Gateway of its own."""
    return obj.get("kind") in KINDS and str(obj.get("apiVersion") or GROUP).startswith(GROUP)


def spec(obj: Object) -> Object:
    """Return what is kept of a route's or a Gateway's spec."""
    given = obj.get("spec") or {}
    if obj.get("kind") == "Gateway":
        return {
            "gatewayClassName": given.get("gatewayClassName", ""),
            "listeners": [_chosen(one, _LISTENER) for one in given.get("listeners") or ()],
        }
    return {
        "parentRefs": [_chosen(one, _PARENT) for one in given.get("parentRefs") or ()],
        **({"hostnames": list(given["hostnames"])} if given.get("hostnames") else {}),
        "rules": [_rule(one) for one in given.get("rules") or ()],
    }


def status(obj: Object) -> Object:
    """Return who has accepted a route: in a live object alone, and all that tells which gateway stands there."""
    parents = (obj.get("status") or {}).get("parents") or ()
    return {
        "parents": [
            {
                "controllerName": str(one.get("controllerName") or ""),
                "parentRef": _chosen(one.get("parentRef") or {}, _PARENT),
                "conditions": [_chosen(c, ("type", "status", "reason")) for c in one.get("conditions") or ()],
            }
            for one in parents
        ]
    }


def _rule(rule: Object) -> Object:
    kept: Object = {"backendRefs": [_chosen(one, _BACKEND) for one in rule.get("backendRefs") or ()]}
    if rule.get("matches"):
        kept["matches"] = [_match(one) for one in rule["matches"]]
    if rule.get("filters"):
        kept["filters"] = [_chosen(one, ("type",)) for one in rule["filters"]]
    if rule.get("timeouts"):
        kept["timeouts"] = _chosen(rule["timeouts"], ("request", "backendRequest"))
    if rule.get("retry"):
        codes = [code for code in rule["retry"].get("codes") or () if isinstance(code, int)]
        kept["retry"] = _chosen(rule["retry"], ("attempts", "backoff")) | ({"codes": codes} if codes else {})
    if rule.get("sessionPersistence"):
        kept["sessionPersistence"] = _chosen(rule["sessionPersistence"], ("type",))
    return kept


def _match(match: Object) -> Object:
    kept: Object = {}
    if match.get("path"):
        kept["path"] = _chosen(match["path"], ("type", "value"))
    method = match.get("method")
    if method:
        kept["method"] = method if isinstance(method, str) else _chosen(method, ("type", "service", "method"))
    for name in ("headers", "queryParams"):
        if match.get(name):
            kept[name] = [_chosen(one, ("type", "name")) for one in match[name]]
    return kept


def _chosen(given: Object, names: tuple[str, ...]) -> Object:
    return {name: given[name] for name in names if isinstance(given.get(name), str | int)}
