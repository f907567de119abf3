from __future__ import annotations

from typing import Any

from harness.run.path import prove, services_of

SERVICE: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.7"},
    "status": {"loadBalancer": {"ingress": [{"hostname": "abc.elb.example"}]}},
}


def ingress(backend: dict[str, Any], host: str = "shop.example") -> dict[str, Any]:
    return {
        "metadata": {"name": "front"},
        "spec": {"rules": [{"host": host, "http": {"paths": [{"path": "/", "backend": backend}]}}]},
    }


def test_a_service_takes_in_pods_when_all_of_its_selector_matches() -> None:
    labels = {"app": "web", "pod-template-hash": "x"}
    other = {"metadata": {"name": "o"}, "spec": {"selector": {"app": "web", "tier": "db"}}}
    headless = {"metadata": {"name": "h"}, "spec": {}}
    assert services_of([SERVICE, other, headless], labels) == [SERVICE]


def test_an_answer_that_names_a_pod_proves_the_path() -> None:
    assert prove("http://127.0.0.1/", [SERVICE], [], ["web-1"], ["web-1", "web-2"]).proven


def test_an_answer_that_names_somebody_else_s_pod_does_not() -> None:
    assert not prove("http://127.0.0.1/", [SERVICE], [], ["cache-7"], ["web-1"]).proven


def test_the_service_s_own_names_and_addresses_prove_the_path() -> None:
    for host in ("web", "web.shop", "web.shop.svc.cluster.local", "10.96.0.7", "abc.elb.example"):
        assert prove(f"http://{host}/", [SERVICE], [], [], []).proven, host
    assert not prove("http://web.other/", [SERVICE], [], [], []).proven


def test_an_ingress_of_either_version_proves_the_path() -> None:
    for backend in ({"service": {"name": "web"}}, {"serviceName": "web"}):
        proof = prove("https://shop.example/x", [SERVICE], [ingress(backend)], [], [])
        assert proof.proven
        assert "front" in proof.how
    assert not prove(
        "https://shop.example/", [SERVICE], [ingress({"service": {"name": "api"}})], [], []
    ).proven


def test_what_is_not_proven_says_what_was_looked_for() -> None:
    how = prove("http://elsewhere.example/", [SERVICE], [], [], []).how
    assert "X-Pod" in how
    assert "elsewhere.example" in how
