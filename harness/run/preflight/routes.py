"""Whether a Gateway API route leads a URL to a workload's Services. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from harness.k8s.gateway import Asked, Way, accepted_by, is_granted, ways

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Routes:
    """What could be read of the Gateway API, and what is known of the request beside its URL.

    `grants` are the ReferenceGrants in the workload's namespace. `headers` of the request, by lower-case name.
    """

    routes: tuple[Object, ...] = ()
    gateways: tuple[Object, ...] = ()
    grants: tuple[Object, ...] = ()
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


class Led(NamedTuple):
    """Where a route leads a URL, in words that follow its name; `ours`: to the workload's Services alone."""

    ours: bool
    how: str


def led(url: str, known: Routes, namespace: str, services: Collection[str]) -> Led | None:
    """Say where the Gateway API's routes lead a URL; None where none of them takes it.

    `services` select the workload's pods, in `namespace`.
    """
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path or "/"
    query = frozenset(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    found = ways(known.routes, known.gateways, Asked(host, path, known.method, known.headers, query))
    if not found:
        return _unaccepted(known, host, services)
    way = found[0]
    used = [one for one in way.backends if one.weight > 0]
    if not used:
        return Led(ours=False, how=f"{way.route} takes {host}{path} and sends it to no Service")
    ours = [one for one in used if one.namespace == namespace and one.name in services]
    names = " and ".join(sorted({one.name for one in ours}))
    total, rest = sum(one.weight for one in used), [one for one in used if one not in ours]
    if rest:
        part = sum(one.weight for one in rest)
        share = "" if part == total else f"{part} of {total} requests for "
        where = " and ".join(sorted({_shown(one.namespace, one.name, namespace) for one in rest}))
        return Led(
            ours=False,
            how=f"{way.route} sends {share}{host}{path} to Service {where}, which is none of the workload's",
        )
    refused = _refused(way, known, namespace, services)
    if refused:
        return Led(ours=False, how=refused)
    plural = "Services" if len({one.name for one in ours}) > 1 else "Service"
    verb = "select" if plural == "Services" else "selects"
    return Led(
        ours=True, how=f"{way.route} sends {host} to {plural} {names}, which {verb} the workload's pods"
    )


def _refused(way: Way, known: Routes, namespace: str, services: Collection[str]) -> str:
    """Say that a route in another namespace may not send here, "" where it may."""
    kind = way.route.partition(" ")[0]
    for one in way.backends:
        allowed = way.namespace == namespace or is_granted(known.grants, kind, way.namespace, one.name)
        if one.name in services and not allowed:
            return f"{way.route} in namespace {way.namespace} may not send to Service {one.name}: no ReferenceGrant"
    return ""


def _unaccepted(known: Routes, host: str, services: Collection[str]) -> Led | None:
    """Say of a route that names this host, and that no controller has accepted, that it leads nowhere yet."""
    for route in known.routes:
        names = [str(one).lower() for one in (route.get("spec") or {}).get("hostnames") or ()]
        if host.lower() in names and not accepted_by(route) and services:
            name = (route.get("metadata") or {}).get("name", "?")
            return Led(
                ours=False, how=f"no Gateway has accepted {route.get('kind', 'HTTPRoute')} {name} of {host}"
            )
    return None


def _shown(namespace: str, name: str, here: str) -> str:
    return name if namespace == here else f"{namespace}/{name}"
