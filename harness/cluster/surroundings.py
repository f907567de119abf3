"""The Ingresses, routes, budgets, autoscalers and target groups that concern a workload. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.k8s.gateway import services_of
from harness.k8s.selectors import budget_selects

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]


def concerns(
    obj: Object, kind: str, name: str, labels: dict[str, str], services: Iterable[str], namespace: str = ""
) -> bool:
    """Tell whether an object of one of rbac.SURROUNDINGS is about this workload.

    `namespace` is the workload's; a route may be in another one.
    """
    spec = obj.get("spec") or {}
    match obj.get("kind"):
        case "Ingress":
            return bool(backends(obj) & set(services))
        case "HTTPRoute" | "GRPCRoute":
            return bool(services_of(obj, namespace) & set(services))
        case "PodDisruptionBudget":
            return budget_selects(obj, labels)
        case "HorizontalPodAutoscaler":
            target = spec.get("scaleTargetRef") or {}
            return (target.get("kind"), target.get("name")) == (kind, name)
        case "TargetGroupBinding":
            return (spec.get("serviceRef") or {}).get("name") in set(services)
        case _:
            return False


def backends(ingress: Object) -> set[str]:
    """Return the names of the Services that an Ingress (networking.k8s.io/v1 or v1beta1) sends to."""
    spec = ingress.get("spec") or {}
    found = [spec.get("defaultBackend") or spec.get("backend")]
    found += [
        path.get("backend")
        for rule in spec.get("rules") or []
        for path in (rule.get("http") or {}).get("paths") or []
    ]
    return {backend_name(backend) for backend in found} - {""}


def backend_name(backend: Object | None) -> str:
    """Read a backend of networking.k8s.io/v1 or v1beta1."""
    backend = backend or {}
    return str((backend.get("service") or {}).get("name") or backend.get("serviceName") or "")
