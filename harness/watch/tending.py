"""Which services are watched now: finds them, tries again those that cannot be, and says what was missed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness import masking
from harness.cluster.client import resources
from harness.errors import ClusterError
from harness.model import ClusterEvent
from harness.run.preflight.around import around as surroundings_of, listed
from harness.watch.changed import Missed, missed
from harness.watch.finding import found
from harness.watch.lookout import Lookout

if TYPE_CHECKING:
    from harness.cluster.client.api import Api
    from harness.cluster.watching.watcher import Item
    from harness.watch.deploy import Shared
    from harness.watch.service import NotWatched, Wanted
    from harness.watch.settings import Observer, Settings
    from harness.watch.state import State

_EVERY_S = 30.0  # between two looks for new services, and for those that could not be watched


class Tending:
    """The services of a watch, by name ("deployment/web"), and those that cannot be watched."""

    def __init__(self, settings: Settings, api: Api, observer: Observer, state: State) -> None:
        self.lookouts: dict[str, Lookout] = {}
        self.not_watched: list[NotWatched] = []
        self._settings, self._api, self._observer, self._state = settings, api, observer, state
        self._known: dict[str, ClusterEvent] = {}  # the newest event of each object in the namespace
        # As the watch before this one left them.
        self._revisions, self._seen = dict(state.revisions), state.seen

    def know(self, item: Item) -> None:
        """Remember an object as it is now: a service that is watched later begins with it."""
        if not isinstance(item, ClusterEvent) or item.kind == "Event":
            return
        if item.change == "DELETED":
            self._known.pop(item.uid, None)
        else:
            self._known[item.uid] = item

    def say_missed(self, key: str, count: int, why: str) -> None:
        """Keep and say that deploys are on no record."""
        before, now = self._state.revisions.get(key, ""), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self._state.miss(Missed(key, count, before, self.lookouts[key].revision, why, now))
        self._observer.missed(key, count)
        self._observer.say(f"{key}: missed {count} deploy{'s' if count > 1 else ''}: {why}")

    async def run(self, shared: Shared) -> None:
        """Find services, and try again those that could not be watched, until cancelled."""
        while True:
            try:
                await self._find(shared)
            except ClusterError as error:  # it may be away for a while: what is watched goes on
                self._observer.say(f"services cannot be listed now: {error}")
            for key, lookout in list(self.lookouts.items()):
                if lookout.ready is None or (lookout.stale and lookout.deploy is None):
                    await self._prepare(key, lookout)
                elif shared.sender.of(lookout.ready.lane).worn:
                    lookout.renew()
            await anyio.sleep(_EVERY_S)

    async def _find(self, shared: Shared) -> None:
        settings = self._settings
        wanted = list(settings.wanted) if settings.wanted is not None else await self._found()
        for one in wanted:
            there = self.lookouts.get(one.key)
            if there is not None and (there.wanted == one or there.deploy or there.ended):
                continue  # as it was; or it is exchanged when its deploy is over
            if there is not None:
                there.leave()
            self.lookouts[one.key] = Lookout(shared, one, settings.where, settings.before_ns)
        for key in self.lookouts.keys() - {one.key for one in wanted}:
            if not (self.lookouts[key].deploy or self.lookouts[key].ended):
                self.lookouts.pop(key).leave()
                self._observer.say(f"{key} is gone from the namespace, and no longer watched")

    async def _found(self) -> list[Wanted]:
        known = {one.key for one in self.not_watched}
        wanted, self.not_watched = await anyio.to_thread.run_sync(self._listed)
        for left in self.not_watched:
            if left.key not in known:
                self._observer.say(f"{left.key} is not watched: {left.why}; to do: {left.mend}")
        return wanted

    def _listed(self) -> tuple[list[Wanted], list[NotWatched]]:
        settings, api = self._settings, self._api
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

    async def _prepare(self, key: str, lookout: Lookout) -> None:
        before, fresh = lookout.why, lookout.ready is None
        await lookout.prepare(self._known)
        if lookout.ready is None:
            if lookout.why != before:
                self._observer.say(f"{key} is not watched: {lookout.why}")
            return
        if not fresh:
            return
        url = masking.url(lookout.ready.resolved.url)
        self._observer.say(f"{key}: watching {url}, {lookout.wanted.rates.usual:g} requests/s")
        known = self._revisions.pop(key, "")
        count = missed(known, lookout.revision)
        if count:
            self.say_missed(key, count, f"nobody watched from {self._seen} on")
        elif lookout.under_way and not known:  # else the watch before this one has begun to record it
            self.say_missed(key, 1, "it was under way when the watch began")
