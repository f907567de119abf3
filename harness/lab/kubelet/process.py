"""One container's process, with an environment of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.lab import isolated
from harness.lab.kubelet.environment import APP_VARIABLES
from harness.lab.kubelet.journal import ProcessRun

if TYPE_CHECKING:
    from harness.lab.kubelet.journal import Journal

APP = Path(__file__).parents[1] / "app.py"


def signal_of(name: str) -> int:
    """Return the signal that Kubernetes knows by this name; SIGTERM for what is none here."""
    base, _, offset = name.partition("+")
    if base == "SIGRTMIN" and offset.isdigit():
        return min(signal.SIGRTMIN + int(offset), signal.SIGRTMAX)
    return signal.Signals.__members__.get(name, signal.SIGTERM)


class ParentPipe:
    """A pipe that is every pod's standard input. It closes when the lab ends, however the lab ends, and the pods
    exit.
    """

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = os.pipe()  # not inherited by other children

    @property
    def reader(self) -> int:
        """The end that pods read from. Raises OSError once it is closed: its number may be another file's by then."""
        if self._ends is None:
            raise OSError(errno.EBADF, "the lab is ending, and starts no more processes")
        return self._ends[0]

    def close(self) -> None:
        """End all processes that read from it."""
        ends, self._ends = self._ends or (), None
        for end in ends:
            os.close(end)


@dataclass(frozen=True, slots=True)
class Program:
    """What every container runs, whatever its image and command: one Python file, with its output in a folder.

    It gets only the variables in `takes` of a container's environment: a stranger's manifest must not run anything
    here.
    """

    logs: Path
    parent_pipe: ParentPipe
    journal: Journal | None = None
    file: Path = APP
    takes: frozenset[str] = APP_VARIABLES


class Process:
    """A running container. `code` is its exit code as a runtime reports it (128 + n for a signal), None while it
    runs.
    """

    def __init__(self, inner: asyncio.subprocess.Process, run: ProcessRun | None = None) -> None:
        self._inner = inner
        self._run = run or ProcessRun(time.monotonic_ns())  # the journal's
        self.code: int | None = None
        self.begun_at = asyncio.get_running_loop().time()
        self.ended = datetime.min.replace(tzinfo=UTC)  # set with the code
        self.ended_at = 0.0  # the same moment on the event loop's clock
        self.exited = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def start(cls, program: Program, env: dict[str, str], place: dict[str, str], log: Path) -> Self:
        """Run a program with the variables that it takes from `env`, and with its `place`: name, address and port.

        Its output is appended to `log`. Raises OSError, and ValueError for a variable that no process can have.
        """
        taken = {name: value for name, value in env.items() if name in program.takes}
        with log.open("ab") as output:
            inner = await asyncio.create_subprocess_exec(
                *isolated.lone_file(program.file),
                stdin=program.parent_pipe.reader,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env={**isolated.variables(), **taken, **place, "LAB_LIFELINE": "1"},
                cwd=log.parent,
                start_new_session=True,
            )
        journal = program.journal
        return cls(inner, journal.started(place["HOSTNAME"]) if journal else None)

    @property
    def pid(self) -> int:
        """The process id, which is also its session id."""
        return self._inner.pid

    async def _wait(self) -> int:
        code = await self._inner.wait()
        self.ended, self.ended_at = datetime.now(UTC), asyncio.get_running_loop().time()
        self.code = 128 - code if code < 0 else code
        self._run.ended_ns, self._run.code = time.monotonic_ns(), self.code
        return self.code

    def terminate(self, name: str = "") -> None:
        """Send SIGTERM, or the signal of this name, to process 1 only, as a container runtime does."""
        if self.code is None:
            self._run.term_ns = min(self._run.term_ns, time.monotonic_ns())
            with contextlib.suppress(ProcessLookupError):
                self._inner.send_signal(signal_of(name))

    def kill(self) -> None:
        """Send SIGKILL to the whole session."""
        if self.code is None:
            self._run.kill_ns = min(self._run.kill_ns, time.monotonic_ns())
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._inner.pid, signal.SIGKILL)
