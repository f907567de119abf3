"""Restart back-off (at once, then after 10 s, 20 s … 5 min), and the countdown of a grace period."""

from __future__ import annotations

import asyncio
import random
from typing import Any

INITIAL_S = 10.0
MAX_S = 300.0
TURN_S = 10.0
LEAST_GRACE_S = 2.0  # the least time between SIGTERM and SIGKILL, whatever the grace period


def turns(wait_s: float) -> float:
    """Return the seconds until a pod's worker really restarts a container: it checks only every 10 to 15 s."""
    total = 0.0
    while total < wait_s:
        total += random.uniform(TURN_S, 1.5 * TURN_S)  # noqa: S311  the jitter of pkg/kubelet/pod_workers.go
    return total


def crash_loop(pod: dict[str, Any], container: str) -> tuple[str, dict[str, str]]:
    """Return the Event's message for a container in back-off, and its state meanwhile."""
    metadata = pod["metadata"]
    name = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    message = f"back-off restarting failed container={container} pod={name}"
    waiting = {"reason": "CrashLoopBackOff", "message": message}
    return f"Back-off restarting failed container {container} in pod {name}", waiting


class BackOff:
    """One container's restart back-off, forgotten after twice the maximum without a crash."""

    def __init__(self) -> None:
        self._wait_s = 0.0
        self._at = float("-inf")

    def wait_s(self, finished: float, now: float) -> float:
        """Return the seconds left to wait at `now` after an end at `finished`."""
        if now - self._at > 2 * MAX_S:
            self._wait_s = 0.0
        return max(0.0, finished + self._wait_s - now)

    def started(self, now: float) -> None:
        """Record a restart."""
        self._wait_s = min(MAX_S, self._wait_s * 2) if self._wait_s else INITIAL_S
        self._at = now


class Grace:
    """The countdown of a grace period. A second deletion may shorten it while others wait for it."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self.end = self._begun + seconds
        self._changed = asyncio.Event()

    def shorten(self, seconds: float) -> None:
        """End it `seconds` after it began, if that is earlier."""
        self.end_by(self._begun + seconds)

    def end_by(self, moment: float) -> None:
        """End it at a time on the event loop's clock, if that is earlier."""
        if moment < self.end:
            self.end = moment
            self._changed.set()

    @property
    def left(self) -> float:
        """Seconds left, 0 at least."""
        return max(0.0, self.end - self._loop.time())

    async def wait(self, *tasks: asyncio.Task[Any], least_until: float = 0.0) -> bool:
        """Wait until one of the tasks is done (True), or the period and `least_until` have passed (False)."""
        while not any(task.done() for task in tasks):
            left = max(self.end, least_until) - self._loop.time()
            if left <= 0:
                return False
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({*tasks, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
        return True
