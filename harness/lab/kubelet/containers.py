"""One container of a pod: start, probes, stop and restart, as a kubelet does it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from harness.k8s.hooks import stop_signal
from harness.k8s.images import has_shell
from harness.k8s.timestamps import timestamp
from harness.lab.kubelet.actions import pre_stop
from harness.lab.kubelet.environment import MissingError
from harness.lab.kubelet.probes import KINDS, Prober
from harness.lab.kubelet.process import Process
from harness.lab.kubelet.restarts import LEAST_GRACE_S, BackOff, Grace, crash_loop, turns
from harness.lab.objects.podstatus import ContainerState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.kubelet.process import Program

Object = dict[str, Any]


class Host(Protocol):
    """What a container needs from its pod."""

    pod: Object
    ip: str

    def environment(self, spec: Object) -> dict[str, str]:
        """Return a container's variables. Raises MissingError."""

    def place(self, spec: Object) -> dict[str, str]:
        """Return the variables with the program's name, address and port."""

    def where(self, port: int) -> tuple[str, int]:
        """Return the real address and port of one of the pod's ports."""

    def event(self, kind: str, reason: str, message: str, *, container: str) -> None:
        """Record an event about a container."""

    def changed(self) -> None:
        """Report the changed state of a container."""

    async def relisted(self) -> None:
        """Wait until the kubelet next looks at its containers."""


