"""Which way leads to an API server: the kubeconfig's proxy, the environment's, or none, as kubectl goes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from harness.cluster.client import resources
from harness.cluster.client.answers import ApiUnreachableError
from harness.cluster.client.api import Api
from harness.cluster.client.proxies import goes_straight, proxy_for
from harness.errors import UsageError
from tests.program import zdtest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BOTH = (*NAMES, *(name.lower() for name in NAMES))
HOST = "cluster.example"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BOTH:
        monkeypatch.delenv(name, raising=False)


class _Handler(BaseHTTPRequestHandler):
    """A cluster and a proxy in one: it answers what is meant for the cluster, whatever host that names."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_CONNECT(self) -> None:
        self.server.asked.append((f"CONNECT {self.path}", self.headers.get("Proxy-Authorization", "")))
        self.send_response(200)
        self.end_headers()
        assert self.server.tls
        with self.server.tls.wrap_socket(self.connection, server_side=True) as inner:
            self.connection = inner
            self.rfile, self.wfile = inner.makefile("rb"), inner.makefile("wb")
            self.close_connection = False
            while not self.close_connection:
                self.handle_one_request()
        self.close_connection = True

    def do_GET(self) -> None:
        self.server.asked.append((f"GET {self.path}", self.headers.get("Proxy-Authorization", "")))
        watch = "watch=True" in self.path or "watch=true" in self.path
        body = {"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": []}
        event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}
        data = json.dumps(event if watch else body).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """Stay silent: a client has left."""


@contextmanager
def listening(tls: ssl.SSLContext | None = None) -> Iterator[_Server]:
    with _Server(_Handler) as server:
        server.tls = tls
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def kubeconfig(folder: Path, server: str, **cluster: str) -> str:
    path = folder / "kubeconfig"
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "real", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "real",
    }
    path.write_text(json.dumps(whole))
    return str(path)


def ask(path: str) -> None:
    """List and watch, as a run does."""
    api = Api.connect(path, None)
    assert api.list_all(resources.PODS, "default")["metadata"]["resourceVersion"] == "7"
    api.watch(resources.PODS, "default", "7", 5)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_lists_and_watches_of_a_real_cluster_go_through_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with listening() as proxy:
        monkeypatch.setenv(name, f"http://{proxy.address}")
        ask(kubeconfig(tmp_path, f"http://{HOST}:6443"))
    assert [asked.split("?")[0] for asked, _ in proxy.asked] == [
        f"GET http://{HOST}:6443/api/v1/namespaces/default/pods"
    ] * 2


def test_https_goes_through_a_tunnel_and_the_password_in_the_proxy_s_url_is_sent_to_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(tls)
    data = b64encode(authority.cert_pem.bytes()).decode()
    with listening(tls) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"anna:s%3Acret@{proxy.address}")
        ask(kubeconfig(tmp_path, f"https://{HOST}:6443", **{"certificate-authority-data": data}))
    login = "Basic " + b64encode(b"anna:s:cret").decode()
    connects = [asked for asked in proxy.asked if asked[0].startswith("CONNECT")]
    inner = [asked for asked in proxy.asked if asked[0].startswith("GET")]
    assert set(connects) == {(f"CONNECT {HOST}:6443", login)}
    assert len(inner) == 2
    assert all(asked.startswith("GET /api/v1/") and not login for asked, login in inner)


def test_the_kubeconfig_s_proxy_url_goes_before_the_environment_and_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as named, listening() as other:
        monkeypatch.setenv("HTTP_PROXY", f"http://{other.address}")
        monkeypatch.setenv("NO_PROXY", "*")
        ask(kubeconfig(tmp_path, f"http://{HOST}:6443", **{"proxy-url": f"http://{named.address}"}))
    assert (len(named.asked), other.asked) == (2, [])


@pytest.mark.parametrize("no_proxy", ["NO_PROXY", "no_proxy"])
def test_who_is_named_by_no_proxy_is_asked_straight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    with listening() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv(no_proxy, "10.0.0.0/8,.invalid")
        with pytest.raises(ApiUnreachableError):
            ask(kubeconfig(tmp_path, "http://no-such-host.invalid:6443"))
    assert proxy.asked == []


