"""Judges recordings, one at a time, in a process of its own: the judge takes memory that the watch must not keep."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.escaping import for_line
from harness.history.runs import OF_A_RUN
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LONGEST_S = 600.0
_NICE = 10  # the load must not wait for it
_VERDICT = "verdict.json"


class Judging:
    """The recordings that wait for their verdict. `judged` is called with each, whether it got one or not."""

    def __init__(self, webhook: str, judged: Callable[[Path], None], say: Callable[[str], None]) -> None:
        self._webhook, self._judged, self._say = webhook, judged, say
        self._waiting: deque[Path] = deque()
        self._more = anyio.Event()
        self.idle = anyio.Event()
        self.idle.set()

    def add(self, path: Path) -> None:
        """Judge this recording when those before it are done."""
        self._waiting.append(path)
        self.idle = anyio.Event()
        self._more.set()

    async def run(self) -> None:
        """Judge what comes, until cancelled."""
        while True:
            while self._waiting:
                path = self._waiting.popleft()
                await self._judge(path)
                await anyio.to_thread.run_sync(self._judged, path)  # it reads and deletes files
            self.idle.set()
            self._more = anyio.Event()
            await self._more.wait()

    async def _judge(self, path: Path) -> None:
        words = [sys.executable, "-P", "-m", "harness", "report", str(path), "--exit-zero"]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        if self._webhook:
            words += ["--webhook-on", "loss"]
            environment["ZDTEST_WEBHOOK"] = self._webhook  # never in the arguments, which everybody may read
        said = ""
        with anyio.move_on_after(_LONGEST_S) as scope:
            said = await self._carry_out(words, environment)
        if scope.cancelled_caught:
            said = f"it took over {_LONGEST_S:g} s"
        if not folder.stamp(path, _VERDICT):
            self._say(f"{path} could not be judged: {for_line(said) or 'it said nothing'}")
        elif said:
            self._say(for_line(said))

    async def _carry_out(self, words: list[str], environment: dict[str, str]) -> str:
        """Run it to its end; return the last line of its standard error."""
        async with await anyio.open_process(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment, start_new_session=True,
        ) as process:  # fmt: skip
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
            last = b""
            try:
                if process.stderr is not None:
                    async for piece in process.stderr:
                        last = (last + piece)[-4096:]
                await process.wait()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                raise
        lines = last.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def unjudged(root: Path) -> list[Path]:
    """Return the recordings in a folder that nobody has judged: an earlier watch was ended before it could."""
    try:
        names, _ = folder.below(root)
    except OSError:
        return []
    return [
        root / name
        for name in sorted(names)
        if OF_A_RUN.match(name)
        and folder.stamp(root, f"{name}/run.json")
        and not folder.stamp(root, f"{name}/{_VERDICT}")
    ]
