"""How we know that a URL reaches a workload. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.cluster.surroundings import backend_name
from harness.k8s.selectors import service_selects
from harness.model import BY_ANSWERS, POD_HEADERS, PathProof
from harness.run.preflight.routes import Routes, led

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Object = dict[str, Any]
NO_ROUTES = Routes()


def services_of(services: Iterable[Object], pod_labels: dict[str, str]) -> list[Object]:
    """Return the Services whose selector takes in pods with these labels."""
    return [service for service in services if service_selects(service, pod_labels)]


def prove_all(
    asked: Sequence[tuple[str, tuple[str, ...]]],
    services: Sequence[Object],
    ingresses: Sequence[Object],
    pods: Sequence[str],
    here: str = "",
    routes: Routes = NO_ROUTES,
) -> PathProof:
    """Say how all of a run's URLs are known to reach the workload: each with the pods that its answers named."""
    proofs = [prove(url, services, ingresses, named, pods, here, routes) for url, named in asked]
    weakest = sorted(proofs, key=lambda proof: (proof.proven, not proof.by_answers))
    return weakest[0]


def prove(
    url: str,
    services: Sequence[Object],
    ingresses: Sequence[Object],
    named: Iterable[str],
    pods: Iterable[str],
    here: str = "",
    routes: Routes = NO_ROUTES,
) -> PathProof:
    """Say how this URL is known to reach the workload, or that it is not.

    `named` are the values of pod headers that the target's answers carried; `pods` the workload's pods; `here` the
    namespace of the pod that we run in, "" outside a cluster.
    """
    proof = _by_route(url, services, ingresses, here, routes)
    met = sorted(set(named) & set(pods))
    if (
        met and not proof.proven
    ):  # a name in an answer is the weaker proof: the load's own answers have to bear it out
        return PathProof(proven=True, how=f"{BY_ANSWERS} ({met[0]})")
    return proof


def _by_route(
    url: str, services: Sequence[Object], ingresses: Sequence[Object], here: str, known: Routes
) -> PathProof:
    """Say where the cluster's own objects send this URL."""
    if not services:
        return PathProof(
            proven=False, how="no Service selects the workload's pods, and no answer names one of them"
        )
    host = urlsplit(url).hostname or ""
    for service in services:
        if host in _names(service, here):
            return PathProof(
                proven=True,
                how=f"the URL's host is Service {service['metadata']['name']}, which selects the workload's pods",
            )
    names = {s["metadata"]["name"] for s in services}
    # All Ingresses together: one may send /api elsewhere where another sends everything here.
    path = urlsplit(url).path or "/"
    routes = [route for ingress in ingresses for route in _routes(ingress, host, path)]
    route = max(routes, key=lambda r: (r.exact, r.length), default=None)
    way = led(url, known, str(services[0]["metadata"].get("namespace") or ""), names)
    if way and not (way.ours and route and route.backend not in names):
        # Of an Ingress and a route for one host, nobody knows here which the host's address belongs to: both count.
        both = "" if route is None else f" (Ingress {route.ingress} to Service {route.backend})"
        return PathProof(proven=way.ours, how=f"{way.how}{both}")
    if route and route.backend in names:
        return PathProof(
            proven=True,
            how=f"Ingress {route.ingress} sends {host} to Service {route.backend}, which selects the workload's pods",
        )
    if route:
        return PathProof(
            proven=False,
            how=(
                f"Ingress {route.ingress} sends {host}{path} to Service {route.backend}, which is none of the"
                " workload's"
            ),
        )
    listed = ", ".join(sorted(names))
    return PathProof(
        proven=False,
        how=(
            f"no answer names a pod ({', '.join(POD_HEADERS)}), and neither Service {listed} nor an Ingress or a route"
            f" to it has the host {host}"
        ),
    )


def _names(service: Object, here: str) -> set[str]:
    metadata, spec = service["metadata"], service.get("spec") or {}
    name, namespace = metadata["name"], metadata.get("namespace", "default")
    names = {f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"}
    names |= {name} if namespace == here else set()  # the bare name is another Service's elsewhere
    names |= {spec.get("clusterIP") or "", *(spec.get("clusterIPs") or []), *(spec.get("externalIPs") or [])}
    names |= _balancer_names(service)
    return {n for n in names if n not in {"", "None"}}


def _balancer_names(obj: Object) -> set[str]:
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return {e.get(k, "") for e in entries for k in ("ip", "hostname")} - {""}


@dataclass(frozen=True, slots=True)
class _Route:
    """One rule of one Ingress that fits a URL."""

    ingress: str
    backend: str
    exact: bool
    length: int  # of the path that fits: the longest wins; -1 for a default backend


def _routes(ingress: Object, host: str, path: str) -> Iterator[_Route]:
    """Yield what of an Ingress fits this host and path (networking.k8s.io: Exact before the longest Prefix)."""
    name, spec = ingress["metadata"]["name"], ingress.get("spec") or {}
    by_address = host in _balancer_names(ingress)
    for rule in spec.get("rules") or []:
        wanted = rule.get("host")
        if wanted == host or (by_address and (_is_address(host) or not wanted)):
            for entry in (rule.get("http") or {}).get("paths") or []:
                prefix, kind = str(entry.get("path") or "/"), entry.get("pathType")
                if _fits(path, prefix, exact=kind == "Exact"):
                    yield _Route(name, backend_name(entry.get("backend")), kind == "Exact", len(prefix))
    default = backend_name(spec.get("defaultBackend") or spec.get("backend"))
    if by_address and default:
        yield _Route(name, default, exact=False, length=-1)


def _fits(path: str, prefix: str, *, exact: bool) -> bool:
    """Tell whether a path is matched, element by element: /api takes /api and /api/x, not /apis."""
    return path == prefix if exact else (path + "/").startswith(prefix.rstrip("/") + "/")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
