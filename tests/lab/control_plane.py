"""The lab's control plane in this process, builders of manifests, and helpers that look at processes."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.lab.controllers.loops import controllers
from harness.lab.kubelet.addresses import Addresses
from harness.lab.kubelet.kubelet import Kubelet, Pace
from harness.lab.kubelet.process import ParentPipe, Program
from harness.lab.objects.recorder import Recorder
from harness.lab.objects.store import Object, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

# A pod for tests: listens at once, answers /status/NNN with that status and /flag by whether FLAG exists, and
# takes SIGTERM as TERM_IS says (default: as the kernel does; ignore; clean: ends with 0). Ends with its lab.
POD = textwrap.dedent("""
    import os, signal, sys, threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(9)), daemon=True).start()
    term = os.environ.get("TERM_IS", "default")
    if term == "ignore": signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if term == "clean": signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    flag = os.environ.get("FLAG", "")

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            code = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
            if self.path == "/flag": code = 200 if os.path.exists(flag) else 503
            self.send_response(code); self.send_header("Content-Length", "0"); self.end_headers()
        def log_message(self, *_): pass

    print("env", sorted(os.environ), flush=True)
    if "CRASH" in os.environ: sys.exit(int(os.environ["CRASH"]))
    address = os.environ["BIND_ADDRESS"], int(os.environ["BIND_PORT"])
    print("at", *address, flush=True)
    ThreadingHTTPServer(address, Answer).serve_forever()
""")

TOKEN = "the-token-of-the-owner-of-a-lab"  # noqa: S105  of labs in tests
OWNER = {"Authorization": f"Bearer {TOKEN}"}

FAST = Pace(sandbox=0.02, relist=0.1, teardown=0.2, cleanup=0.05)


def deployment(
    name: str = "web",
    replicas: int = 2,
    container: Object | None = None,
    pod: Object | None = None,
    **spec: Any,
) -> Object:
    """A Deployment with one container; `spec` goes beside its template, `pod` beside its containers."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "x:1", **(container or {})}], **(pod or {})},
            },
            **spec,
        },
    }


def service(name: str = "web", **spec: Any) -> Object:
    """A Service that selects the pods of the Deployment of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }


def env(**values: object) -> list[Object]:
    """A container's env."""
    return [{"name": key, "value": str(value)} for key, value in values.items()]


def new_store() -> Store:
    """A store with the namespace default in it."""
    store = Store()
    store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    return store


@dataclass
class Cluster:
    """A control plane in this event loop."""

    store: Store
    recorder: Recorder
    addresses: Addresses
    kubelet: Kubelet | None = None

    def pods(self) -> list[Object]:
        return self.store.list("Pod", "default")

    def reasons(self) -> list[str]:
        """The events' reasons, in the order in which each was last recorded."""
        events = sorted(self.store.list("Event"), key=lambda e: int(e["metadata"]["resourceVersion"]))
        return [event["reason"] for event in events]

    async def until(self, condition: Callable[[], Any], within: float = 30) -> Any:
        """Wait until a condition over the store holds."""
        try:
            async with asyncio.timeout(within):
                while not (found := condition()):  # noqa: ASYNC110  conditions over the whole store
                    await asyncio.sleep(0.01)
                return found
        except TimeoutError:
            states = [self.store.list(kind) for kind in ("Pod", "Deployment")]
            pytest.fail(f"did not come: {states} {self.reasons()}")


@asynccontextmanager
async def control_plane(kubelet_in: Path | None = None) -> AsyncIterator[Cluster]:
    """Controllers over a store; with a folder, a kubelet too, whose pods run POD."""
    store = new_store()
    recorder = Recorder(store)
    addresses, parent_pipe = Addresses(), ParentPipe()
    cluster = Cluster(store, recorder, addresses)
    loops = [loop.run() for loop in controllers(store, recorder, addresses.mapped)]
    if kubelet_in is not None:
        (kubelet_in / "testpod.py").write_text(POD)
        takes = frozenset({"MINE", "TERM_IS", "FLAG", "CRASH"})
        program = Program(kubelet_in, parent_pipe, file=kubelet_in / "testpod.py", takes=takes)
        cluster.kubelet = Kubelet(store, recorder, addresses, program, FAST)
        loops.append(cluster.kubelet.run())
    tasks = [asyncio.create_task(loop) for loop in loops]
    await asyncio.sleep(0)
    try:
        yield cluster
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        if cluster.kubelet is not None:
            await cluster.kubelet.end()
        parent_pipe.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        addresses.close()


def descendants(pid: int) -> list[int]:
    """All processes below one, by /proc."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie nobody waited for has)."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
