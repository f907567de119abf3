"""Which services of a namespace are watched, and what is said of the others."""

from __future__ import annotations

from typing import Any

from harness.watch.finding import found
from harness.watch.service import Rates


def deployment(name: str) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"metadata": {"labels": {"app": name}}}},
    }


def service(name: str, port: int = 80) -> dict[str, Any]:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "staging"},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }


def ingress(host: str, backend: str, path: str = "/", *, tls: bool = False) -> dict[str, Any]:
    rule = {"host": host, "http": {"paths": [{"path": path, "backend": {"service": {"name": backend}}}]}}
    spec: dict[str, Any] = {"rules": [rule]}
    if tls:
        spec["tls"] = [{"hosts": [host]}]
    return {"kind": "Ingress", "metadata": {"name": "edge"}, "spec": spec}


def test_an_ingress_with_a_host_gives_the_url() -> None:
    wanted, left = found(
        [deployment("web")], [service("web")], [ingress("a.example", "web", "/api", tls=True)], None, Rates()
    )
    assert [(one.key, one.fields["target"]["url"]) for one in wanted] == [
        ("deployment/web", "https://a.example/api")
    ]
    assert left == []


def test_a_pattern_in_an_ingress_is_no_path_and_a_wildcard_no_host() -> None:
    wanted, _ = found(
        [deployment("web")], [service("web")], [ingress("a.example", "web", "/api(/|$)(.*)")], None, Rates()
    )
    assert wanted[0].fields["target"]["url"] == "http://a.example/"
    wanted, left = found([deployment("web")], [service("web")], [ingress("*.example", "web")], None, Rates())
    assert (wanted, left[0].why) == ([], "no Ingress with a host leads to Service web")


def test_a_template_gives_the_url_of_what_no_ingress_leads_to() -> None:
    template = "http://{service}.{namespace}:{port}/{workload}?x={y}"
    wanted, _ = found([deployment("web")], [service("web", 8080)], [], template, Rates())
    assert wanted[0].fields["target"]["url"] == "http://web.staging:8080/web?x={y}"


def test_what_is_not_watched_says_why_and_what_to_do() -> None:
    _, left = found([deployment("web"), deployment("job")], [service("web")], [], None, Rates())
    assert {one.key: one.why for one in left} == {
        "deployment/job": "no Service selects its pods",
        "deployment/web": "no Ingress with a host leads to Service web",
    }
    assert all(one.mend for one in left)
