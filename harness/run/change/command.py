"""Runs the trigger's command: keeps its output, reports its exit code, and lets it finish what it is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING

import anyio

from harness import masking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import Process


async def run_to_its_end(words: Sequence[str], output: IO[bytes], ending_s: float) -> str:
    """Run a command in its own process group; return what went wrong, or "".

    When cancelled, it sends the group SIGTERM, so that a `helm upgrade` can leave its release in order, and SIGKILL
    after `ending_s`.
    """
    try:
        process = await anyio.open_process(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:  # its own text has the whole word
        return f"{masking.program(words)}: {error.strerror}"
    try:
        code = await process.wait()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _end(process, ending_s)
        raise
    return f"exit code {code}" if code else ""


async def _end(process: Process, ending_s: float) -> None:
    for number, patience_s in ((signal.SIGTERM, ending_s), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with anyio.move_on_after(patience_s):
            await process.wait()
            return
