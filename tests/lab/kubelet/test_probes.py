"""Probes that the lab cannot run: they check whether the port is open."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from harness.lab.kubelet.probes import Prober


def attempt(container: dict[str, Any]) -> tuple[bool, str]:
    container["readinessProbe"] |= {"timeoutSeconds": 5, "successThreshold": 1, "failureThreshold": 3}
    prober = Prober(
        "readinessProbe",
        container,
        lambda port: ("127.0.0.1", port),
        due=lambda: True,
        verdict=lambda _: None,
        failed=lambda _: None,
    )

    async def once() -> tuple[bool, str]:
        return await prober._attempt()

    return asyncio.run(once())


@pytest.mark.parametrize("action", [{"exec": {"command": ["cat", "/tmp/ready"]}}, {"grpc": {}}])  # noqa: S108
def test_an_exec_or_grpc_probe_passes_once_the_port_is_open_and_not_before(action: dict[str, Any]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        container: dict[str, Any] = {"ports": [{"containerPort": port}], "readinessProbe": {**action}}
        if "grpc" in action:
            container = {"readinessProbe": {"grpc": {"port": port}}}
        good, said = attempt(container)
        assert not good
        assert "connection refused" in said
        server.listen()
        assert attempt(container) == (True, "")


def test_an_exec_probe_of_a_container_without_a_port_passes() -> None:
    assert attempt({"readinessProbe": {"exec": {"command": ["true"]}}}) == (True, "")
