from __future__ import annotations

from typing import Any

from harness.run.preflight.path import prove, prove_all, services_of

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


def test_where_the_cluster_itself_sends_a_url_is_the_stronger_proof() -> None:
    routed = prove("http://web.shop/", [SERVICE], [], ["web-1"], ["web-1"])
    assert not routed.by_answers
    assert "is Service web" in routed.how
    assert prove("http://127.0.0.1/", [SERVICE], [], ["web-1"], ["web-1"]).by_answers


def test_of_several_urls_the_weakest_proof_is_told() -> None:
    pods = ["web-1"]
    routed, named, nobody = (
        ("http://web.shop/", ()),
        ("http://a.example/", ("web-1",)),
        ("http://b.example/", ()),
    )
    assert not prove_all([routed, routed], [SERVICE], [], pods).by_answers
    assert prove_all([routed, named], [SERVICE], [], pods).by_answers
    assert not prove_all([routed, named, nobody], [SERVICE], [], pods).proven


def test_an_answer_that_names_somebody_else_s_pod_does_not() -> None:
    assert not prove("http://127.0.0.1/", [SERVICE], [], ["cache-7"], ["web-1"]).proven


def test_the_service_s_own_names_and_addresses_prove_the_path() -> None:
    for host in ("web.shop", "web.shop.svc.cluster.local", "10.96.0.7", "abc.elb.example"):
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


def test_the_bare_name_of_a_service_is_its_own_only_in_its_own_namespace() -> None:
    assert prove("http://web/", [SERVICE], [], [], [], here="shop").proven
    assert not prove("http://web/", [SERVICE], [], [], [], here="jobs").proven
    assert not prove("http://web/", [SERVICE], [], [], []).proven


def split(*paths: tuple[str, str, str]) -> dict[str, Any]:
    entries = [{"path": p, "pathType": kind, "backend": {"service": {"name": to}}} for p, kind, to in paths]
    return {
        "metadata": {"name": "front"},
        "spec": {"rules": [{"host": "shop.example", "http": {"paths": entries}}]},
    }


def test_of_an_ingress_the_path_that_fits_best_decides_which_service_is_reached() -> None:
    api = {"metadata": {"name": "api", "namespace": "shop"}, "spec": {}}
    front = split(("/", "Prefix", "web"), ("/api", "Prefix", "api"), ("/api/old", "Exact", "web"))
    for path, service in (
        ("/", "web"),
        ("/api", "api"),
        ("/api/x", "api"),
        ("/apis", "web"),
        ("/api/old", "web"),
    ):
        for one in (SERVICE, api):
            proof = prove(f"https://shop.example{path}", [one], [front], [], [])
            assert proof.proven is (one["metadata"]["name"] == service), (path, one["metadata"]["name"])
    assert (
        "sends shop.example/api/x to Service api"
        in prove("https://shop.example/api/x", [SERVICE], [front], [], []).how
    )


def test_several_ingresses_of_one_host_are_taken_together() -> None:
    apart = [split(("/", "Prefix", "web")), split(("/api", "Prefix", "api"))]
    assert not prove("https://shop.example/api", [SERVICE], apart, [], []).proven
    assert prove("https://shop.example/shop", [SERVICE], apart, [], []).proven


def test_what_is_not_proven_says_what_was_looked_for() -> None:
    how = prove("http://elsewhere.example/", [SERVICE], [], [], []).how
    assert "X-Pod" in how
    assert "elsewhere.example" in how
