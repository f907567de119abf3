"""How a URL is known to reach a workload. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.cluster.surroundings import backend_name
from harness.model import POD_HEADERS, PathProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Object = dict[str, Any]


def services_of(services: Iterable[Object], pod_labels: dict[str, str]) -> list[Object]:
    """Return the Services whose selector takes in pods with these labels. No selector selects nothing."""
    return [
        s
        for s in services
        if (sel := (s.get("spec") or {}).get("selector")) and sel.items() <= pod_labels.items()
    ]


def prove_all(
    asked: Sequence[tuple[str, tuple[str, ...]]],
    services: Sequence[Object],
    ingresses: Sequence[Object],
    pods: Sequence[str],
) -> PathProof:
    """Say how all of a run's URLs are known to reach the workload: each with the pods that its answers named."""
    proofs = [prove(url, services, ingresses, named, pods) for url, named in asked]
    return next((proof for proof in proofs if not proof.proven), proofs[0])


def prove(
    url: str,
    services: Sequence[Object],
    ingresses: Sequence[Object],
    named: Iterable[str],
    pods: Iterable[str],
) -> PathProof:
    """Say how this URL is known to reach the workload, or that it is not.

    `named` are the values of pod headers that the target's answers carried; `pods` the workload's pods.
    """
    met = sorted(set(named) & set(pods))
    if met:
        return PathProof(proven=True, how=f"answers name the workload's pods in a header ({met[0]})")
    if not services:
        return PathProof(
            proven=False, how="no Service selects the workload's pods, and no answer names one of them"
        )
    host = urlsplit(url).hostname or ""
    for service in services:
        if host in _names(service):
            return PathProof(
                proven=True,
                how=f"the URL's host is Service {service['metadata']['name']}, which selects the workload's pods",
            )
    names = {s["metadata"]["name"] for s in services}
    for ingress in ingresses:
        backend = _ingress_backend(ingress, host, names)
        if backend:
            return PathProof(
                proven=True,
                how=f"Ingress {ingress['metadata']['name']} sends {host} to Service {backend}, which selects the workload's pods",
            )
    listed = ", ".join(sorted(names))
    return PathProof(
        proven=False,
        how=f"no answer names a pod ({', '.join(POD_HEADERS)}), and neither Service {listed} nor an Ingress to it has the host {host}",
    )


def _names(service: Object) -> set[str]:
    metadata, spec = service["metadata"], service.get("spec") or {}
    name, namespace = metadata["name"], metadata.get("namespace", "default")
    names = {f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local", name}
    names |= {spec.get("clusterIP") or "", *(spec.get("clusterIPs") or []), *(spec.get("externalIPs") or [])}
    names |= _balancer_names(service)
    return {n for n in names if n not in {"", "None"}}


def _balancer_names(obj: Object) -> set[str]:
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return {e.get(k, "") for e in entries for k in ("ip", "hostname")} - {""}


def _ingress_backend(ingress: Object, host: str, names: set[str]) -> str:
    """Return the one of `names` that an Ingress sends this host to, or ""."""
    spec = ingress.get("spec") or {}
    by_address = host in _balancer_names(ingress)
    for rule in spec.get("rules") or []:
        wanted = rule.get("host")
        if wanted == host or (by_address and _is_address(host)) or (by_address and not wanted):
            for path in (rule.get("http") or {}).get("paths") or []:
                if (name := backend_name(path.get("backend"))) in names:
                    return name
    default = backend_name(spec.get("defaultBackend") or spec.get("backend"))
    return default if by_address and default in names else ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
