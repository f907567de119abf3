"""One container's process: started with an environment and nothing else, and seen to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.lab.journal import Run

if TYPE_CHECKING:
    from harness.lab.journal import Journal

_FROM_HERE = (
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
)  # what Python needs to start
PACKAGE = str(Path(__file__).resolve().parents[2])


class Lifeline:
    """A pipe that every pod has as its standard input. It ends when the lab does, however the lab ends."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()  # neither is inherited by other children

    def close(self) -> None:
        """End all that hang on it."""
        for end in (self.reader, self._writer):
            with contextlib.suppress(OSError):
                os.close(end)


class Process:
    """A running container. `code` is its exit code as a runtime reports it (128 + n for a signal), None while it runs."""

    def __init__(self, inner: asyncio.subprocess.Process, run: Run | None = None) -> None:
        self._inner = inner
        self._run = run or Run(time.monotonic_ns())  # the journal's
        self.code: int | None = None
        self.begun_at = asyncio.get_running_loop().time()
        self.ended = datetime.min.replace(tzinfo=UTC)  # set with the code
        self.ended_at = 0.0  # the same moment on the event loop's clock
        self.exited = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def start(
        cls,
        module: str,
        env: dict[str, str],
        log: Path,
        lifeline: Lifeline,
        journal: Journal | None = None,
    ) -> Self:
        """Run `python -m module`. Its output is appended to `log`. Raises OSError."""
        inherited = {name: os.environ[name] for name in _FROM_HERE if name in os.environ}
        fixed = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": PACKAGE, "LAB_LIFELINE": "1"}
        with log.open("ab") as output:
            inner = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=lifeline.reader,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env={**inherited, **fixed, **env},
                cwd=log.parent,
                start_new_session=True,
            )
        return cls(inner, journal.started(env.get("HOSTNAME", "")) if journal else None)

    @property
    def pid(self) -> int:
        """Its process id, and its session's."""
        return self._inner.pid

    async def _wait(self) -> int:
        code = await self._inner.wait()
        self.ended, self.ended_at = datetime.now(UTC), asyncio.get_running_loop().time()
        self.code = 128 - code if code < 0 else code
        self._run.ended_ns, self._run.code = time.monotonic_ns(), self.code
        return self.code

    def terminate(self) -> None:
        """Send SIGTERM to process 1, as a runtime does; its children learn nothing of it."""
        if self.code is None:
            self._run.term_ns = min(self._run.term_ns, time.monotonic_ns())
            with contextlib.suppress(ProcessLookupError):
                self._inner.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the whole session."""
        if self.code is None:
            self._run.kill_ns = min(self._run.kill_ns, time.monotonic_ns())
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._inner.pid, signal.SIGKILL)
