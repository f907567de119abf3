"""Which container of a pod is the one that serves."""

from __future__ import annotations

from typing import Any

import pytest

from harness.k8s.serving import serving, serving_port

Object = dict[str, Any]
PROXY: Object = {"name": "istio-proxy", "ports": [{"name": "http-envoy-prom", "containerPort": 15090}]}
APP: Object = {
    "name": "shop",
    "ports": [{"name": "metrics", "containerPort": 9102}, {"name": "http", "containerPort": 3000}],
}
BARE: Object = {"name": "bare"}
OTHER: Object = {"name": "other", "ports": [{"containerPort": 9000}]}


def service(*targets: int | str) -> Object:
    return {"spec": {"ports": [{"port": 80, "targetPort": target} for target in targets]}}


@pytest.mark.parametrize(
    ("containers", "services", "name", "port"),
    [
        ([PROXY, APP], [service("http")], "shop", 3000),
        ([PROXY, APP], [service(3000)], "shop", 3000),
        ([PROXY, APP], [service("3000")], "shop", 3000),
        ([OTHER, APP], [service("http", 9000)], "shop", 3000),
        ([PROXY, APP], [service(15090, "http")], "shop", 3000),
        ([PROXY, APP], [service(15090)], "istio-proxy", 15090),
        ([OTHER, APP], [{"spec": {"ports": [{"port": 3000}]}}], "shop", 3000),
        ([PROXY, OTHER, APP], [], "other", 9000),
        ([PROXY, BARE], [], "bare", None),
        ([PROXY, BARE], [service(8080)], "bare", 8080),
        ([PROXY, BARE], [service("http")], "bare", None),
        ([BARE, OTHER], [], "other", 9000),
        ([PROXY], [], "istio-proxy", 15090),
    ],
)
def test_the_container_that_the_service_leads_to_serves_and_a_sidecar_only_where_nothing_else_does(
    containers: list[Object], services: list[Object], name: str, port: int | None
) -> None:
    found = serving({"containers": containers}, services)
    assert (found["name"], serving_port(found, services)) == (name, port)


def test_a_sidecar_among_the_init_containers_is_never_the_one() -> None:
    pod = {"initContainers": [{**OTHER, "restartPolicy": "Always"}], "containers": [BARE]}
    assert serving(pod, [service(9000)])["name"] == "bare"


def test_a_pod_without_containers_has_none_that_serves() -> None:
    assert serving({}) == {}
    assert serving_port({}) is None
