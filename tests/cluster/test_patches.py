"""How a change of a workload is sent: the path, and the type of the patch, as an API server on a socket sees them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.client.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPS = "/apis/apps/v1/namespaces/shop/deployments/web"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Api, list[tuple[str, str, Any]]]]:
    """An API that answers every patch, and what it was sent: path, Content-Type, body."""
    seen: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path.partition("?")[0], self.headers["Content-Type"], body))
            answer = json.dumps({"kind": "Thing", "metadata": {"name": "web"}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{http.server_address[1]}"}}],
        "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    yield Api.connect(str(path), None), seen
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize(
    ("kind", "path", "merge"),
    [
        ("Deployment", APPS, "application/strategic-merge-patch+json"),
        ("Rollout", ARGO, "application/merge-patch+json"),
    ],
)
def test_every_patch_has_the_type_that_its_kind_takes(
    server: tuple[Api, list[tuple[str, str, Any]]], kind: str, path: str, merge: str
) -> None:
    api, seen = server
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
    api.patch(kind, "shop", "web", {"spec": {"replicas": 3}}, field_manager="m")
    api.json_patch(kind, "shop", "web", operations, field_manager="m")
    api.apply(kind, "shop", "web", {"kind": kind}, field_manager="m")
    api.replace_spec(kind, "shop", "web", {"replicas": 3}, field_manager="m")
    assert [(where, what) for where, what, _ in seen] == [
        (path, merge),
        (path, "application/json-patch+json"),
        (path, "application/apply-patch+yaml"),
        (path, "application/json-patch+json"),
    ]
    assert [body for _, _, body in seen][:2] == [{"spec": {"replicas": 3}}, operations]
