"""The watch as a whole: one watch of the namespace, one process that sends, a recording for each change.

Nothing is authoritative but the recordings: the scoreboard is read from them, and again after a restart.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.clock import NS, Clock
from harness.cluster.client import resources
from harness.cluster.watching.streaming import watching
from harness.cluster.watching.watches import Watched
from harness.errors import ClusterError, HarnessError, RecordingError, UsageError, unwrap
from harness.history.clearing import prune
from harness.history.reading import NoRunError, read
from harness.load.lanes.sender import sending
from harness.run.clocks import measure_offset
from harness.run.preflight.workload import slices_of
from harness.watch import state as kept
from harness.watch.deploy import Shared
from harness.watch.judging import Judging, unjudged
from harness.watch.tending import Tending

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import TaskGroup

    from harness.cluster.client.api import Api
    from harness.cluster.offset import OffsetBounds
    from harness.cluster.watching.watcher import Item
    from harness.interrupts import Asked
    from harness.load.lanes.sender import Sender
    from harness.watch.deploy import Deploy
    from harness.watch.lookout import Lookout
    from harness.watch.settings import Observer, Settings

_TICK_S = 0.25
_SAVE_S = 5.0
_CLOCK_S = 1800.0  # between two looks at the API server's clock
_TO_JUDGE_S = 20.0  # what is judged at the end has this long; the next watch judges the rest
_SPARE_NS = 60 * NS  # a recording may begin so much before the baseline that was asked for


class Watch:
    """A running watch. Everything but `run` may be asked by another thread."""

    def __init__(self, settings: Settings, api: Api, observer: Observer) -> None:
        self.settings, self.api, self._observer = settings, api, observer
        self.root = settings.where.output
        self.state = kept.load(self.root)
        self.tending = Tending(settings, api, observer, self.state)
        self.began = datetime.now(UTC)
        self.alive_s = 0.0  # when the loop last came round, on the monotonic clock
        self.sender: Sender | None = None
        self._judging = Judging(settings.webhook, self._judged, observer.say)
        self._concluding: set[Deploy] = set()
        self._begun = 0
        self._server_clock: OffsetBounds | None = None

    @property
    def lookouts(self) -> dict[str, Lookout]:
        """The services by name: "deployment/web"."""
        return self.tending.lookouts

    @property
    def healthy(self) -> bool:
        """Whether the watch goes on."""
        return time.monotonic() - self.alive_s < 10 * _TICK_S + 30

    async def run(self, asked: Asked) -> None:
        """Watch until asked to end. Raises UsageError where it cannot begin, HarnessError where it cannot go on."""
        clock = Clock.start()
        watches = await anyio.to_thread.run_sync(self._watches)
        for path in unjudged(self.root):
            self._judging.add(path)
        try:
            async with AsyncExitStack() as stack:
                sender = await stack.enter_async_context(sending(clock, self.settings.before_ns + _SPARE_NS))
                self.sender = sender
                shared = Shared(
                    self.api,
                    clock,
                    sender,
                    self._observer.say,
                    self._observer.command,
                    lambda: self._server_clock,
                )
                events = await stack.enter_async_context(watching(self.api, watches, clock))
                group = await stack.enter_async_context(anyio.create_task_group())
                for item in iter_now(events):
                    self._see(item)
                group.start_soon(self._events, events)
                group.start_soon(self._judging.run)
                group.start_soon(self.tending.run, shared)
                group.start_soon(self._saving)
                group.start_soon(self._clocks)
                await self._until(asked, group)
                await self._end(sender, asked)
                group.cancel_scope.cancel()
        except BaseException as error:
            cause = unwrap(error)
            if isinstance(cause, ClusterError):
                raise UsageError(f"the cluster at {self.api.server} cannot be watched: {cause}") from None
            if cause is error:
                raise
            raise cause from None
        finally:
            self._save()

    async def _until(self, asked: Asked, group: TaskGroup) -> None:
        while not asked.count and self.sender is not None and not self.sender.gone.is_set():
            self.alive_s = time.monotonic()
            for key, lookout in list(self.lookouts.items()):
                lookout.tick()
                self._conclude(lookout, group)
                for why in lookout.unrecorded:
                    self.tending.say_missed(key, 1, why)
                lookout.unrecorded.clear()
            if (begun := sum(lookout.begun for lookout in self.lookouts.values())) != self._begun:
                self._begun = begun
                self._save()  # or a watch that is killed now would call this deploy missed when it is back
            await anyio.sleep(_TICK_S)

    async def _end(self, sender: Sender, asked: Asked) -> None:
        """End what is open: partial recordings, and as many verdicts as there is time for. Asked again: none."""
        lost = sender.gone.is_set()
        for lookout in self.lookouts.values():
            lookout.end("worker_lost" if lost else "interrupted")
        await sender.stop()
        async with anyio.create_task_group() as group:
            for lookout in self.lookouts.values():
                self._conclude(lookout, group)
        with anyio.move_on_after(_TO_JUDGE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(_asked_again, asked, group.cancel_scope)
                while self._concluding:  # noqa: ASYNC110  those that had ended before: no event marks the last one
                    await anyio.sleep(_TICK_S)
                await self._judging.idle.wait()
                group.cancel_scope.cancel()
        if lost:
            words = sender.last_words.strip().splitlines() or ["it wrote nothing"]
            raise HarnessError(f"the process that sends has ended: {words[-1]}")

    def _conclude(self, lookout: Lookout, group: TaskGroup) -> None:
        while lookout.ended:
            deploy = lookout.ended.pop()
            self._concluding.add(deploy)
            group.start_soon(self._concluded, deploy)

    async def _concluded(self, deploy: Deploy) -> None:
        try:
            path = await deploy.conclude()
        except (OSError, RecordingError) as error:
            self._observer.say(f"{deploy.directory.path}: its end could not be written: {error}")
            path = deploy.directory.path
        self._concluding.discard(deploy)
        self._judging.add(path)

    def _judged(self, path: Path) -> None:
        self._observer.judged(path)
        with suppress(NoRunError):
            self._prune(read(self.root, path.name).name)

    def _prune(self, name: str) -> None:
        try:
            prune(self.root, name, self.settings.keep)
        except OSError as error:
            self._observer.say(f"cannot delete {error.filename} (--keep): {error.strerror}")

    async def _events(self, events: anyio.abc.ObjectReceiveStream[Item]) -> None:
        async for item in events:
            self._see(item)

    def _see(self, item: Item) -> None:
        self.tending.know(item)
        for lookout in self.lookouts.values():
            if lookout.concerns(item):
                lookout.see(item)

    def _watches(self) -> tuple[Watched, ...]:
        """Return what is watched, once for all services: the server's work does not grow with their number."""
        api, namespace = self.api, self.settings.where.namespace
        try:
            slices = slices_of(api.groups())
            events = api.allowed("watch", resources.EVENTS, namespace)
        except ClusterError as error:
            raise UsageError(f"the cluster at {api.server} cannot be watched: {error}") from None
        names = [one.workload[0] for one in self.settings.wanted or ()]
        kinds = dict.fromkeys(names or ("Deployment", "StatefulSet"))
        whole = [Watched(resources.WORKLOADS[kind], kind, namespace) for kind in kinds]
        whole += [
            Watched(resources.PODS, "Pod", namespace),
            Watched(resources.REPLICASETS, "ReplicaSet", namespace),
            Watched(slices, "EndpointSlice", namespace),
        ]
        if events:
            whole.append(Watched(resources.EVENTS, "Event", namespace, skip_first_list=True))
        return tuple(whole)

    async def _clocks(self) -> None:
        while True:
            found = await anyio.to_thread.run_sync(measure_offset, self.api, abandon_on_cancel=True)
            self._server_clock = found or self._server_clock
            await anyio.sleep(_CLOCK_S)

    async def _saving(self) -> None:
        while True:
            await anyio.sleep(_SAVE_S)
            self._save()

    def _save(self) -> None:
        for key, lookout in self.lookouts.items():
            if lookout.ready is not None:
                self.state.revisions[key] = lookout.revision
        self.state.seen = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        try:
            kept.save(self.root, self.state)
        except OSError as error:
            self._observer.say(f"cannot write {self.root / kept.FILE}: {error.strerror}")


async def _asked_again(asked: Asked, scope: anyio.CancelScope) -> None:
    async for count in asked.each():
        if count > 1:
            scope.cancel()
            return


def iter_now(events: anyio.abc.ObjectReceiveStream[Item]) -> list[Item]:
    """Return what a stream holds now: the first lists."""
    found_now: list[Item] = []
    try:
        while True:
            found_now.append(events.receive_nowait())  # type: ignore[attr-defined]
    except anyio.WouldBlock:
        return found_now
