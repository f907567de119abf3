"""Lint of Gateway API routes to a workload's Services. Each check yields (place, what is wrong there)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.judge.lint.workload_view import LintRule, rule
from harness.k8s.gateway import backends_of, name_of, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.lint.workload_view import Object, WorkloadView

_SPEC = "gateway-api.sigs.k8s.io/reference/spec"
_RULES_ITSELF = frozenset({"RequestRedirect", "ExtensionRef"})  # filters with which a rule needs no backend


def _rules(view: WorkloadView) -> Iterator[tuple[Object, str, Object]]:
    """Yield each rule with its route and its place."""
    for route in view.routes:
        for number, one in enumerate(rules_of(route)):
            yield route, f"{route.get('kind', 'HTTPRoute')} {name_of(route)} spec.rules[{number}]", one


def _nowhere(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for _, place, one in _rules(view):
        refs = one.get("backendRefs") or []
        filters = {each.get("type") for each in one.get("filters") or ()}
        if refs and all(ref.get("weight") == 0 for ref in refs):
            yield f"{place}.backendRefs", "every weight is 0: requests that match get a 500"
        elif not refs and not filters & _RULES_ITSELF:
            yield f"{place}.backendRefs", "it points to no Service: requests that match get a 500"


def _weight(view: WorkloadView) -> Iterator[tuple[str, str]]:
    ours = {name_of(service) for service in view.services}
    for route, place, one in _rules(view):
        backends = backends_of(route, one)
        if any(each.weight for each in backends):
            for each in backends:
                if not each.weight and each.name in ours:
                    yield (
                        f"{place}.backendRefs",
                        f"the weight of Service {each.name} is 0: it gets no request",
                    )


def _retry(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for _, place, one in _rules(view):
        retry: dict[str, Any] = one.get("retry") or {}
        if retry and retry.get("attempts") != 0:
            times = retry.get("attempts")
            codes = ", ".join(str(code) for code in retry.get("codes") or ())
            how = f"up to {times} times" if times else "again"
            on = f" on {codes}" if codes else ""
            yield f"{place}.retry", f"the gateway asks {how}{on}: what a pod loses may not show in any answer"


def _timeout(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for _, place, one in _rules(view):
        timeouts = one.get("timeouts") or {}
        said = {name: str(timeouts[name]) for name in ("request", "backendRequest") if timeouts.get(name)}
        for name, value in said.items():
            if value not in {"0s", "0"}:
                yield (
                    f"{place}.timeouts.{name}",
                    f"{value}: the gateway answers 504 to what takes longer at a pod",
                )


OF_GATEWAYS: tuple[LintRule, ...] = (
    rule("route-to-nowhere", "error", _nowhere, "", "a rule without a valid backend answers 500", _SPEC, shown=False),
    rule("route-weight-zero", "warning", _weight, "", "a backend of weight 0 gets no traffic", _SPEC, shown=False),
    rule("route-retries", "info", _retry, "",
         "retries hide losses from clients, and double load while pods are few; a method that is not idempotent may be"
         " done twice", "gateway-api.sigs.k8s.io/geps/gep-1731", shown=False),
    rule("route-timeout", "info", _timeout, "C7", "a request that waits for a pod to start is cut by it",
         "gateway-api.sigs.k8s.io/geps/gep-1742", shown=False),
)  # fmt: skip
