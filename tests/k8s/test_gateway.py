"""Which rule of a Gateway API route takes a request."""

from __future__ import annotations

from typing import Any

import pytest

from harness.k8s.gateway import (
    Asked,
    Backend,
    accepted_by,
    granted_from,
    is_granted,
    parents_of,
    services_of,
    ways,
)

ACCEPTED = {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
            "conditions": [{"type": "Accepted", "status": "True"}]}  # fmt: skip


def route(*rules: dict[str, Any], name: str = "web", kind: str = "HTTPRoute", **spec: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "shop",
            "creationTimestamp": spec.pop("made", "2026-11-25T00:00:00Z"),
        },
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "infra"}],
            "hostnames": ["shop.example"],
            "rules": list(rules),
            **spec,
        },
        "status": {"parents": [ACCEPTED]},
    }


def to(service: str, *matches: dict[str, Any], weight: int | None = None) -> dict[str, Any]:
    ref: dict[str, Any] = {"name": service, "port": 80}
    return {"backendRefs": [ref if weight is None else {**ref, "weight": weight}], "matches": list(matches)}


def path(value: str, kind: str = "PathPrefix") -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


def taken(asked: Asked, *routes: dict[str, Any], gateways: tuple[dict[str, Any], ...] = ()) -> str:
    found = ways(routes, gateways, asked)
    return found[0].backends[0].name if found else ""


def gateway(*listeners: dict[str, Any], address: str = "10.0.0.9") -> dict[str, Any]:
    return {
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "infra"},
        "spec": {"listeners": list(listeners)},
        "status": {"addresses": [{"type": "IPAddress", "value": address}]},
    }


HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("/", "root"),
        ("/apis", "root"),
        ("/api", "api"),
        ("/api/x", "api"),
        ("/api/v2/x", "v2"),
        ("/api/v2", "exact"),
    ],
)
def test_an_exact_path_comes_before_the_longest_prefix_and_prefixes_are_of_whole_elements(
    asked: str, wanted: str
) -> None:
    rules = [
        to("root"), to("api", path("/api")), to("v2", path("/api/v2/")), to("exact", path("/api/v2", "Exact")),
    ]  # fmt: skip
    assert taken(Asked("shop.example", asked), route(*rules)) == wanted
    assert taken(Asked("shop.example", asked), route(*reversed(rules))) == wanted


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("a.example", "exact"),
        ("A.Example", "exact"),
        ("b.example", "wide"),
        ("c.sub.example", "narrow"),
        ("example", ""),
        ("other", ""),
    ],
)
def test_the_most_specific_hostname_wins_and_a_wildcard_takes_any_number_of_labels(
    host: str, wanted: str
) -> None:
    routes = [
        route(to("wide"), name="1", hostnames=["*.example"]),
        route(to("narrow"), name="2", hostnames=["*.sub.example"]),
        route(to("exact"), name="3", hostnames=["a.example"]),
    ]
    assert taken(Asked(host), *routes) == wanted


def test_a_match_with_a_method_or_with_more_headers_comes_first_and_takes_only_what_has_them() -> None:
    header = {"headers": [{"name": "X-Canary", "value": "1"}]}
    rules = [to("plain"), to("canary", {**path("/"), **header}), to("post", {**path("/"), "method": "POST"})]
    assert taken(Asked("shop.example"), route(*rules)) == "plain"
    assert taken(Asked("shop.example", headers={"x-canary": "1"}), route(*rules)) == "canary"
    assert taken(Asked("shop.example", headers={"x-canary": "2"}), route(*rules)) == "plain"
    assert taken(Asked("shop.example", method="POST", headers={"x-canary": "1"}), route(*rules)) == "post"
    by_query = to("asked", {**path("/"), "queryParams": [{"name": "beta", "value": "1"}]})
    assert taken(Asked("shop.example", query=frozenset({"beta"})), route(to("plain"), by_query)) == "asked"


def test_a_regular_expression_must_fit_the_whole_path_and_a_broken_one_fits_nothing() -> None:
    rules = [to("root"), to("re", path("/v[0-9]+/x", "RegularExpression"))]
    assert taken(Asked("shop.example", "/v12/x"), route(rules[1])) == "re"
    assert taken(Asked("shop.example", "/v12/x/y"), route(rules[1])) == ""
    assert taken(Asked("shop.example", "/("), route(to("re", path("/(", "RegularExpression")))) == ""


