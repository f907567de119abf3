"""The watch as a whole: one watch of the namespace, one process that sends, a recording for each change.

Nothing is authoritative but the recordings: the scoreboard is read from them, and again after a restart.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.clock import NS, Clock
from harness.cluster.client import resources
from harness.cluster.watching.streaming import watching
from harness.cluster.watching.watches import Watched
from harness.errors import ClusterError, HarnessError, UsageError
from harness.history.clearing import prune
from harness.load.lanes.sender import sending
from harness.model import ClusterEvent
from harness.run.preflight.around import around as surroundings_of, listed
from harness.run.preflight.workload import slices_of
from harness.watch import state as kept
from harness.watch.changed import Missed, missed
from harness.watch.deploy import Shared
from harness.watch.finding import found
from harness.watch.judging import Judging, unjudged
from harness.watch.lookout import Lookout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from anyio.abc import TaskGroup

    from harness.cluster.client.api import Api
    from harness.cluster.watching.watcher import Item
    from harness.interrupts import Asked
    from harness.load.lanes.sender import Sender
    from harness.watch.deploy import Deploy
    from harness.watch.service import NotWatched, Rates, Wanted, Where

_TICK_S = 0.25
_UPKEEP_S = 30.0  # between two looks for new services, and for those that could not be watched
_SAVE_S = 5.0
_TO_JUDGE_S = 20.0  # what is judged at the end has this long; the next watch judges the rest
_SPARE_NS = 60 * NS  # a recording may begin so much before the baseline that was asked for


@dataclass(frozen=True, slots=True)
class Settings:
    """What a watch was asked for. Without `wanted`, services are found in the namespace."""

    where: Where
    rates: Rates
    wanted: tuple[Wanted, ...] | None = None
    template: str | None = None
    before_ns: int = 600 * NS
    keep: int = 50
    webhook: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Observer:
    """Who observes a watch: takes its lines, its command, and is told of each judged recording."""

    say: Callable[[str], None]
    command: Sequence[str]
    judged: Callable[[Path], None] = lambda _: None
    missed: Callable[[str, int], None] = lambda _service, _count: None


class Watch:
    """A running watch. Everything but `run` may be asked by another thread."""

    def __init__(self, settings: Settings, api: Api, observer: Observer) -> None:
        self.settings, self.api, self._observer = settings, api, observer
        self.root = settings.where.output
        self.state = kept.load(self.root)
        self.lookouts: dict[str, Lookout] = {}
        self.not_watched: list[NotWatched] = []
        self.began = datetime.now(UTC)
        self.alive_s = 0.0  # when the loop last came round, on the monotonic clock
        self.sender: Sender | None = None
        self._known: dict[str, ClusterEvent] = {}  # the newest event of each object in the namespace
        self._judging = Judging(settings.webhook, self._judged, observer.say)
        self._concluding: set[Deploy] = set()
        self._begun = 0
        self._revisions = dict(self.state.revisions)  # as the watch before this one left them

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
                shared = Shared(self.api, clock, sender, self._observer.say, self._observer.command)
                events = await stack.enter_async_context(watching(self.api, watches, clock))
                group = await stack.enter_async_context(anyio.create_task_group())
                for item in iter_now(events):
                    self._see(item)
                group.start_soon(self._events, events)
                group.start_soon(self._judging.run)
                group.start_soon(self._upkeep, shared)
                group.start_soon(self._saving)
                await self._until(asked, group)
                await self._end(sender)
                group.cancel_scope.cancel()
        except ClusterError as error:
            raise UsageError(f"the cluster at {self.api.server} cannot be watched: {error}") from None
        finally:
            self._save()

    async def _until(self, asked: Asked, group: TaskGroup) -> None:
        while not asked.count and self.sender is not None and not self.sender.gone.is_set():
            self.alive_s = time.monotonic()
            for lookout in list(self.lookouts.values()):
                lookout.tick()
                self._conclude(lookout, group)
            if (begun := sum(lookout.begun for lookout in self.lookouts.values())) != self._begun:
                self._begun = begun
                self._save()  # or a watch that is killed now would call this deploy missed when it is back
            await anyio.sleep(_TICK_S)

    async def _end(self, sender: Sender) -> None:
        """End what is open: partial recordings, and as many verdicts as there is time for."""
        lost = sender.gone.is_set()
        for lookout in self.lookouts.values():
            lookout.end("worker_lost" if lost else "interrupted")
        await sender.stop()
        for lookout in self.lookouts.values():
            for deploy in [*lookout.ended, *self._concluding]:
                await self._concluded(deploy)
            lookout.ended.clear()
        with anyio.move_on_after(_TO_JUDGE_S):
            await self._judging.idle.wait()
        if lost:
            words = sender.last_words.strip().splitlines() or ["it wrote nothing"]
            raise HarnessError(f"the process that sends has ended: {words[-1]}")

    def _conclude(self, lookout: Lookout, group: TaskGroup) -> None:
        while lookout.ended:
            deploy = lookout.ended.pop()
            self._concluding.add(deploy)
            group.start_soon(self._concluded, deploy)

    async def _concluded(self, deploy: Deploy) -> None:
        path = await deploy.conclude()
        self._concluding.discard(deploy)
        self._judging.add(path)

    def _judged(self, path: Path) -> None:
        self._observer.judged(path)
        name = path.name.partition("Z-")[2]
        try:
            prune(self.root, name, self.settings.keep)
        except OSError as error:
            self._observer.say(f"cannot delete {error.filename} (--keep): {error.strerror}")

    async def _events(self, events: anyio.abc.ObjectReceiveStream[Item]) -> None:
        async for item in events:
            self._see(item)

    def _see(self, item: Item) -> None:
        if isinstance(item, ClusterEvent) and item.kind != "Event":
            if item.change == "DELETED":
                self._known.pop(item.uid, None)
            else:
                self._known[item.uid] = item
        for lookout in self.lookouts.values():
            if lookout.concerns(item):
                lookout.see(item)

    async def _upkeep(self, shared: Shared) -> None:
        """Find services, and try again those that could not be watched."""
        while True:
            try:
                await self._find(shared)
            except ClusterError as error:  # it may be away for a while: what is watched goes on
                self._observer.say(f"services cannot be listed now: {error}")
            for lookout in list(self.lookouts.values()):
                if lookout.ready is None or (lookout.stale and lookout.deploy is None):
                    await self._prepare(lookout)
                elif self.sender and self.sender.of(lookout.ready.lane).worn:
                    lookout.renew()
            await anyio.sleep(_UPKEEP_S)

    async def _find(self, shared: Shared) -> None:
        settings = self.settings
        if settings.wanted is None:
            wanted, self.not_watched = await anyio.to_thread.run_sync(self._found)
        else:
            wanted = list(settings.wanted)
        keys = {one.key for one in wanted}
        for one in wanted:
            known = self.lookouts.get(one.key)
            if known is None or known.wanted != one:
                if known is not None:
                    if known.deploy is not None:
                        continue  # after it
                    known.leave()
                self.lookouts[one.key] = Lookout(shared, one, settings.where, settings.before_ns)
        for key in [key for key in self.lookouts if key not in keys]:
            if self.lookouts[key].deploy is None:
                self.lookouts.pop(key).leave()
                self._observer.say(f"{key} is gone from the namespace, and no longer watched")

    async def _prepare(self, lookout: Lookout) -> None:
        before = lookout.why
        fresh = lookout.ready is None
        await lookout.prepare(tuple(self._known.values()))
        if lookout.ready is None:
            if lookout.why != before:
                self._observer.say(f"{lookout.wanted.key} is not watched: {lookout.why}")
            return
        if not fresh:
            return
        ready, key = lookout.ready, lookout.wanted.key
        self._observer.say(f"{key}: watching {ready.resolved.url}, {lookout.wanted.rates.usual:g} requests/s")
        self._say_missed(key, missed(self._revisions.pop(key, ""), lookout.revision), lookout)

    def _say_missed(self, key: str, count: int, lookout: Lookout) -> None:
        """Say what nobody saw: deploys while no watch ran, and one that goes on as it begins."""
        before, now = self.state.revisions.get(key, ""), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        why = (
            f"nobody watched from {self.state.seen} on" if count else "it was under way when the watch began"
        )
        if not count and not lookout.under_way:
            return
        self.state.miss(Missed(key, max(1, count), before, lookout.revision, why, now))
        self._observer.missed(key, max(1, count))
        self._observer.say(f"{key}: missed {max(1, count)} deploy{'s' if count > 1 else ''}: {why}")

    def _found(self) -> tuple[list[Wanted], list[NotWatched]]:
        settings, api = self.settings, self.api
        namespace = settings.where.namespace
        kinds = ("Deployment", "StatefulSet")
        workloads = [one for kind in kinds for one in listed(api, resources.WORKLOADS[kind], namespace)]
        around = surroundings_of(api, api.groups(), namespace)
        return found(
            workloads,
            listed(api, resources.SERVICES, namespace),
            [one for one in around if one["kind"] == "Ingress"],
            settings.template,
            settings.rates,
        )

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

    async def _saving(self) -> None:
        while True:
            await anyio.sleep(_SAVE_S)
            self._save()

    def _save(self) -> None:
        for key, lookout in self.lookouts.items():
            if lookout.ready is not None and lookout.revision:
                self.state.revisions[key] = lookout.revision
        self.state.seen = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        try:
            kept.save(self.root, self.state)
        except OSError as error:
            self._observer.say(f"cannot write {self.root / kept.FILE}: {error.strerror}")


def iter_now(events: anyio.abc.ObjectReceiveStream[Item]) -> list[Item]:
    """Return what a stream holds now: the first lists."""
    found_now: list[Item] = []
    try:
        while True:
            found_now.append(events.receive_nowait())  # type: ignore[attr-defined]
    except anyio.WouldBlock:
        return found_now
