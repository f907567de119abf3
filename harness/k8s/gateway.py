"""Where Gateway API routes send a request: HTTPRoute and GRPCRoute, by the rules of the specification.

Hostnames, matches and their precedence: gateway-api.sigs.k8s.io, apis/v1/httproute_types.go and grpcroute_types.go. A
regular expression is read as Envoy reads it: the whole path must match. Its precedence is left to each implementation;
here it comes after exact paths and prefixes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

GROUP = "gateway.networking.k8s.io"
ROUTES = ("HTTPRoute", "GRPCRoute")
_LONGEST_PATTERN = 1024  # characters; what the API allows
_PREFIX: Object = {"path": {"type": "PathPrefix", "value": "/"}}


class Backend(NamedTuple):
    """A Service that a rule sends to, with its weight among those of the rule."""

    namespace: str
    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to be routed. `headers` by lower-case name; `query` holds the names of its parameters."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Way:
    """A rule of a route that takes a request. `rank` orders ways: the largest is the one that is taken."""

    route: str  # "HTTPRoute web"
    namespace: str
    backends: tuple[Backend, ...]
    rank: tuple[Any, ...]


def ways(routes: Iterable[Object], gateways: Iterable[Object], asked: Asked) -> list[Way]:
    """Return the rules that take a request, the one that is used first.

    `gateways` are those that could be read: of the others' listeners nothing is known, and only the routes' own
    hostnames count. A route that no controller has accepted takes nothing.
    """
    known = {(namespace_of(one), name_of(one)): one for one in gateways}
    found = []
    for route in sorted(routes, key=_age):
        hostname = _hostname(route, known, asked.host)
        if hostname is None or not accepted_by(route):
            continue
        for number, rule in enumerate(rules_of(route)):
            ranks = [rank for match in _matches(route, rule) if (rank := _rank(match, asked)) is not None]
            if ranks:
                found.append((max(ranks), hostname, number, route, rule))
    order = {id(route): -place for place, route in enumerate(sorted(routes, key=_age))}
    listed = [
        Way(
            f"{route.get('kind', 'HTTPRoute')} {name_of(route)}",
            namespace_of(route),
            backends_of(route, rule),
            (*hostname, *rank, order[id(route)], -number),
        )
        for rank, hostname, number, route, rule in found
    ]
    return sorted(listed, key=lambda way: way.rank, reverse=True)


def accepted_by(route: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the controllers that have accepted a route for one of their Gateways.

    An entry alone says nothing: some controllers write one for every Gateway, others' too.
    """
    found = []
    for parent in (route.get("status") or {}).get("parents") or ():
        states = {one.get("type"): one.get("status") for one in parent.get("conditions") or ()}
        if (
            states.get("Accepted") == "True"
            and (parent.get("parentRef") or {}).get("kind", "Gateway") != "Service"
        ):
            found.append(str(parent.get("controllerName") or ""))
    return tuple(dict.fromkeys(found))


def rules_of(route: Mapping[str, Any]) -> list[Object]:
    """Return a route's rules."""
    return [one for one in (route.get("spec") or {}).get("rules") or () if isinstance(one, dict)]


def backends_of(route: Mapping[str, Any], rule: Mapping[str, Any]) -> tuple[Backend, ...]:
    """Return the Services that a rule sends to, those of weight 0 too; other kinds of backends are left out."""
    own = namespace_of(route)
    return tuple(
        Backend(
            str(ref.get("namespace") or own),
            str(ref.get("name") or ""),
            1 if ref.get("weight") is None else int(ref["weight"]),
        )
        for ref in rule.get("backendRefs") or ()
        if ref.get("kind", "Service") == "Service" and not ref.get("group")
    )


def services_of(route: Mapping[str, Any], namespace: str = "") -> set[str]:
    """Return the names of the Services in a namespace (by default the route's own) that a route sends to.

    A route in a file may not say its namespace: then it is this one.
    """
    own = namespace_of(route)
    wanted = {namespace or own} | (set() if own else {""})
    return {
        one.name for rule in rules_of(route) for one in backends_of(route, rule) if one.namespace in wanted
    }


