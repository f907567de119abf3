"""Who stands between the client and the pods, and how that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.judge.balancers.recognise import Met, recognise
from harness.model import ClusterFacts, PathProof
from harness.recording.answers import Answer
from tests.judge.balancers import answers as say
from tests.judge.synthetic import SyntheticRun

RUN = SyntheticRun.rolling(1).run()


def seen(met: Met, *objects: dict[str, Any], **run: Any) -> list[tuple[str, str]]:
    return [(one.name, one.evidence) for one in recognise(replace(RUN, **run), met, objects).seen]


@pytest.mark.parametrize(
    ("answer", "name", "evidence"),
    [
        (say.nginx(502), "nginx", "`server: nginx` on 58 of 58 failed answers"),
        (say.envoy(503, "connection termination"), "envoy", "`server: envoy` on 58 of 58 failed answers"),
        (
            say.envoy(503, "no endpoint", "istio-envoy"),
            "istio-envoy",
            "`server: istio-envoy` on 58 of 58 failed answers",
        ),
        (
            say.HAPROXY_503,
            "haproxy",
            '"no server is available to handle this request" on 58 of 58 failed answers',
        ),
        (say.CADDY_502, "caddy", "`server: Caddy` on 58 of 58 failed answers"),
        (say.TRAEFIK_503, "traefik", '"no available server" on 58 of 58 failed answers'),
        (say.TRAEFIK_502, "traefik", '"bad gateway" on 58 of 58 failed answers'),
        (say.APACHE_503, "apache", "`server: Apache/2.4.71 (Debian)` on 58 of 58 failed answers"),
        (say.alb(502), "alb", "`server: awselb/2.0` on 58 of 58 failed answers"),
        (say.GOOGLE_502, "google", "`via: 1.1 google` on 58 of 58 failed answers"),
        (say.CLOUDFRONT_502, "cloudfront", "`x-cache: Error from cloudfront` on 58 of 58 failed answers"),
    ],
)
def test_a_failed_answer_shows_whose_it_is(answer: Answer, name: str, evidence: str) -> None:
    assert seen(Met(failed=[(answer, 58)])) == [(name, evidence)]


def test_a_cdn_before_an_alb_are_both_named_the_clients_side_first() -> None:
    both = say.alb(503, ("x-cache", "Error from cloudfront"))
    assert [name for name, _ in seen(Met(failed=[(both, 3)]))] == ["cloudfront", "alb"]


def test_good_answers_show_a_balancer_where_nothing_failed_with_its_status() -> None:
    assert seen(Met(good=[say.CADDY_GOOD])) == [("caddy", "`via: 1.1 Caddy` on good answers")]


def test_a_name_on_good_answers_alone_is_the_pods_where_failed_ones_lack_it() -> None:
    pods = Answer(200, (("server", "nginx/1.25"),), good=True)
    assert [name for name, _ in seen(Met(failed=[(say.HAPROXY_503, 4)], good=[pods]))] == ["haproxy"]
    nobody = Answer(502, (), "who knows")
    assert seen(Met(failed=[(nobody, 4)], good=[pods])) == [("unknown", "")]


def test_the_words_of_a_status_within_a_longer_page_name_nobody() -> None:
    page = Answer(502, (), "<h1>Bad Gateway</h1> sorry")
    assert seen(Met(failed=[(page, 1)])) == [("unknown", "")]


def test_what_somebody_said_counts_more_than_what_answers_show() -> None:
    met = Met(failed=[(say.nginx(502), 1)])
    assert seen(met, scenario={"balancer": "envoy"}) == [("envoy", "--balancer")]


def test_the_lab_knows_its_own_profile() -> None:
    facts = RUN.cluster
    assert isinstance(facts, ClusterFacts)
    lab = replace(facts, lab=True)
    for profile, name in (("alb", "alb"), ("nginx", "nginx"), ("service", "none"), ("envoy", "envoy")):
        assert seen(Met(), cluster=lab, scenario={"lab": {"profile": profile}}) == [
            (name, "the lab's profile")
        ]
    assert seen(Met(), cluster=lab, scenario={"lab": {"profile": "of tomorrow"}}) == [("unknown", "")]


def test_a_target_that_is_a_service_has_no_balancer_before_it_unless_a_gateways_status_says_so() -> None:
    path = PathProof(True, "the URL's host is Service web, which selects the workload's pods")
    assert seen(Met(), path=path) == [("none", "the URL's host is a Service")]
    assert seen(Met(unworded=3), path=path) == [("unknown", "")]
    assert seen(Met(to_pods=True)) == [("none", "connections go to the pods' own addresses")]


def test_a_log_brought_for_a_path_that_leads_to_pods_makes_no_balancer_of_it() -> None:
    path = PathProof(True, "the URL's host is Service web, which selects the workload's pods")
    assert seen(Met(to_pods=True, logs=("nginx",))) == [("none", "connections go to the pods' own addresses")]
    assert seen(Met(logs=("nginx",)), path=path) == [("none", "the URL's host is a Service")]
    assert seen(Met(logs=("nginx",))) == [("nginx", "the format of its access log")]


def test_the_class_of_the_ingress_tells_where_answers_do_not() -> None:
    def ingress(kind: str) -> dict[str, Any]:
        return {"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"ingressClassName": kind}}

    assert seen(Met(unworded=9), ingress("alb")) == [("alb", "an Ingress of class alb")]
    assert seen(Met(unworded=9), ingress("alb"), ingress("nginx")) == [("unknown", "")]
    assert seen(Met(failed=[(say.nginx(502), 2)]), ingress("nginx"))[0][0] == "ingress-nginx"
    assert seen(Met(failed=[(say.HAPROXY_503, 2)]), ingress("nginx"))[0][0] == "haproxy"


def test_nothing_tells_where_nothing_does() -> None:
    assert seen(Met()) == [("unknown", "")]


def route(*controllers: str, accepted: str = "True") -> dict[str, Any]:
    parents = [
        {"controllerName": one, "conditions": [{"type": "Accepted", "status": accepted}]}
        for one in controllers
    ]
    return {"kind": "HTTPRoute", "metadata": {"name": "web"}, "status": {"parents": parents}}


@pytest.mark.parametrize(
    ("controller", "name"),
    [
        ("gateway.envoyproxy.io/gatewayclass-controller", "envoy"),
        ("io.cilium/gateway-controller", "envoy"),
        ("istio.io/gateway-controller", "istio-envoy"),
        ("gateway.nginx.org/nginx-gateway-controller", "nginx"),
        ("traefik.io/gateway-controller", "traefik"),
        ("haproxy-ingress.github.io/controller", "haproxy"),
        ("networking.gke.io/gateway", "google"),
        ("gateway.k8s.aws/alb", "alb"),
    ],
)
def test_the_controller_that_has_accepted_a_route_tells_the_family(controller: str, name: str) -> None:
    assert seen(Met(unworded=9), route(controller)) == [(name, f"HTTPRoute accepted by {controller}")]


def test_a_controller_that_is_not_known_or_has_not_accepted_the_route_tells_nothing() -> None:
    assert seen(Met(unworded=9), route("konghq.com/kic-gateway-controller")) == [("unknown", "")]
    assert seen(Met(unworded=9), route("istio.io/gateway-controller", accepted="False")) == [("unknown", "")]
    assert seen(Met(unworded=9), route("istio.io/gateway-controller", "traefik.io/gateway-controller")) == [
        ("unknown", "")
    ]


def test_of_an_ingress_and_a_route_the_proof_of_the_path_says_which_is_used() -> None:
    ingress = {"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"ingressClassName": "nginx"}}
    both = (ingress, route("istio.io/gateway-controller"))
    assert seen(Met(unworded=9), *both) == [("unknown", "")]
    by_route = PathProof(proven=True, how="HTTPRoute web sends shop.example to Service web")
    assert [name for name, _ in seen(Met(unworded=9), *both, path=by_route)] == ["istio-envoy"]
    by_ingress = PathProof(proven=True, how="Ingress front sends shop.example to Service web")
    assert [name for name, _ in seen(Met(unworded=9), *both, path=by_ingress)] == ["ingress-nginx"]


def test_answers_count_more_than_a_controller() -> None:
    failed = [(say.envoy(503, "no endpoint", "istio-envoy"), 5)]
    assert [name for name, _ in seen(Met(failed=failed), route("traefik.io/gateway-controller"))] == [
        "istio-envoy"
    ]
