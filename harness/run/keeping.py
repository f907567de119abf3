"""What goes to disk while a run goes on: events, the workers' health, the API server's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from harness.cluster.client.api import Api
    from harness.cluster.watching.watcher import Item
    from harness.load.interface import RunningLoad
    from harness.recording.write import RunDirectory
    from harness.run.log import Log


async def keep_health(load: RunningLoad, directory: RunDirectory) -> None:
    """Record each second of each worker's health."""
    async for sample in load.samples:
        directory.health(sample)


async def keep_events(
    events: AsyncIterable[Item], directory: RunDirectory, see: Callable[[Item], None]
) -> None:
    """Record each event and each gap of the watch, and only then let the run see it."""
    async for item in events:
        directory.keep(item)
        see(item)


async def keep_server_clock(api: Api, log: Log) -> None:
    """Bound the offset of the API server's clock, beside everything else."""
    from harness.run.clocks import measure_offset  # noqa: PLC0415

    offset = await anyio.to_thread.run_sync(measure_offset, api, abandon_on_cancel=True)
    if offset is None:
        log.note("the API server's clock could not be bounded: its answers contradict each other")
    log.update(server_clock_ns=offset)
