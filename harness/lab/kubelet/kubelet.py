"""The kubelet: runs every pod bound to the node, with real processes.

A pod ends as in pkg/kubelet, in order and timing: Killing, preStop, SIGTERM, SIGKILL; then its sandbox and network are
removed; then its exit codes are reported; then its object is deleted.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.k8s.serving import native_sidecars, serving
from harness.lab.fields.ownership import Writer
from harness.lab.kubelet.containers import Container
from harness.lab.kubelet.environment import environment
from harness.lab.kubelet.restarts import Grace
from harness.lab.objects.podstatus import log_name, status_of
from harness.lab.objects.recorder import NODE, Recorder
from harness.lab.objects.store import WRITER

if TYPE_CHECKING:
    from harness.lab.kubelet.addresses import Addresses
    from harness.lab.kubelet.process import Program
    from harness.lab.objects.store import Object, Store


_PORT = re.compile(r"[0-9]{1,5}")
OLD_STATUS_LOOP = 22  # before this minor version an ended pod waited for the status loop (measured on 1.20)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a node's steps take, in seconds: about as long as on a real one."""

    sandbox: float = 0.25  # create a pod's network and cgroup
    relist: float = 1.0  # interval at which the kubelet looks at its containers
    teardown: float = (
        0.7  # from the last exit until the pod's network is gone; until then its address refuses
    )
    cleanup: float = 0.3  # from there until the object is deleted
    sync: float = (
        0.0  # ... and then until the next turn of the status loop, which has this interval; 0: no waiting
    )

    @classmethod
    def of(cls, minor: int) -> Pace:
        """Return the pace of a Kubernetes version: an old kubelet deletes pods only in its status loop."""
        return cls(cleanup=1.5, sync=10.0) if minor < OLD_STATUS_LOOP else cls()


