"""Whether a Gateway API route leads a URL to the workload."""

from __future__ import annotations

from typing import Any

from harness.cluster.permission.rbac import needs
from harness.cluster.watching.reduce import manifest
from harness.recording import shapes
from harness.run.preflight.around import mine
from harness.run.preflight.path import prove
from harness.run.preflight.routes import Routes
from harness.scenario.trigger import parse
from tests.k8s.test_gateway import HTTP, gateway, path, route, to

SERVICE: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.7"},
}
CANARY: dict[str, Any] = {**SERVICE, "metadata": {"name": "web-canary", "namespace": "shop"}}
INGRESS: dict[str, Any] = {
    "metadata": {"name": "front"},
    "spec": {
        "rules": [{"host": "shop.example", "http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]
    },
}
URL = "http://shop.example/cart?x=1"


def proof(
    *routes: dict[str, Any], ingresses: tuple[dict[str, Any], ...] = (), **known: Any
) -> tuple[bool, str]:
    found = prove(URL, [SERVICE, CANARY], list(ingresses), [], [], "", Routes(routes, **known))
    return found.proven, found.how


def test_a_route_to_the_workload_s_service_proves_the_path() -> None:
    said = "HTTPRoute web sends shop.example to Service web, which selects the workload's pods"
    assert proof(route(to("web"))) == (True, said)


def test_weights_between_the_workload_s_own_services_are_still_the_workload() -> None:
    split = {"backendRefs": [{"name": "web", "weight": 80}, {"name": "web-canary", "weight": 20}]}
    assert proof(route(split)) == (
        True,
        "HTTPRoute web sends shop.example to Services web and web-canary, which select the workload's pods",
    )


def test_a_part_that_goes_elsewhere_is_told_with_its_share() -> None:
    split = {"backendRefs": [{"name": "web", "weight": 80}, {"name": "old", "weight": 20}]}
    proven, how = proof(route(split))
    assert not proven
    assert (
        "sends 20 of 100 requests for shop.example/cart to Service old, which is none of the workload's"
        in how
    )


def test_a_backend_of_weight_0_gets_nothing() -> None:
    off = {"backendRefs": [{"name": "web"}, {"name": "old", "weight": 0}]}
    assert proof(route(off))[0]
    proven, how = proof(route({"backendRefs": [{"name": "web", "weight": 0}]}))
    assert not proven
    assert "to no Service" in how


def test_a_longer_prefix_that_leads_elsewhere_is_no_proof() -> None:
    proven, how = proof(route(to("web"), to("cart", path("/cart"))))
    assert not proven
    assert "Service cart" in how


def test_the_same_name_in_another_namespace_is_another_service() -> None:
    proven, how = proof(route({"backendRefs": [{"name": "web", "namespace": "next"}]}))
    assert not proven
    assert "Service next/web" in how


def test_a_route_in_another_namespace_needs_a_grant() -> None:
    far = route({"backendRefs": [{"name": "web", "namespace": "shop"}]})
    far["metadata"]["namespace"] = "edge"
    grant = {"kind": "ReferenceGrant", "spec": {"from": [{"kind": "HTTPRoute", "namespace": "edge"}],
                                                "to": [{"kind": "Service"}]}}  # fmt: skip
    proven, how = proof(far)
    assert not proven
    assert "no ReferenceGrant" in how
    assert proof(far, grants=(grant,))[0]


def test_a_route_that_nobody_has_accepted_is_told_and_proves_nothing() -> None:
    proven, how = proof({**route(to("web")), "status": {}})
    assert not proven
    assert how == "no Gateway has accepted HTTPRoute web of shop.example"


def test_of_an_ingress_and_a_route_for_one_host_both_must_lead_to_the_workload() -> None:
    assert proof(route(to("web")), ingresses=(INGRESS,))[0]
    proven, how = proof(route(to("old")), ingresses=(INGRESS,))
    assert not proven
    assert "Service old" in how
    elsewhere = {**INGRESS, "spec": {"rules": [{"host": "shop.example", "http": {"paths": [
        {"backend": {"service": {"name": "old"}}}]}}]}}  # fmt: skip
    assert not proof(route(to("web")), ingresses=(elsewhere,))[0]


def test_headers_of_the_request_choose_the_rule() -> None:
    canary = to("old", {"headers": [{"name": "X-Version", "value": "2"}]})
    assert proof(route(to("web"), canary))[0]
    assert not proof(route(to("web"), canary), headers={"x-version": "2"})[0]


def test_what_concerns_a_workload_is_its_routes_and_the_gateways_that_they_name() -> None:
    ours, other = route(to("web")), route(to("db"), name="db")
    edge = gateway(HTTP)
    unused = {**edge, "metadata": {"name": "unused", "namespace": "infra"}}
    found = mine([ours, other, edge, unused], "Deployment", "web", {"app": "web"}, "shop", ("web",))
    assert found == (ours, edge)


def test_a_run_may_list_routes_but_need_not() -> None:
    optional = {str(need): need.optional for need in needs("Deployment", "web", parse("restart"))}
    assert optional["list httproutes.gateway.networking.k8s.io"] is True
    assert optional["list gateways.gateway.networking.k8s.io"] is True
    assert not any(verb in need for need in optional for verb in ("patch httproutes", "watch httproutes"))


def test_a_recording_keeps_no_values_of_headers_and_no_filters_of_a_route() -> None:
    secret = "tok-77"  # noqa: S105  the canary of this test
    rule = {
        **to("web", {**path("/"), "headers": [{"name": "X-Key", "value": secret}]}),
        "filters": [
            {
                "type": "RequestHeaderModifier",
                "requestHeaderModifier": {"set": [{"name": "A", "value": secret}]},
            }
        ],
        "retry": {"attempts": 2, "codes": [502]},
        "timeouts": {"request": "10s"},
    }
    live = {**route(rule), "apiVersion": "gateway.networking.k8s.io/v1"}
    kept = manifest(live)
    assert secret not in str(kept)
    assert kept["spec"]["rules"][0]["retry"] == {"attempts": 2, "codes": [502]}
    assert kept["spec"]["rules"][0]["filters"] == [{"type": "RequestHeaderModifier"}]
    assert kept["status"]["parents"][0]["controllerName"].startswith("gateway.envoyproxy.io")
    assert shapes.wrong(kept, shapes.of("HTTPRoute")) == ""
    assert shapes.wrong({**kept, "status": {"parents": "x"}}, shapes.of("HTTPRoute"))
    istio = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "g"},
        "spec": {"servers": []},
    }
    assert manifest(istio)["spec"] == {"servers": []}