class Container:
    """Runs one container until it is stopped."""

    def __init__(
        self, spec: Object, host: Host, program: Program, log: Path, *, sidecar: bool = False
    ) -> None:
        self.spec, self._host, self._program, self._log = spec, host, program, log
        self._sidecar = sidecar  # a native one: restarted whatever the pod's policy
        self.came_up = asyncio.Event()  # set when it has started for the first time
        self.state = ContainerState(spec["name"], spec.get("image", ""), stop_signal=stop_signal(spec))
        self._process: Process | None = None
        self._running: Object = {}
        self._back_off = BackOff()
        self._failed_probe = False  # the process was killed because of a failed probe
        self._ended_before: float | None = None  # when the previous process ended
        self._stopping = asyncio.Event()  # set: no more starts
        self._lock = asyncio.Lock()  # held while a process is being started
        self._kill: asyncio.Task[None] | None = None
        self._grace: Grace | None = None
        self._seen = False  # the kubelet has noticed that the process runs
        self._probers = [self._prober(kind) for kind in KINDS if isinstance(spec.get(kind), dict)]

    # -- life

    async def run(self) -> None:
        """Start the container, and restart it whenever it ends, until `stop`."""
        while not self._stopping.is_set():
            if not await self._start():
                await self._pause(1.0)
                continue
            process = self._process
            assert process is not None  # noqa: S101  set by _start
            await self._host.relisted()  # a kubelet polls its containers once a second
            if process.code is None:
                self._seen_running()
                await process.exited
                if not self._stopping.is_set() and not self._failed_probe:
                    await self._host.relisted()
            if self._stopping.is_set():
                return  # the pod reports the end, once its sandbox is gone
            if not await self._restart(process):
                return

    async def _start(self) -> bool:
        try:
            env = self._host.environment(self.spec)
        except MissingError as error:
            return self._failed("CreateContainerConfigError", error)
        async with self._lock:
            if self._stopping.is_set():
                return False
            self._event(
                "Normal", "Pulled", f'Container image "{self.state.image}" already present on machine'
            )
            self._event("Normal", "Created", f"Created container: {self.state.name}")
            try:
                self._process = await Process.start(
                    self._program, env, self._host.place(self.spec), self._log
                )
            except (OSError, ValueError) as error:  # a null byte in a value, or too long a one
                return self._failed("RunContainerError", error)
            self.state.container_id = f"zdtest://{uuid.uuid4().hex}{uuid.uuid4().hex}"
            self._running = {"running": {"startedAt": timestamp(datetime.now(UTC))}}
            self._event("Normal", "Started", f"Started container {self.state.name}")
        return True

    def _failed(self, reason: str, error: Exception) -> bool:
        """Record why it did not start."""
        self._event("Warning", "Failed", f"Error: {error}")
        self.state.state = {"waiting": {"reason": reason, "message": str(error)}}
        self._host.changed()
        return False

    def _seen_running(self) -> None:
        self._seen = True
        self.state.state = self._running
        self._started(now="startupProbe" not in self.spec)
        for prober in self._probers:
            prober.restart()
            prober.trigger()
        self._host.changed()

    def _started(self, *, now: bool) -> None:
        self.state.started = now
        self.state.ready = now and "readinessProbe" not in self.spec
        if now:
            self.came_up.set()

    def seen_ended(self) -> None:
        """Record the end of the process in the state."""
        process = self._process
        self._seen = self.state.ready = self.state.started = False
        if process is not None and process.code is not None:
            self.state.state = self.state.terminated(process.code, self._running, process.ended)

    async def _restart(self, process: Process) -> bool:
        """Report an end, and wait for the back-off; return whether to restart."""
        loop = asyncio.get_running_loop()
        policy = "Always" if self._sidecar else self._host.pod["spec"]["restartPolicy"]
        ends = policy == "Never" or (policy == "OnFailure" and process.code == 0)
        before, self._ended_before = self._ended_before, process.ended_at
        wait_s = self._back_off.wait_s(process.ended_at, loop.time())
        if self._failed_probe and not ends:
            self._failed_probe = False
            if before is None or self._back_off.wait_s(before, loop.time()) == 0:
                # Killed and restarted in one sync: nobody sees the gap, and the pod stays ready unless a
                # readinessProbe says otherwise.
                self._seen = False
                self.state.last = self.state.terminated(process.code, self._running, process.ended)
                self.state.restarts += 1
                if before is not None:
                    self._back_off.started(loop.time())
                return True
        self.seen_ended()
        self._host.changed()
        if ends:
            return False
        self.state.last = self.state.state
        if wait_s > 0:
            text, waiting = crash_loop(self._host.pod, self.state.name)
            self._event("Warning", "BackOff", text)
            self.state.state = {"waiting": waiting}
            self._host.changed()
            await self._pause(turns(wait_s))
        self._back_off.started(loop.time())
        self.state.restarts += 1
        return True

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    # -- probes

    def probing(self) -> list[Callable[[], Any]]:
        """Return the probes' loops, which run beside `run`."""
        return [prober.run for prober in self._probers]

    def _prober(self, kind: str) -> Prober:
        return Prober(
            kind,
            self.spec,
            self._host.where,
            due=lambda: self._due(kind),
            verdict=lambda good: self._verdict(kind, good=good),
            failed=lambda text: self._event("Warning", "Unhealthy", text),
        )

    def _due(self, kind: str) -> bool:
        """Tell whether a probe should run now. Readiness probes run until the process ends; the others only until it
        is being stopped.
        """
        if not self._seen or self._process is None or self._process.code is not None:
            return False
        if kind != "readinessProbe" and (self._stopping.is_set() or self._kill is not None):
            return False
        age = asyncio.get_running_loop().time() - self._process.begun_at
        if age < self.spec[kind].get("initialDelaySeconds", 0):
            return False
        return self.state.started != (kind == "startupProbe")

    def _verdict(self, kind: str, *, good: bool) -> None:
        if not self._seen:
            return
        if kind == "readinessProbe":
            self.state.ready = good
        elif not good:
            self._fail(kind)
        elif kind == "startupProbe":
            self._started(now=True)
            for prober in self._probers:
                prober.trigger()
        self._host.changed()

    def _fail(self, kind: str) -> None:
        """Kill the container after a failed liveness or startup probe; `run` restarts it."""
        own = self.spec[kind].get("terminationGracePeriodSeconds")
        grace_s = self._host.pod["spec"]["terminationGracePeriodSeconds"] if own is None else own
        self._failed_probe = True
        text = f"Container {self.state.name} failed {KINDS[kind].lower()} probe, will be restarted"
        self._begin_kill(Grace(grace_s), text)

    # -- the end

    def kill(self) -> asyncio.Task[int] | None:
        """Send SIGKILL now; return a task that is done when the process has ended."""
        if self._process is None:
            return None
        self._process.kill()
        return self._process.exited

    async def stop(self, grace: Grace, message: str, turn: asyncio.Task[Any] | None = None) -> None:
        """Stop it for good within a grace period; return when its process is gone. SIGTERM waits for its turn,
        preStop does not.
        """
        self._stopping.set()
        async with self._lock:
            pass  # wait for a start in progress
        if self._kill is not None and self._grace is not None:
            self._grace.end_by(grace.end)
        else:
            self._begin_kill(grace, message, turn)
        if self._kill is not None:
            await self._kill

    def _begin_kill(self, grace: Grace, message: str, turn: asyncio.Task[Any] | None = None) -> None:
        if self._kill is not None or self._process is None or self._process.code is not None:
            return
        self._grace = grace
        self._event("Normal", "Killing", message)

        async def kill(process: Process) -> None:
            try:
                await self._terminate(process, grace, turn)
            finally:
                self._kill = None

        self._kill = asyncio.create_task(kill(self._process))

    async def _terminate(self, process: Process, grace: Grace, turn: asyncio.Task[Any] | None) -> None:
        """Run preStop, SIGTERM (or the stopSignal), SIGKILL. The hook's time counts against the grace period, but
        SIGTERM gets at least 2 s.
        """
        loop = asyncio.get_running_loop()
        action = (self.spec.get("lifecycle") or {}).get("preStop")
        hook = (
            asyncio.create_task(self._hook(action)) if isinstance(action, dict) and grace.left > 0 else None
        )
        try:
            if hook is not None:
                await grace.wait(hook, process.exited)
            if turn is not None:
                await grace.wait(turn, process.exited)
            process.terminate(self.state.stop_signal)
            if not await grace.wait(process.exited, least_until=loop.time() + LEAST_GRACE_S):
                process.kill()
            await process.exited
        finally:
            if hook is not None and not hook.done():  # the hook ran inside the container, so it ended with it
                hook.cancel()
                self._event("Warning", "FailedPreStopHook", "PreStopHook failed")

    async def _hook(self, action: Object) -> None:
        """Run a preStop hook."""
        if not await pre_stop(action, self.spec, self._host.where, shell=has_shell(self.state.image)):
            self._event("Warning", "FailedPreStopHook", "PreStopHook failed")

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._host.event(kind, reason, message, container=self.state.name)
