"""Probe workers, one per container and probe, with the kubelet's timing and counting (pkg/kubelet/prober/worker.go)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.lab.checks import http_get, tcp_connect
from harness.lab.kubelet.actions import port_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Object = dict[str, Any]

KINDS = {"startupProbe": "Startup", "livenessProbe": "Liveness", "readinessProbe": "Readiness"}


@dataclass(slots=True)
class Streak:
    """Counts equal results in a row; enough of them make a verdict."""

    success_threshold: int
    failure_threshold: int
    last: bool | None = None
    run: int = 0

    def take(self, good: bool) -> bool | None:  # noqa: FBT001  the value itself
        """Add one result; return the new verdict, or None if there are too few equal ones."""
        self.run = self.run + 1 if good == self.last else 1
        self.last = good
        return good if self.run >= (self.success_threshold if good else self.failure_threshold) else None


class Prober:
    """One probe of one container, for the pod's whole life.

    `due` returns whether the probe should run now (the container runs, its initial delay is over, its startup probe has
    passed). `verdict` is called with each verdict, `failed` with every single failure, for an Event.
    """

    def __init__(
        self,
        kind: str,
        container: Object,
        where: Callable[[int], tuple[str, int]],
        *,
        due: Callable[[], bool],
        verdict: Callable[[bool], None],
        failed: Callable[[str], None],
    ) -> None:
        self.kind = kind
        self._probe: Object = container[kind]
        self._container, self._where = container, where
        self._due, self._verdict, self._failed = due, verdict, failed
        self._streak = self._fresh()
        self._now = asyncio.Event()

    def _fresh(self) -> Streak:
        return Streak(self._probe["successThreshold"], self._probe["failureThreshold"])

    def restart(self) -> None:
        """Start counting anew: the container was restarted."""
        self._streak = self._fresh()

    def trigger(self) -> None:
        """Probe now instead of at the next tick, as a kubelet does for readiness when a pod changes and is not
        ready.
        """
        self._now.set()

    async def run(self) -> None:
        """Probe until cancelled: at once, then every period counted from the pod's admission."""
        loop = asyncio.get_running_loop()
        tick = loop.time()
        while True:
            if self._due():
                await self._once()
            if loop.time() >= tick:
                tick += self._probe["periodSeconds"] * (
                    1 + (loop.time() - tick) // self._probe["periodSeconds"]
                )
            self._now.clear()
            try:
                async with asyncio.timeout(tick - loop.time()):
                    await self._now.wait()
            except TimeoutError:
                continue

    async def _once(self) -> None:
        streak = self._streak
        good, output = await self._attempt()
        if streak is not self._streak:
            return  # the container was restarted meanwhile: this result belongs to the previous one
        if not good:
            self._failed(f"{KINDS[self.kind]} probe failed: {output}")
        verdict = streak.take(good)
        if verdict is not None:
            if not verdict and self.kind != "readinessProbe":
                streak.run = 0  # the container is about to be killed
            self._verdict(verdict)

    def _attempt(self) -> Awaitable[tuple[bool, str]]:
        timeout_s = float(self._probe["timeoutSeconds"])
        if "httpGet" in self._probe:
            return self._http(self._probe["httpGet"], timeout_s)
        if "tcpSocket" in self._probe:
            return self._tcp(self._probe["tcpSocket"], timeout_s)
        return self._listens(self._probe.get("grpc") or {}, timeout_s)

    async def _http(self, action: Object, timeout_s: float) -> tuple[bool, str]:
        try:
            wanted = port_of(self._container, action["port"])
        except ValueError as error:
            return False, str(error)
        address, port = self._where(wanted)
        path = action.get("path") or "/"
        url = (
            f"{action.get('scheme', 'HTTP').lower()}://{address}:{wanted}"
            f"{path if path.startswith('/') else '/' + path}"
        )
        return await http_get(url, address, port, action, timeout_s)

    async def _tcp(self, action: Object, timeout_s: float) -> tuple[bool, str]:
        try:
            address, port = self._where(port_of(self._container, action["port"]))
        except ValueError as error:
            return False, str(error)
        return await tcp_connect(address, port, timeout_s)

    async def _listens(self, action: Object, timeout_s: float) -> tuple[bool, str]:
        """Pass if the port is open: exec and grpc probes are not modelled (unmodelled.py)."""
        declared = self._container.get("ports") or ()
        port = action.get("port") or next((each["containerPort"] for each in declared), None)
        return await self._tcp({"port": port}, timeout_s) if port else (True, "")
