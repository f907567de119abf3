"""All of a run's watches at once: a thread for each kind, one stream of what they see."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread

from harness.cluster.watching.watcher import WINDOW_S, Item, Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from anyio.streams.memory import MemoryObjectReceiveStream

    from harness.clock import Clock
    from harness.cluster.client.api import Api
    from harness.cluster.watching.watches import Watched


@asynccontextmanager
async def watching(
    api: Api,
    watches: Sequence[Watched],
    clock: Clock,
    window_s: int = WINDOW_S,
    rest: Callable[[Item], None] = lambda _: None,
) -> AsyncIterator[MemoryObjectReceiveStream[Item]]:
    """Watch all of these until the context is left; yield the stream of what is seen, first lists included.

    Enters once every first list is in. Raises ClusterError when one of them fails. What is unread at the end goes to
    `rest`: above all a gap that was still open.
    """
    send, receive = anyio.create_memory_object_stream[Item](inf)
    limiter = anyio.CapacityLimiter(len(watches) + 1)

    def emit(item: Item) -> None:
        try:
            anyio.from_thread.run_sync(send.send_nowait, item)
        except (RuntimeError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # the run is over, and this thread will see that next

    watchers = [Watcher(api, watched, clock, emit, window_s) for watched in watches]
    async with anyio.create_task_group() as group:
        try:
            for watcher in watchers:
                group.start_soon(_in_thread, watcher, limiter)
            for watcher in watchers:
                await anyio.to_thread.run_sync(watcher.listed.wait, abandon_on_cancel=True)
            for watcher in watchers:
                if watcher.error:
                    break
            else:
                yield receive
        finally:
            with anyio.CancelScope(shield=True):
                for watcher in watchers:
                    await anyio.to_thread.run_sync(watcher.stop, limiter=limiter)
            group.cancel_scope.cancel()
            send.close()
            with contextlib.suppress(anyio.EndOfStream, anyio.WouldBlock):
                while True:
                    rest(receive.receive_nowait())
            receive.close()
    failed = next((watcher.error for watcher in watchers if watcher.error), None)
    if failed:
        raise failed


async def _in_thread(watcher: Watcher, limiter: anyio.CapacityLimiter) -> None:
    await anyio.to_thread.run_sync(watcher.run, abandon_on_cancel=True, limiter=limiter)
