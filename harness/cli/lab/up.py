"""Commands of the embedded lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.root import guarded, root, show
from harness.interrupts import PROGRAM
from harness.model import ExitCode

if TYPE_CHECKING:
    from harness.interrupts import Asked
    from harness.scenario.resolve import Resolved


@root.group()
def lab() -> None:
    """Use the embedded lab, a small cluster in plain processes."""


@lab.command("up")
@click.argument("scenario", type=click.Path(path_type=Path), required=False)
def lab_up(scenario: Path | None) -> int:
    """Start the lab with SCENARIO's manifests, and keep it running until Ctrl-C."""
    from harness.scenario.resolve import Request, resolve  # noqa: PLC0415

    resolved = resolve(Request(file=scenario, lab=True, no_rollout=True), Path.cwd())
    with PROGRAM.heard() as asked:
        ended = guarded(lambda: _stay_up(resolved, asked), Path.cwd())
    return ended if isinstance(ended, int) else ExitCode.PASS


def _stay_up(resolved: Resolved, asked: Asked) -> Path:
    import tempfile  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from harness.lab import lab as embedded  # noqa: PLC0415

    async def listen(scope: anyio.CancelScope) -> None:
        async for _ in asked.each():
            scope.cancel()

    async def stay(home: Path) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(listen, group.cancel_scope)
            async with embedded.running(resolved.lab_plan(), home) as up:
                show(f"balancer:    {up.url}" + (f"   (CA: {up.ca_file})" if up.ca_file else ""))
                show(f"API server:  export KUBECONFIG={up.kubeconfig}")
                show("Ctrl-C stops it")
                await anyio.sleep_forever()

    with tempfile.TemporaryDirectory(prefix="zdtest-lab-") as home:
        anyio.run(stay, Path(home))
    return Path()