def test_a_server_on_loopback_is_asked_straight_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as proxy, listening() as server:
        for name in BOTH:
            monkeypatch.setenv(name, "" if name.lower() == "no_proxy" else f"http://{proxy.address}")
        ask(kubeconfig(tmp_path, f"http://{server.address}"))
    assert (proxy.asked, len(server.asked)) == ([], 2)


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://anna:hidden@127.0.0.1:{port}")
    with pytest.raises(ApiUnreachableError) as refused:
        ask(kubeconfig(tmp_path, f"http://{HOST}:6443"))
    assert "proxy" in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "proxy", ["ftp://proxy:1", "http://", "://x", "http://[::1", "http://p:99999", "socks5://anna:hidden@p:1"]
)
def test_a_proxy_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path: Path, proxy: str) -> None:
    path = kubeconfig(tmp_path, f"http://{HOST}:6443", **{"proxy-url": proxy})
    done = zdtest("lint", "deployment/web", "--kubeconfig", path, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "proxy" in line
    assert "hidden" not in line


TABLE = [
    # as golang.org/x/net/http/httpproxy's own tests have them, and kubectl's documentation
    ("10.1.2.3", "10.0.0.0/8", True),
    ("11.1.2.3", "10.0.0.0/8", False),
    ("10.1.2.3", "10.1.2.3", True),
    ("10.1.2.3", "10.1.2.3:6443", True),
    ("10.1.2.3", "10.1.2.3:80", False),
    ("10.1.2.30", "10.1.2.3", False),
    ("fd00::1", "fd00::/8", True),
    ("fd00::1", "fd00::1", True),
    ("fd00::1", "[fd00::1]:6443", True),
    ("fd00::1", "[fd00::1]:80", False),
    ("example.com", "10.0.0.0/8", False),
    ("example.com", "example.com", True),
    ("a.example.com", "example.com", True),
    ("a.example.com", ".example.com", True),
    ("example.com", ".example.com", False),
    ("a.example.com", "*.example.com", True),
    ("example.com", "*.example.com", False),
    ("notexample.com", "example.com", False),
    ("example.com", "EXAMPLE.COM", True),
    ("EXAMPLE.com", "example.com", True),
    ("example.com", "a, example.com ,b", True),
    ("example.com", "example.com:6443", True),
    ("example.com", "example.com:443", False),
    ("example.com", "*", True),
    ("example.com", "", False),
    ("example.com", ",,", False),
    ("example.com", "10.0.0.0/99", False),
    ("localhost", "", True),
    ("127.0.0.1", "", True),
    ("127.44.3.2", "", True),
    ("::1", "", True),
    ("127.0.0.1.example.com", "", False),
]


@pytest.mark.parametrize(("host", "no_proxy", "straight"), TABLE)
def test_what_no_proxy_names(host: str, no_proxy: str, straight: bool) -> None:  # noqa: FBT001  of the table
    assert goes_straight(host, 6443, no_proxy) is straight


def test_the_scheme_of_the_server_chooses_the_variable_and_all_proxy_none() -> None:
    both = {"HTTP_PROXY": "http://plain:1", "https_proxy": "tls:2"}
    chosen = [proxy_for(f"{scheme}://10.0.0.1", None, both) for scheme in ("http", "https")]
    assert [proxy and proxy.url for proxy in chosen] == ["http://plain:1", "http://tls:2"]
    assert proxy_for("https://10.0.0.1", None, {"ALL_PROXY": "http://all:3"}) is None
    # kubectl reads the upper case first
    assert proxy_for("http://10.0.0.1", None, {"http_proxy": "a:1", "HTTP_PROXY": "b:2"}) == proxy_for(
        "http://10.0.0.1", "b:2", {}
    )
    with pytest.raises(UsageError):
        proxy_for("https://10.0.0.1", None, {"HTTPS_PROXY": "gopher://x"})


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
@pytest.mark.parametrize(
    ("variables", "cluster"),
    [
        ({"HTTP_PROXY": "PROXY"}, {}),
        ({"http_proxy": "PROXY"}, {}),
        ({"HTTPS_PROXY": "PROXY"}, {}),
        ({"ALL_PROXY": "PROXY"}, {}),
        ({"HTTP_PROXY": "PROXY", "NO_PROXY": ".invalid"}, {}),
        ({"HTTP_PROXY": "PROXY", "NO_PROXY": "other.invalid,10.0.0.0/8"}, {}),
        ({"NO_PROXY": "*"}, {"proxy-url": "PROXY"}),
    ],
)
def test_kubectl_goes_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cluster: dict[str, str]
) -> None:
    """An independent witness: what kubectl asks the proxy for, we ask it for, and nothing else."""
    with listening() as proxy:
        here = f"http://{proxy.address}"
        for name, value in variables.items():
            monkeypatch.setenv(name, value.replace("PROXY", here))
        path = kubeconfig(
            tmp_path,
            "http://no-such-host.invalid:6443",
            **{key: value.replace("PROXY", here) for key, value in cluster.items()},
        )
        command = ["kubectl", "--kubeconfig", path, "get", "--raw", "/api/v1/namespaces/default/pods"]
        subprocess.run(command, capture_output=True, check=False, timeout=60, env=os.environ.copy())
        theirs = bool(proxy.asked)
        proxy.asked.clear()
        with suppress(ApiUnreachableError):
            ask(path)
        assert bool(proxy.asked) is theirs