def parents_of(route: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return namespace and name of the Gateways that a route names."""
    own = namespace_of(route)
    refs = (route.get("spec") or {}).get("parentRefs") or ()
    return [
        (str(ref.get("namespace") or own), str(ref.get("name") or ""))
        for ref in refs
        if ref.get("kind", "Gateway") == "Gateway"
    ]


def granted_from(grants: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the namespaces whose routes may send to Services in the namespace of these ReferenceGrants."""
    return {
        str(one.get("namespace") or "")
        for grant in grants
        if any(to.get("kind") == "Service" for to in (grant.get("spec") or {}).get("to") or ())
        for one in (grant.get("spec") or {}).get("from") or ()
        if one.get("kind") in ROUTES
    } - {""}


def is_granted(grants: Iterable[Mapping[str, Any]], kind: str, namespace: str, service: str) -> bool:
    """Tell whether a route of this kind in this namespace may send to a Service in that of these ReferenceGrants."""
    return any(
        any(one.get("kind") == kind and one.get("namespace") == namespace for one in spec.get("from") or ())
        and any(
            to.get("kind") == "Service" and to.get("name") in {None, "", service}
            for to in spec.get("to") or ()
        )
        for spec in (grant.get("spec") or {} for grant in grants)
    )


def name_of(obj: Mapping[str, Any]) -> str:
    """Return an object's name."""
    return str((obj.get("metadata") or {}).get("name") or "")


def namespace_of(obj: Mapping[str, Any]) -> str:
    """Return an object's namespace, "" where it does not say."""
    return str((obj.get("metadata") or {}).get("namespace") or "")


def _age(route: Mapping[str, Any]) -> tuple[str, str]:
    return (
        str((route.get("metadata") or {}).get("creationTimestamp") or "9"),
        f"{namespace_of(route)}/{name_of(route)}",
    )


def _hostname(
    route: Mapping[str, Any], known: Mapping[tuple[str, str], Object], host: str
) -> tuple[int, int] | None:
    """Return how specific the hostname is by which a route takes a host, None where it does not.

    A host that is a Gateway's own address stands for any: the Host header is not known here.
    """
    own = [str(one).lower() for one in (route.get("spec") or {}).get("hostnames") or ()]
    found: list[tuple[int, int]] = []
    parents: list[Object] = (route.get("spec") or {}).get("parentRefs") or [{}]
    for ref in parents:
        gateway = known.get((str(ref.get("namespace") or namespace_of(route)), str(ref.get("name") or "")))
        by_address = gateway is not None and host in addresses_of(gateway)
        names = [""] if gateway is None else _listened(gateway, ref)
        for name in names:
            if name and not _covers(name, host) and not by_address:
                continue
            found += [
                (0 if one.startswith("*") else len(one), len(one))
                for one in own or ([name] if name or by_address else [])
                if by_address or _covers(one, host)
            ]
    return max(found, default=None)


def addresses_of(gateway: Mapping[str, Any]) -> set[str]:
    """Return the addresses at which a Gateway listens, as its status has them."""
    listed = (gateway.get("status") or {}).get("addresses") or ()
    return {str(one.get("value") or "").lower() for one in listed} - {""}


def _listened(gateway: Mapping[str, Any], ref: Mapping[str, Any]) -> list[str]:
    """Return the hostnames of the listeners that a parentRef names; "" for one that takes all."""
    section, port = ref.get("sectionName"), ref.get("port")
    return [
        str(one.get("hostname") or "").lower()
        for one in (gateway.get("spec") or {}).get("listeners") or ()
        if section in {None, one.get("name")}
        and port in {None, one.get("port")}
        and one.get("protocol", "HTTP") in {"HTTP", "HTTPS"}
    ]


def _covers(hostname: str, host: str) -> bool:
    """Tell whether a hostname takes a host: *.example.com takes a.example.com and a.b.example.com, not example.com."""
    if hostname.startswith("*."):
        return host.lower().endswith(hostname[1:])
    return hostname == host.lower()


def _matches(route: Mapping[str, Any], rule: Mapping[str, Any]) -> list[Object]:
    listed = [one for one in rule.get("matches") or () if isinstance(one, dict)] or [_PREFIX]
    return [_as_http(one) for one in listed] if route.get("kind") == "GRPCRoute" else listed


def _as_http(match: Object) -> Object:
    """Return a GRPCRoute's match as one of the path that gRPC sends: /package.Service/Method."""
    method = match.get("method") or {}
    service, name = method.get("service"), method.get("method")
    if method.get("type") == "RegularExpression":
        path = {"type": "RegularExpression", "value": f"/{service or '[^/]+'}/{name or '[^/]+'}"}
    elif service:
        path = {
            "type": "Exact" if name else "PathPrefix",
            "value": f"/{service}/{name}" if name else f"/{service}",
        }
    elif name:
        path = {"type": "RegularExpression", "value": f"/[^/]+/{re.escape(name)}"}
    else:
        path = {"type": "PathPrefix", "value": "/"}
    return {"path": path, "headers": match.get("headers") or []}


def _rank(match: Mapping[str, Any], asked: Asked) -> tuple[int, ...] | None:
    """Return the precedence of a match that takes a request, None where it does not."""
    path = match.get("path") or {}
    value, kind = str(path.get("value") or "/"), path.get("type", "PathPrefix")
    headers, params = match.get("headers") or (), match.get("queryParams") or ()
    fits = (
        _path_fits(asked.path, value, kind)
        and match.get("method") in {None, asked.method}
        and all(_header_fits(one, asked.headers) for one in headers)
        and all(one.get("name") in asked.query for one in params)
    )
    if not fits:
        return None
    exact, length = kind == "Exact", 0 if kind == "RegularExpression" else len(value.rstrip("/")) + 1
    return (int(exact), length, int(match.get("method") is not None), len(headers), len(params))


def _path_fits(path: str, value: str, kind: str) -> bool:
    if kind == "Exact":
        return path == value
    if kind == "PathPrefix":  # element by element: /api takes /api and /api/x, not /apis
        return (path.rstrip("/") + "/").startswith(value.rstrip("/") + "/")
    try:
        return len(value) <= _LONGEST_PATTERN and bool(re.fullmatch(value, path))
    except re.error:
        return False


def _header_fits(wanted: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    given, value = headers.get(str(wanted.get("name") or "").lower()), str(wanted.get("value") or "")
    if given is None:
        return False
    if wanted.get("type", "Exact") == "Exact":
        return given == value
    try:
        return bool(re.fullmatch(value, given))
    except re.error:
        return False
