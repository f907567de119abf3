"""One run as a process of its own, in a session of its own: whatever becomes of it costs only its own time.

It is asked to end by SIGINT, so that it leaves its partial report, and killed if it does not. What it started ends with
it: pods and workers see the end of a pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import anyio
import anyio.to_thread

import harness
from harness.suite.ending import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import Process

REPORT_S = 90.0  # for the partial report of a run that was asked to end
LEAVE_S = 5.0  # for one that was asked twice
_NOT_ITS_OWN = ("GITHUB_STEP_SUMMARY", "ZDTEST_WEBHOOK")  # the suite writes one summary
_ROOT = str(Path(harness.__file__).resolve().parents[1])


class Child:
    """The process of one run."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._asked = 0  # how often it was to end
        self._once, self._twice = anyio.Event(), anyio.Event()

    async def carry_out(
        self, words: Sequence[str], handed: bytes, log: BinaryIO, limit_s: float, here: Path
    ) -> Ended:
        """Run `zdtest WORDS` to its end, in the folder `here`. `handed` is what it reads from its pipe."""
        began_s = time.monotonic()
        reading, writing = os.pipe()
        try:
            command = [sys.executable, "-P", "-m", "harness", *words, "--of-suite", str(reading)]
            process = self._process = await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=_environment(), cwd=here,
                start_new_session=True, pass_fds=(reading,),
            )  # fmt: skip
            os.close(reading)
            reading = -1
            if self._asked:  # while it was being started
                self._send(signal.SIGINT)
            with suppress(OSError):  # it ended before it read
                await anyio.to_thread.run_sync(_write, writing, handed)
            timed_out = not await self._over(process, limit_s) and not self._asked
            if timed_out:
                self._send(signal.SIGINT)
                await self._over(process, REPORT_S)
            code = await _killed(process)
            return Ended(code, time.monotonic() - began_s, timed_out, self._asked > 0)
        finally:
            os.close(writing)
            if reading >= 0:
                os.close(reading)
            if self._process is not None:
                with anyio.CancelScope(shield=True):
                    await _killed(self._process)

    def interrupt(self, count: int) -> None:
        """Pass on the suite's Ctrl-C: the first asks for a partial report, the second to leave at once."""
        self._asked = count
        self._send(signal.SIGINT)
        self._once.set()
        if count > 1:
            self._twice.set()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _over(self, process: Process, limit_s: float) -> bool:
        """Wait for its end, at most so long; less once it was asked to end. Tell whether it has ended."""
        over = False

        async def ended() -> None:
            nonlocal over
            await process.wait()
            over = True
            group.cancel_scope.cancel()

        async def asked(event: anyio.Event, patience_s: float) -> None:
            await event.wait()
            await anyio.sleep(patience_s)
            group.cancel_scope.cancel()

        with anyio.move_on_after(limit_s):
            async with anyio.create_task_group() as group:
                group.start_soon(ended)
                group.start_soon(asked, self._once, REPORT_S)
                group.start_soon(asked, self._twice, LEAVE_S)
        return over


async def _killed(process: Process) -> int:
    """End a process and its group for good, and return how it ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return await process.wait()


def _write(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_ITS_OWN}
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
