"""Starts the balancer's process, and sends it every change of its Service's ready endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.lab import isolated
from harness.lab.controllers.endpoints import ready_addresses, slices_for
from harness.lab.kubelet.journal import LOSSES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from harness.lab.objects.store import Store
    from harness.model import LabPlan

ACCESS_LOG = "access.log"
_KNOBS = (
    "lag_ns",
    "lag_tail_ns",
    "seed",
    "registration_ns",
    "deregistration_ns",
    "check_every_ns",
    "check_timeout_ns",
    "check_path",
    "healthy",
    "unhealthy",
    "tries",
    "retry_posts",
)


@dataclass(slots=True)
class BalancerProcess:
    """A running balancer. `ended` is done when its process has ended.

    Until `up` is set, while the lab starts, endpoints are sent as settled: the first request does not wait for lag and
    registration.
    """

    port: int
    process: asyncio.subprocess.Process
    ended: asyncio.Task[bytes]
    up: bool = False

    def send(self, endpoints: list[dict[str, Any]]) -> None:
        """Send the current endpoints; the balancer adds its own lag."""
        if self.process.stdin is not None and not self.process.stdin.is_closing():
            message = {"endpoints": endpoints, "settled": not self.up}
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def follow(self, store: Store, namespace: str, service: str) -> None:
        """Send every change of the Service's ready endpoints, until cancelled."""
        sent: list[dict[str, Any]] | None = None
        with store.subscribe(frozenset({"EndpointSlice"})) as changes:
            while True:
                now = ready_addresses(slices_for(store, namespace, service))
                if now != sent:
                    self.send(now)
                    sent = now
                await changes.next()


@asynccontextmanager
async def balancer(plan: LabPlan, cert_file: str, key_file: str, log: Path) -> AsyncIterator[BalancerProcess]:
    """Run a balancer. Raises HarnessError if it does not start. It ends when its standard input does."""
    config = {
        "profile": plan.profile,
        "tls": plan.tls,
        "cert_file": cert_file,
        "key_file": key_file,
        "listen": "127.0.0.1",
        "port": 0,
        "connect_timeout_ns": plan.connect_timeout_ns,
        "idle_timeout_ns": plan.idle_timeout_ns,
        "losses_file": str(log.parent / LOSSES),
        "access_log": str(log.parent / ACCESS_LOG),
        **{name: getattr(plan, name) for name in _KNOBS},
    }
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *isolated.module_of_ours("harness.lab.balancer"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=isolated.variables(),
            cwd=log.parent,
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101  both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(config).encode() + b"\n")
        line = await process.stdout.readline()
        try:
            port = int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError) as error:
            raise HarnessError(f"the lab's balancer did not start: see {log}") from error
        yield BalancerProcess(port, process, asyncio.create_task(process.stdout.read()))
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(3):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
