"""Two helpers for asyncio: wait for a socket, and report an exception that a task raised."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


def report_failure(task: asyncio.Task[None]) -> None:
    """Pass on what a task raised, which is a bug, to the loop's exception handler; that ends this process."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "a slot's task failed", "exception": error})


async def ready(sock: socket.socket, *, write: bool) -> None:
    """Wait until the socket can be read or written."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    add: Callable[..., None] = loop.add_writer if write else loop.add_reader
    remove = loop.remove_writer if write else loop.remove_reader
    number = sock.fileno()
    add(number, _wake, done)
    try:
        await done
    finally:
        remove(number)


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