class PodWorker:
    """Runs one pod, from its binding to its deletion."""

    def __init__(self, pod: Object, kubelet: Kubelet) -> None:
        self.pod, self._kubelet = pod, kubelet
        self.ip = ""
        self.uid: str = pod["metadata"]["uid"]
        self._visible = False  # the address may be reported
        self._grace: Grace | None = None
        self._deleted = asyncio.Event()
        self._ports: dict[str, int] = {}  # container name -> the port it listens on
        self._containers: list[Container] = []
        for spec in pod["spec"]["containers"]:
            log = kubelet.program.logs / log_name(pod, spec["name"])
            self._containers.append(Container(spec, self, kubelet.program, log))
        # Not in the journal: what is true of a lost request depends on the serving container alone.
        beside = replace(kubelet.program, journal=None)
        self._sidecars: list[Container] = []
        for spec in native_sidecars(pod["spec"]):
            log = kubelet.program.logs / log_name(pod, spec["name"])
            self._sidecars.append(Container(spec, self, beside, log, sidecar=True))

    def observe(self, pod: Object, *, gone: bool) -> None:
        """Take the pod's current object. `gone`: it was deleted by force."""
        self.pod = pod
        metadata = pod["metadata"]
        if gone or "deletionTimestamp" in metadata:
            seconds = 0.0 if gone else float(metadata["deletionGracePeriodSeconds"])
            if self._grace is None:
                self._grace = Grace(seconds)
            else:
                self._grace.shorten(seconds)
            self._deleted.set()

    async def run(self) -> None:
        """Run the pod to its end."""
        await self._until_deleted(self._kubelet.pace.sandbox)
        self.ip = self._kubelet.addresses.allocate()
        for container in self._all:
            self._bind(container.spec)
        async with asyncio.TaskGroup() as tasks:
            if not self._deleted.is_set():
                self.changed()
            lives: list[asyncio.Task[None]] = []
            probes: list[asyncio.Task[None]] = []
            for container in self._all:
                lives.append(tasks.create_task(container.run()))
                probes += [tasks.create_task(probe()) for probe in container.probing()]
                if container in self._sidecars:
                    await self._first_of(container.came_up, self._deleted)
            await self._deleted.wait()
            assert self._grace is not None  # noqa: S101  set before the event
            self._stop(tasks, self._grace)
            await asyncio.wait(lives)
            for probe in probes:
                probe.cancel()
        await asyncio.sleep(self._kubelet.pace.teardown)
        self._kubelet.addresses.blackhole(self.uid, self.ip)
        for container in self._all:
            container.seen_ended()
        self.changed()
        await asyncio.sleep(self._kubelet.pace.cleanup)
        if every := self._kubelet.pace.sync:
            await asyncio.sleep(every - (asyncio.get_running_loop().time() - self._kubelet.phase) % every)
        self._report(final=True)
        current = self._current()
        if current is not None:
            self._kubelet.store.delete(current, grace_s=0)

    @property
    def _all(self) -> list[Container]:
        """All containers in the order in which they start: a native sidecar when the one before it has started."""
        return [*self._sidecars, *self._containers]

    def _stop(self, tasks: asyncio.TaskGroup, grace: Grace) -> None:
        """Stop all containers: SIGTERM comes to the native sidecars after the last of the others has ended, in
        reverse order.

        Grace period and preStop begin for all at the same moment (newTerminationOrdering in pkg/kubelet/kuberuntime).
        """

        def stop(container: Container, turn: asyncio.Task[Any] | None = None) -> asyncio.Task[None]:
            return tasks.create_task(
                container.stop(grace, f"Stopping container {container.state.name}", turn)
            )

        before = [stop(container) for container in self._containers]
        for sidecar in reversed(self._sidecars):
            before.append(stop(sidecar, tasks.create_task(_all_done(list(before)))))

    @staticmethod
    async def _first_of(*events: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def kill(self) -> list[asyncio.Task[int]]:
        """Send SIGKILL to its containers; return tasks that are done when they have ended."""
        return [exited for container in self._all if (exited := container.kill()) is not None]

    async def _until_deleted(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._deleted.wait()
        except TimeoutError:
            return

    def _bind(self, spec: Object) -> None:
        """Choose this container's port: PORT from its environment, else its containerPort, else the app's 8080.

        A sidecar without a port gets a free one: it must not take the serving container's port.
        """
        own = [str(entry.get("value", "")) for entry in spec.get("env") or () if entry.get("name") == "PORT"]
        declared = [int(port["containerPort"]) for port in spec.get("ports") or ()]
        usual = 8080 if spec["name"] == serving(self.pod["spec"])["name"] else 0
        wanted = int(own[-1]) if own and _PORT.fullmatch(own[-1]) else (declared or [usual])[0]
        self._ports[spec["name"]] = self._kubelet.addresses.bind(self.uid, self.ip, wanted)

    # -- containers.Host

    def environment(self, spec: Object) -> dict[str, str]:
        """Return a container's variables."""
        namespace = self.pod["metadata"]["namespace"]
        return environment(
            spec,
            self.pod,
            self.ip,
            self._kubelet.addresses.node,
            lambda kind, what: self._kubelet.store.find(kind, namespace, what),
        )

    def place(self, spec: Object) -> dict[str, str]:
        """Return the variables with the program's name, address and port."""
        name, port = self.pod["metadata"]["name"], self._ports[spec["name"]]
        return {"HOSTNAME": name, "BIND_ADDRESS": self.ip, "BIND_PORT": str(port)}

    def where(self, port: int) -> tuple[str, int]:
        """Return the real address and port of one of this pod's ports."""
        return self.ip, self._kubelet.addresses.mapped(self.pod, port)

    def event(self, kind: str, reason: str, message: str, *, container: str) -> None:
        """Record an event about a container."""
        beside = any(sidecar.state.name == container for sidecar in self._sidecars)
        field = f"spec.{'initContainers' if beside else 'containers'}{{{container}}}"
        self._kubelet.recorder.record(self.pod, kind, reason, message, "kubelet", field=field)

    async def relisted(self) -> None:
        """Wait until the kubelet looks at its containers again, or until the pod is being deleted."""
        every, now = self._kubelet.pace.relist, asyncio.get_running_loop().time()
        await self._until_deleted(every - (now - self._kubelet.phase) % every)
        self._visible = True

    def changed(self) -> None:
        """Report the pod's state."""
        self._report(final=False)

    def _current(self) -> Object | None:
        found = self._kubelet.store.find(
            "Pod", self.pod["metadata"]["namespace"], self.pod["metadata"]["name"]
        )
        return found if found is not None and found["metadata"]["uid"] == self.uid else None

    def _report(self, *, final: bool) -> None:
        current = self._current()
        if current is None:
            return  # deleted by force: nothing to report to
        states = [container.state for container in self._containers]
        ip = self.ip if self._visible else ""
        status = status_of(
            current,
            states,
            datetime.now(UTC),
            ip=ip,
            host_ip=self._kubelet.addresses.node,
            final=final,
            sidecars=[sidecar.state for sidecar in self._sidecars],
        )
        self._kubelet.store.update({**current, "status": status}, part="status")


async def _all_done(tasks: list[asyncio.Task[None]]) -> None:
    """Return when all of them have ended, however."""
    if tasks:
        await asyncio.wait(tasks)


class Kubelet:
    """Runs a worker for every pod of the node."""

    def __init__(
        self, store: Store, recorder: Recorder, addresses: Addresses, program: Program, pace: Pace = Pace()
    ) -> None:
        self.pace = pace
        self.store, self.recorder, self.addresses, self.program = store, recorder, addresses, program
        self.phase = asyncio.get_running_loop().time()
        self._workers: dict[str, PodWorker] = {}

    async def end(self) -> None:
        """Send SIGKILL to every container, and wait until they have ended."""
        exits = [exited for worker in self._workers.values() for exited in worker.kill()]
        if exits:
            await asyncio.wait(exits, timeout=3)

    def _forget(self, uid: str, _: asyncio.Task[None]) -> None:
        del self._workers[uid]

    async def run(self) -> None:
        """Run until cancelled. That ends no process; closing the parent pipe does."""
        WRITER.set(Writer("kubelet"))
        with self.store.subscribe(frozenset({"Pod"})) as changes:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    change = await changes.next()
                    if change is None or change.item["spec"].get("nodeName") != NODE:
                        continue
                    uid: str = change.item["metadata"]["uid"]
                    worker = self._workers.get(uid)
                    if worker is not None:
                        worker.observe(change.item, gone=change.type == "DELETED")
                    elif change.type != "DELETED":
                        worker = self._workers[uid] = PodWorker(change.item, self)
                        worker.observe(change.item, gone=False)
                        task = tasks.create_task(worker.run())
                        task.add_done_callback(partial(self._forget, uid))
