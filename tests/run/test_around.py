"""What is listed around a workload, asked of an API server on a socket: versions, other namespaces, refusals."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.client.api import Api
from harness.run.preflight.around import around, mine, routes
from harness.run.preflight.path import prove
from tests.k8s.test_gateway import HTTP, gateway, route, to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD_GROUP = "/apis/gateway.networking.k8s.io/v1beta1/namespaces"
NEW_GROUP = "/apis/gateway.networking.k8s.io/v1/namespaces"
SERVICE: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}},
}


class Served:
    """The objects that are there, by path; everything else is refused (403), as by a Role that lacks it."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                served.asked.append(path)
                found = served.answers.get(path)
                status = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
                body = json.dumps(status if found is None else found).encode()
                self.send_response(403 if found is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.http.server_address[1]}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        self.api = Api.connect(str(path), None)

    def has(self, path: str, *items: dict[str, Any]) -> None:
        self.answers[path] = {"kind": "List", "items": list(items)}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    yield found
    found.http.shutdown()
    found.http.server_close()


def far() -> dict[str, Any]:
    """A route in namespace edge to the workload's Service in shop."""
    found = route({"backendRefs": [{"name": "web", "namespace": "shop"}]})
    found["metadata"]["namespace"] = "edge"
    return found


GRANT = {
    "metadata": {"name": "g", "namespace": "shop"},
    "spec": {"from": [{"kind": "HTTPRoute", "namespace": "edge"}], "to": [{"kind": "Service"}]},
}


def proof(objects: list[dict[str, Any]]) -> tuple[bool, str]:
    found = prove("http://shop.example/", [SERVICE], [], [], [], "", routes(objects, "GET", {}))
    return found.proven, found.how


def test_an_old_server_s_version_is_asked_and_a_route_elsewhere_is_found_by_its_grant(served: Served) -> None:
    served.has(f"{OLD_GROUP}/shop/httproutes")
    served.has(f"{OLD_GROUP}/shop/referencegrants", GRANT)
    served.has(f"{OLD_GROUP}/edge/httproutes", far())
    served.answers[f"{OLD_GROUP}/infra/gateways/edge"] = gateway({**HTTP, "hostname": "*.example"})
    objects = around(served.api, {"gateway.networking.k8s.io": ["v1beta1"]}, "shop")
    assert proof(objects) == (
        True,
        "HTTPRoute web sends shop.example to Service web, which selects the workload's pods",
    )
    kinds = [one["kind"] for one in mine(objects, "Deployment", "web", {"app": "web"}, "shop", ("web",))]
    assert kinds == ["HTTPRoute", "Gateway"]


def test_a_gateway_that_may_not_be_read_leaves_the_route_s_own_hostnames(served: Served) -> None:
    served.has(f"{NEW_GROUP}/shop/httproutes", route(to("web")))
    objects = around(served.api, {"gateway.networking.k8s.io": ["v1", "v1beta1"]}, "shop")
    assert f"{NEW_GROUP}/infra/gateways/edge" in served.asked
    assert proof(objects)[0]


def test_without_any_right_nothing_is_known_and_nothing_breaks(served: Served) -> None:
    objects = around(served.api, {"gateway.networking.k8s.io": ["v1"], "networking.k8s.io": ["v1"]}, "shop")
    assert objects == []
    assert not proof(objects)[0]


def test_a_server_without_the_gateway_api_is_not_asked_for_it(served: Served) -> None:
    assert around(served.api, {"apps": ["v1"]}, "shop") == []
    assert served.asked == []
