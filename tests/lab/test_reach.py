"""Probes, hooks and Services of a manifest reach its own pods and nothing else on this machine."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import UsageError
from harness.lab import manifests
from harness.lab.checks import http_get
from harness.lab.controllers.endpoints import ready_addresses, slices_for
from harness.lab.kubelet.actions import port_of
from tests.lab.control_plane import control_plane, deployment, env, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.objects.store import Object

    Write = Callable[..., str]


def somebody_elses() -> socket.socket:
    """A service of this machine that listens on all its addresses, so on those of the pods too."""
    listener = socket.create_server(("0.0.0.0", 0))
    listener.setblocking(False)
    return listener


def was_asked(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket", "grpc"])
def test_a_probe_of_a_port_that_the_pod_does_not_serve_is_refused_and_asks_nobody_else(
    tmp_path: Path, kind: str
) -> None:
    async def scenario(port: int) -> list[str]:
        probe: Object = {kind: {"port": port}, "periodSeconds": 1, "timeoutSeconds": 2}
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(deployment(replicas=1, container={"readinessProbe": probe}))
            await cluster.until(lambda: "Unhealthy" in cluster.reasons())
            return [e["message"] for e in cluster.store.list("Event") if e["reason"] == "Unhealthy"]

    with somebody_elses() as listener:
        said = asyncio.run(scenario(listener.getsockname()[1]))
        assert not was_asked(listener)
    assert {"connection refused" in line for line in said} == {True}, said


def test_a_hook_on_such_a_port_fails_and_asks_nobody_else(tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        hook = {"preStop": {"httpGet": {"port": port, "path": "/shutdown"}}}
        container = {"lifecycle": hook, "env": env(TERM_IS="clean")}
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(deployment(replicas=1, container=container))
            await cluster.until(lambda: "Started" in cluster.reasons())
            await asyncio.sleep(0.3)
            cluster.store.delete(cluster.pods()[0])
            await cluster.until(lambda: "FailedPreStopHook" in cluster.reasons())

    with somebody_elses() as listener:
        asyncio.run(scenario(listener.getsockname()[1]))
        assert not was_asked(listener)


def test_a_service_that_leads_to_such_a_port_leads_to_a_refusal(tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(deployment(replicas=1))
            cluster.store.create(service(ports=[{"port": 80, "targetPort": port}]))
            found = await cluster.until(lambda: ready_addresses(slices_for(cluster.store, "default", "web")))
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(found[0]["address"], found[0]["port"])

    with somebody_elses() as listener:
        asyncio.run(scenario(listener.getsockname()[1]))
        assert not was_asked(listener)


@pytest.mark.parametrize(
    "action",
    [
        {"path": "/ HTTP/1.1\r\nHost: x\r\n\r\nDELETE /everything"},
        {"path": "/\nX: y"},
        {"path": "/\0"},
        {"httpHeaders": [{"name": "X", "value": "a\r\n\r\nDELETE / HTTP/1.1"}]},
        {"httpHeaders": [{"name": "X: y\r\nZ", "value": "a"}]},
    ],
)
def test_a_probe_s_path_and_headers_cannot_form_a_second_request(action: Object) -> None:
    async def scenario() -> tuple[bool, str]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            port = server.getsockname()[1]
            result = await http_get("x", "127.0.0.1", port, action, 1.0)
            assert not was_asked(server)
        return result

    good, said = asyncio.run(scenario())
    assert not good
    assert "invalid" in said


def test_a_space_in_a_probe_s_path_is_written_as_a_url_has_it() -> None:
    async def scenario() -> bytes:
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.set_result(await reader.readline())
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
            await http_get("x", "127.0.0.1", server.sockets[0].getsockname()[1], {"path": "/a b"}, 5.0)
            return await got

    assert asyncio.run(scenario()) == b"GET /a%20b HTTP/1.1\r\n"


@pytest.mark.parametrize("port", ["\N{SUPERSCRIPT TWO}1", "9" * 5000, "-1", ""])
def test_a_port_that_is_not_a_number_is_treated_as_missing(port: str) -> None:
    with pytest.raises(ValueError, match="couldn't find port"):
        port_of({}, port)


def test_an_invalid_port_in_the_environment_is_ignored(tmp_path: Path) -> None:
    async def scenario() -> None:
        container: Any = {"env": env(PORT="\N{SUPERSCRIPT TWO}1"), "ports": [{"containerPort": 8181}]}
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(deployment(replicas=1, container=container))
            await cluster.until(lambda: any(" 8181" in p.read_text() for p in tmp_path.glob("*.log")))

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\n", "A", "", "x" * 64, 5])
def test_a_container_s_name_cannot_act_as_a_path(write: Write, name: object) -> None:
    web = deployment()
    web["spec"]["template"]["spec"]["containers"].append({"name": name, "image": "x:1"})
    with pytest.raises(UsageError, match=r"containers\[1\].name: (Invalid|Required) value"):
        manifests.load((write(web, service()),))


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\n", "\N{GREEK SMALL LETTER ALPHA}"])
def test_an_object_s_name_cannot_act_as_a_path(write: Write, name: str) -> None:
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
    pod["spec"] = {"containers": [{"name": "a", "image": "x:1"}]}
    with pytest.raises(UsageError, match=r"metadata.name: Invalid value"):
        manifests.load((write(deployment(), service(), pod),))
