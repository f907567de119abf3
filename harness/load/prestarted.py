"""Worker processes started before their assignment is known, because Python takes a while to import what they need."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

import harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

_ROOT = str(Path(harness.__file__).resolve().parents[1])  # where a worker finds this package


class PrestartedWorkers:
    """Workers that wait for their assignment. Whoever takes one owns it."""

    def __init__(self, waiting: list[Process]) -> None:
        self._waiting = waiting

    async def take(self) -> Process:
        """Return a waiting worker, or start a new one."""
        return self._waiting.pop() if self._waiting else await spawn()

    async def dismiss(self) -> None:
        """Kill the workers that nobody took; they have done nothing yet."""
        while self._waiting:
            process = self._waiting.pop()
            process.kill()
            await process.aclose()


@asynccontextmanager
async def prestart(count: int) -> AsyncIterator[PrestartedWorkers]:
    """Start workers now, to get their assignments later; those that nobody took are killed when the context ends."""
    prestarted = PrestartedWorkers([])
    try:
        for _ in range(count):
            prestarted._waiting.append(await spawn())  # noqa: SLF001  we create the object
        yield prestarted
    finally:
        with anyio.CancelScope(shield=True):
            await prestarted.dismiss()


async def spawn(module: str = "harness.load.worker") -> Process:
    """Start a worker process (a module's `__main__`), in a session of its own."""
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    return await anyio.open_process(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
    )  # fmt: skip
