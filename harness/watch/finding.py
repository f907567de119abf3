"""Which services of a namespace can be watched, and under which URL. Pure: the caller lists the objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster.surroundings import backend_name
from harness.k8s.selectors import service_selects
from harness.watch.service import NotWatched, Rates, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Object = dict[str, Any]
_PLACES = re.compile(r"\{(service|port|namespace|workload)\}")
_MEND = "name it in a watch file (-f), with its url; or give --url-template"


def found(
    workloads: Iterable[Object],
    services: Sequence[Object],
    ingresses: Sequence[Object],
    template: str | None,
    rates: Rates,
) -> tuple[list[Wanted], list[NotWatched]]:
    """Return the services to watch, and the workloads that no URL is known for."""
    wanted: list[Wanted] = []
    left: list[NotWatched] = []
    for workload in sorted(workloads, key=lambda one: (one["kind"], one["metadata"]["name"])):
        kind, name = workload["kind"], workload["metadata"]["name"]
        key = f"{kind.lower()}/{name}"
        labels = ((workload["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
        mine = [service for service in services if service_selects(service, labels)]
        if not mine:
            left.append(
                NotWatched(
                    key, "no Service selects its pods", "give it a Service, or leave it: it gets no requests"
                )
            )
            continue
        url, how = _url(workload, mine, ingresses, template)
        if url:
            fields = {"workload": (kind, name), "target": {"url": url}}
            wanted.append(Wanted(fields, rates, f"found in the namespace ({how})", Path()))
        else:
            left.append(NotWatched(key, how, _MEND))
    return wanted, left


def _url(
    workload: Object, services: Sequence[Object], ingresses: Sequence[Object], template: str | None
) -> tuple[str, str]:
    """Return a URL that leads to the workload and how it is known; or "" and why there is none."""
    names = {service["metadata"]["name"] for service in services}
    for ingress in ingresses:
        for host, path, backend in _routes(ingress):
            if backend in names and host and "*" not in host:
                scheme = "https" if host in _tls_hosts(ingress) else "http"
                return f"{scheme}://{host}{path}", f"Ingress {ingress['metadata']['name']}"
    if template:
        service = services[0]
        ports = (service.get("spec") or {}).get("ports") or [{}]
        values = {
            "service": service["metadata"]["name"],
            "port": str(ports[0].get("port", 80)),
            "namespace": service["metadata"].get("namespace", "default"),
            "workload": workload["metadata"]["name"],
        }
        return _PLACES.sub(lambda found: values[found[1]], template), "--url-template"
    return "", f"no Ingress with a host leads to Service {', '.join(sorted(names))}"


def _routes(ingress: Object) -> Iterable[tuple[str, str, str]]:
    for rule in (ingress.get("spec") or {}).get("rules") or []:
        for entry in (rule.get("http") or {}).get("paths") or []:
            path = str(entry.get("path") or "/")
            # A pattern, as some controllers take it, is no path.
            plain = path if re.fullmatch(r"/[\w./~-]*", path) else "/"
            yield str(rule.get("host") or ""), plain, backend_name(entry.get("backend"))


def _tls_hosts(ingress: Object) -> set[str]:
    return {host for one in (ingress.get("spec") or {}).get("tls") or [] for host in one.get("hosts") or []}