def test_of_equal_routes_the_older_one_is_used_then_the_first_by_name_then_the_first_rule() -> None:
    old, new = route(to("old"), name="z", made="2020-01-01T00:00:00Z"), route(to("new"), name="a")
    assert taken(Asked("shop.example"), new, old) == "old"
    assert taken(Asked("shop.example"), route(to("b"), name="b"), route(to("a"), name="a")) == "a"
    assert taken(Asked("shop.example"), route(to("first"), to("second"))) == "first"


def test_a_route_that_no_controller_has_accepted_takes_nothing() -> None:
    refused = {"controllerName": "x", "conditions": [{"type": "Accepted", "status": "False"}]}
    for parents in ([], [refused], [{"controllerName": "x"}]):
        assert taken(Asked("shop.example"), {**route(to("web")), "status": {"parents": parents}}) == ""
    assert accepted_by({**route(), "status": {"parents": [refused, ACCEPTED]}}) == (
        ACCEPTED["controllerName"],
    )


def test_a_listener_limits_which_hosts_a_route_takes() -> None:
    any_host, narrow = route(to("web"), hostnames=[]), gateway({**HTTP, "hostname": "*.shop.example"})
    assert taken(Asked("a.shop.example"), any_host, gateways=(narrow,)) == "web"
    assert taken(Asked("a.other.example"), any_host, gateways=(narrow,)) == ""
    assert (
        taken(Asked("shop.example"), route(to("web")), gateways=(narrow,)) == ""
    )  # not within *.shop.example
    other = route(to("web"), parentRefs=[{"name": "edge", "namespace": "infra", "sectionName": "https"}])
    both = gateway({**HTTP, "hostname": "no.example"}, {"name": "https", "port": 443, "protocol": "HTTPS"})
    assert taken(Asked("shop.example"), other, gateways=(both,)) == "web"
    tcp = gateway({"name": "https", "port": 443, "protocol": "TLS"})
    assert taken(Asked("shop.example"), other, gateways=(tcp,)) == ""


def test_a_gateway_s_own_address_stands_for_any_host() -> None:
    assert taken(Asked("10.0.0.9"), route(to("web")), gateways=(gateway(HTTP),)) == "web"
    assert taken(Asked("10.0.0.9"), route(to("web"), hostnames=[]), gateways=(gateway(HTTP),)) == "web"
    assert taken(Asked("10.0.0.8"), route(to("web"), hostnames=[]), gateways=(gateway(HTTP),)) == ""


def test_without_its_gateway_a_route_without_hostnames_takes_nothing_for_sure() -> None:
    assert taken(Asked("shop.example"), route(to("web"), hostnames=[])) == ""


def test_a_grpc_route_is_one_of_paths() -> None:
    def grpc(**method: str) -> dict[str, Any]:
        return to("-".join(method.values()) or "all", {"method": method} if method else {})

    whole = route(
        grpc(), grpc(service="shop.Cart"), grpc(service="shop.Cart", method="Add"), kind="GRPCRoute"
    )
    assert taken(Asked("shop.example", "/shop.Cart/Add", "POST"), whole) == "shop.Cart-Add"
    assert taken(Asked("shop.example", "/shop.Cart/Get", "POST"), whole) == "shop.Cart"
    assert taken(Asked("shop.example", "/other.X/Get", "POST"), whole) == "all"


def test_weights_and_services_elsewhere_are_told() -> None:
    one = route({"backendRefs": [{"name": "web", "weight": 90}, {"name": "web", "namespace": "next", "weight": 10},
                                 {"name": "off", "weight": 0}, {"kind": "Lambda"}]})  # fmt: skip
    (way,) = ways([one], [], Asked("shop.example"))
    assert way.backends == (Backend("shop", "web", 90), Backend("next", "web", 10), Backend("shop", "off", 0))
    assert (services_of(one), services_of(one, "next")) == ({"web", "off"}, {"web"})
    assert parents_of(one) == [("infra", "edge")]


def test_a_reference_grant_says_which_namespaces_may_send_here() -> None:
    grant = {"spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge"}],
                      "to": [{"group": "", "kind": "Service", "name": "web"}]}}  # fmt: skip
    assert granted_from([grant]) == {"edge"}
    assert is_granted([grant], "HTTPRoute", "edge", "web")
    assert not is_granted([grant], "HTTPRoute", "edge", "db")
    assert not is_granted([grant], "GRPCRoute", "edge", "web")
    assert not is_granted([], "HTTPRoute", "edge", "web")
