"""Pods as plain processes of this machine: the same program, the same wire, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from harness.fleet.members import Member, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from harness.fleet.keys import Keys


@dataclass
class LocalPods:
    """A host whose pods are processes. `before`: words before each pod's command, by its number."""

    folder: Path
    before: dict[int, Sequence[str]] = field(default_factory=dict)
    environment: dict[int, dict[str, str]] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    pods: list[Member] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)  # pods that cannot be reached for now
    open: dict[str, socket.socket] = field(default_factory=dict)

    def begin(self, number: int, port: int) -> None:
        command = [sys.executable, "-P", "-m", "harness.fleet.pod", str(self.folder), f"127.0.0.1:{port}"]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), **self.environment.get(number, {})}
        with (self.folder / f"pod-{number}.log").open("wb") as log:
            started = subprocess.Popen(
                [*self.before.get(number, ()), *command],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        self.processes.append(started)
        self.pods.append(Member(f"pod-{number}", f"node-{number}", ("127.0.0.1", port)))

    async def members(self) -> Sequence[Member]:
        return self.pods

    async def dial(self, member: Member) -> socket.socket:
        if member.name in self.cut:
            raise ConnectionRefusedError
        self.open[member.name] = sock = await connected(member.address)
        return sock

    async def fate(self, member: Member) -> str:
        code = self.processes[self.pods.index(member)].poll()
        return "" if code is None else f"it ended with {code}"

    async def cut_off(self, name: str, seconds: float) -> None:
        """Cut a pod's connection in the middle of whatever it carries, and let nothing through for a while."""
        self.cut.add(name)
        with suppress(OSError):
            self.open[name].shutdown(socket.SHUT_RDWR)
        await anyio.sleep(seconds)
        self.cut.remove(name)

    def kill(self, number: int) -> None:
        os.killpg(self.processes[number].pid, signal.SIGKILL)

    def said(self, number: int) -> str:
        return (self.folder / f"pod-{number}.log").read_text()


@asynccontextmanager
async def local_pods(folder: Path, secrets: Keys, count: int, **options: Any) -> AsyncIterator[LocalPods]:
    """Run pods while the context lasts; their keys and logs are in `folder`."""
    folder.mkdir()  # noqa: ASYNC240  nothing else waits
    for name, content in secrets.secret().items():
        (folder / name).write_bytes(content)
    host = LocalPods(folder, **options)
    try:
        for number in range(count):
            host.begin(number, free_port())
        yield host
    finally:
        for process in host.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
