"""Runs a lab inside an `async with`: one child process, which starts and ends all the others.

The child's standard input ties it to this process: when it closes, because the block ends, by Ctrl-C or by kill -9, the
lab ends with everything it started.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio

from harness.errors import HarnessError, UsageError
from harness.lab import isolated, manifests
from harness.model import LabEndpoint, LabPlan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

STOP_S = 10.0  # how long the lab may take to end before it is killed


@asynccontextmanager
async def running(plan: LabPlan, directory: Path) -> AsyncIterator[LabEndpoint]:
    """Run a lab. It is up when every workload of the manifests is available and the balancer answers.

    `directory` gets lab.json (the endpoint, and what of the manifests is not modelled), lab.log, balancer.log and
    pods/<name>.log. Kubeconfig and key are kept elsewhere and removed at the end, since `directory` may be shared.
    Raises UsageError for manifests that it cannot run or whose pods do not become available; HarnessError if the lab
    itself fails, or ends while it is in use.
    """
    manifests.load(plan.manifests)  # refuse bad manifests before anything is started
    files = tuple(str(Path(file).absolute()) for file in plan.manifests)  # noqa: ASYNC240
    plan = dataclasses.replace(plan, manifests=files)
    directory = directory.absolute()  # noqa: ASYNC240  once, before anything runs
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="zdtest-lab-", ignore_cleanup_errors=True) as private:
        with (directory / "lab.log").open("ab") as log:
            process = await anyio.open_process(
                isolated.module_of_ours("harness.lab", str(directory), private),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=directory,
                env=isolated.variables("TMPDIR"),
                start_new_session=True,
            )
        try:
            answer = await _started(process, plan, directory)
            yield LabEndpoint(**answer)
            if process.returncode is not None:
                raise HarnessError(
                    f"the lab exited unexpectedly (exit code {process.returncode}): see {directory / 'lab.log'}"
                )
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)


async def _started(process: Process, plan: LabPlan, directory: Path) -> dict[str, Any]:
    """Send the plan, and wait for the one line of the answer."""
    assert process.stdin is not None  # noqa: S101  both are pipes
    assert process.stdout is not None  # noqa: S101
    line = b""
    try:
        await process.stdin.send(json.dumps(dataclasses.asdict(plan)).encode() + b"\n")
        while not line.endswith(b"\n"):
            line += await process.stdout.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise HarnessError(f"the lab did not start: see {directory / 'lab.log'}") from error
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise UsageError(answer["error"])
    endpoint: dict[str, Any] = {
        field.name: answer["ready"][field.name]
        for field in dataclasses.fields(LabEndpoint)
        if field.name in answer["ready"]
    }
    endpoint["notes"] = tuple(endpoint.get("notes", ()))
    return endpoint


async def _end(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()
