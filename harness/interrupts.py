"""What Ctrl-C, SIGTERM and a closed terminal do, from the program's first line to its exit code.

Left to Python that depends on the moment: a traceback in the middle of an import, death by the signal before a handler
is set and after it was taken away. Here one handler stands all the time, so that who ends the program always gets the
exit code for it.

This module is imported before all others: it imports nothing that takes time to load.
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

# Signals that come this soon after one that was acted on belong to it: a second Ctrl-C by a nervous hand, or SIGHUP and
# SIGTERM from a terminal that closes. Whoever insists is heard again.
TOGETHER_S = 1.0
AGAIN_S = 0.005  # until an exception that Python swallowed is raised once more


class Interrupted(KeyboardInterrupt):
    """What such a signal raises.

    Where KeyboardInterrupt itself passes through the exec() of a text, as dataclass and namedtuple use it, Python takes it
    for unhandled, though it is handled further out, and ends by SIGINT whatever the exit code. It looks for that very type.
    """


class Asked:
    """How often the program was asked to end, for a loop that waits for it."""

    def __init__(self) -> None:
        self.count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._more: asyncio.Event | None = None

    def again(self) -> None:
        """Count one more, and wake who waits. Called by a signal handler: it must neither print nor wait."""
        self.count += 1
        if self._loop and self._more:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._more.set)

    async def each(self) -> AsyncIterator[int]:
        """Yield 1 for the first request, 2 for the second and so on, those included that came before the loop."""
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
        """Ask once more where the exception met a place that cannot pass it on, such as a weak reference's callback."""
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
        """Within this, such signals are counted and do nothing by themselves."""
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

        They are ignored, and not only handled: when Python ends it takes handlers away, and leaves death by the signal.
        """
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in _asking_to_end():
            signal.signal(number, signal.SIG_IGN)


PROGRAM = Interrupts()


def _asking_to_end() -> tuple[signal.Signals, ...]:
    # A terminal that closes says SIGHUP; who was started by nohup is to go on.
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hangs_up else ()))
