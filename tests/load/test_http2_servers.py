"""HTTP/2 against servers by other hands: nghttpd, nginx over TLS, and Envoy, one stream at a time and several."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from harness.model import LoadPlan, Target
from tests.load.load_run import LoadResult, completed, plan_for, run_load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENVOY = shutil.which(os.environ.get("ENVOY", "envoy"))
TYPES = "type.googleapis.com/envoy.extensions.filters"
STREAMS = pytest.mark.parametrize("streams", [1, 8])


@contextmanager
def served(*command: str, port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{command[0]} does not listen")
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def loaded(url: str, folder: Path, streams: int, *, count: int = 400, **changes: Any) -> LoadResult:
    plan: LoadPlan = plan_for(url, 2, http2=True, streams=streams, insecure=True, **changes)
    run = folder / "run"
    run.mkdir()
    result = run_load(plan, run, until=completed(count))
    assert result.lost == ()
    assert len(result.hits) == result.counts.completed >= count
    for row in result.connections:
        mine = [hit for hit in result.hits if hit["conn"] == row["conn"]]
        assert sorted(hit["conn_hits"] for hit in mine) == list(range(row["hits"]))
    return result


@pytest.mark.skipif(shutil.which("nghttpd") is None, reason="no nghttpd")
@STREAMS
def test_nghttpd_with_padding_trailers_and_a_body_that_comes_back(tmp_path: Path, streams: int) -> None:
    (tmp_path / "small").write_bytes(b"ok\n")
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    port = free_port()
    command = (
        "nghttpd", "--no-tls", "-d", str(tmp_path), "-b", "60", "--trailer", "x-sum: 1", "--echo-upload",
        "-m", "3", "-w", "14", "-p", "/small=/large", str(port),
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    with served(*command, port=port):
        targets = (
            Target(url + "small", weight=4),
            Target(url + "large"),
            Target(url + "small", "POST", body=b"y{seq}" * 20_000),  # more than the windows
            Target(url + "small", "HEAD"),
            Target(url + "none"),
        )
        result = loaded(url, tmp_path, streams, targets=targets)
    assert set(result.outcomes) == {"response"}
    statuses = {index: {hit["status"] for hit in result.of_target(index)} for index in range(5)}
    assert statuses == {0: {200}, 1: {200}, 2: {200}, 3: {200}, 4: {404}}
    assert all(300_000 < hit["bytes_in"] < 310_000 for hit in result.of_target(1))
    assert all(min(hit["bytes_in"], hit["bytes_out"]) > 260_000 for hit in result.of_target(2))
    assert len(result.connections) == 2


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx")
@STREAMS
def test_nginx_over_tls_ends_connections_and_loses_nothing(tmp_path: Path, streams: int) -> None:
    tmp_path.chmod(0o755)
    port, pem = free_port(), tmp_path / "cert.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{ }}"
        f"http {{ access_log {tmp_path}/access.log; keepalive_requests 50; {temporary}"
        f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem};"
        f"location / {{ add_header X-Pod pod-1; return 200 ok; }} }} }}"
    )
    with served("nginx", "-c", str(conf), port=port):
        result = loaded(f"https://127.0.0.1:{port}/", tmp_path, streams)
        logged = (tmp_path / "access.log").read_text().splitlines()
    # nginx leaves streams out that come after its last one: a client that has several in flight sees refused ones.
    assert set(result.outcomes) <= {"response"} | ({"h2_goaway"} if streams > 1 else set())
    answered = result.only("response")
    assert {(hit["status"], hit["pod"]) for hit in answered} == {(200, "pod-1")}
    assert len([line for line in logged if " 200 " in line]) == len(answered)
    assert len(result.connections) >= len(answered) // 50
    assert all(row["tls_version"].startswith("TLSv1.") for row in result.connections)


@pytest.mark.skipif(ENVOY is None, reason="no envoy; its path may be in ENVOY")
@STREAMS
def test_envoy_drains_its_connections_and_loses_nothing(tmp_path: Path, streams: int) -> None:
    port = free_port()
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP2",
        "drain_timeout": "0.2s",
        "common_http_protocol_options": {"max_requests_per_connection": 60},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}},
        ]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": f"{TYPES}.http.router.v3.Router",
        }}],
    }  # fmt: skip
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    listener = {"name": "in", "address": address, "filter_chains": [{"filters": filters}]}
    conf = tmp_path / "envoy.json"
    conf.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    command = (str(ENVOY), "--concurrency", "1", "--disable-hot-restart", "-l", "off", "-c", str(conf))
    with served(*command, port=port):
        result = loaded(f"http://127.0.0.1:{port}/", tmp_path, streams, rate=300.0)
    # Envoy announces the end before it refuses anything.
    assert set(result.outcomes) == {"response"}
    assert len(result.connections) >= len(result.hits) // 120
    ends = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert set(ends) <= {("us", "fin"), ("us", "end"), ("peer", "fin")}
