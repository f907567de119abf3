"""A watcher's queue of changes."""

from __future__ import annotations

import asyncio
import time

from harness.lab.objects.watchevents import Subscription, WatchEvent


def test_a_change_that_comes_just_after_the_wait_was_over_is_not_passed_over() -> None:
    change = WatchEvent(rv=1, type="ADDED", kind="Pod", item={}, previous=None)

    async def late() -> WatchEvent | None:
        subscription = Subscription(frozenset({"Pod"}))
        waiting = asyncio.create_task(subscription.next(0.05))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.1, subscription.push, change)
        time.sleep(0.2)  # noqa: ASYNC251  the loop finds both due at once: the deadline, then the change
        return await waiting

    assert asyncio.run(late()) is change
