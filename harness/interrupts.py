"""What Ctrl-C, SIGTERM and a closed terminal do, from the program's first line to its exit code.

Python's own answer depends on the moment: a traceback in the middle of an import, or death by the signal before a
handler is set and after it is removed. Here one handler is installed all the time, so that the exit code is always
ours.

This module is imported before all others, so it imports nothing that takes time to load.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator

# Signals so soon after one that took effect belong to it: a nervous second Ctrl-C, or SIGHUP and SIGTERM from a
# terminal that closes. A later one counts again.
TOGETHER_S = 1.0
AGAIN_S = 0.005  # until an exception that Python swallowed is raised again


class Interrupted(KeyboardInterrupt):
    """The exception that such a signal raises.

    A plain KeyboardInterrupt that passes through exec(), as dataclass and namedtuple use it, counts as unhandled
    for Python even if it is caught further out: the process then ends by SIGINT, whatever the exit code. Python
    checks for exactly that type, so a subclass avoids it.
    """


def wrapped(error: BaseException) -> bool:
    """Tell whether an exception is an Interrupted that Python put into another one.

    Up to 3.11 it makes a RuntimeError of whatever is raised in `__set_name__`, which every class with a dataclass
    field goes through.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Interrupted):
        cause = cause.__cause__
    return cause is not None


class Asked:
    """How often the program was asked to end, for an event loop to wait on."""

    def __init__(self) -> None:
        self.count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._more: asyncio.Event | None = None

    def again(self) -> None:
        """Count one more, and wake the waiter. Called by a signal handler: it must neither print nor wait."""
        self.count += 1
        if self._loop and self._more:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._more.set)

    async def each(self) -> AsyncIterator[int]:
        """Yield 1 for the first request, 2 for the second and so on, including those from before the loop."""
        import asyncio  # noqa: PLC0415

        self._loop, self._more = asyncio.get_running_loop(), asyncio.Event()
        seen = 0
        while True:
            self._more.clear()
            while seen < self.count:
                seen += 1
                yield seen
            await self._more.wait()


class Interrupts:
    """The signals that ask this process to end."""

    def __init__(self) -> None:
        self._acted_s = float("-inf")
        self._over = False

    def catch(self) -> None:
        """From now on such a signal raises Interrupted, a KeyboardInterrupt, wherever the program is."""
        for number in _asking_to_end():
            signal.signal(number, self._raise)
        signal.signal(signal.SIGALRM, self._raise)
        sys.unraisablehook = self._swallowed

    def _swallowed(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Raise again if the exception was lost in a place that cannot pass it on, such as a weakref callback."""
        if not issubclass(unraisable.exc_type, Interrupted):
            sys.__unraisablehook__(unraisable)
        elif not self._over:
            self._acted_s = float("-inf")
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)

    def _raise(self, *_: object) -> None:
        now_s = time.monotonic()
        if self._over or now_s - self._acted_s < TOGETHER_S:
            return
        self._acted_s = now_s
        raise Interrupted

    @contextmanager
    def heard(self) -> Iterator[Asked]:
        """Within this context, such signals are only counted."""
        asked = Asked()

        def hear(*_: object) -> None:
            self._acted_s = time.monotonic()
            asked.again()

        before = {number: signal.signal(number, hear) for number in _asking_to_end()}
        try:
            yield asked
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def hold(self) -> None:
        """From now on such a signal changes nothing: the exit code is set.

        They are ignored, not just handled: at its end Python removes handlers, and a signal would kill the process.
        """
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in _asking_to_end():
            signal.signal(number, signal.SIG_IGN)


PROGRAM = Interrupts()


def _asking_to_end() -> tuple[signal.Signals, ...]:
    # A closing terminal sends SIGHUP; a program started by nohup goes on.
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hangs_up else ()))
