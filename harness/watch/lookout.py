"""Looks out for the changes of one service, and has each recorded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio.to_thread

from harness.clock import NS
from harness.cluster.rollout.progress import progress
from harness.cluster.rollout.view import View
from harness.cluster.rollout.wanted import as_it_is, template_of
from harness.errors import HarnessError, RecordingError
from harness.k8s import selectors
from harness.model import NEVER, ClusterEvent, WatchGap
from harness.run.change.waiting import Waiting
from harness.run.planning import load_plan
from harness.run.preflight.asking import ask
from harness.run.preflight.workload import inspect
from harness.run.stopping import WARMUP_NS
from harness.watch import changed
from harness.watch.deploy import Deploy, Past, Ready
from harness.watch.events import EventRing
from harness.watch.service import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.cluster.rollout.view import Baseline
    from harness.cluster.watching.watcher import Item
    from harness.watch.deploy import Shared
    from harness.watch.service import Wanted, Where

_PATIENCE_S = 15.0  # for a service's first answers
_EASE_NS = 10 * NS  # between two looks at how a service does
_SERVICE = "kubernetes.io/service-name"


class Lookout:
    """One service of the watch. `ready` is None while it cannot be watched; `why` says why."""

    def __init__(self, shared: Shared, wanted: Wanted, where: Where, before_ns: int) -> None:
        self.wanted = wanted
        self.ready: Ready | None = None
        self.why = "not looked at yet"
        self.deploy: Deploy | None = None
        self.ended: list[Deploy] = []  # to be concluded
        self.unrecorded: list[str] = []  # why a change that was seen is not on record
        self.begun = 0  # recordings
        self.gaps = 0  # stretches in which the watch was blind
        self.under_way = False  # a rollout that began before the watch did has yet to end
        self.stale = False  # something was changed that began no rollout: what is known of it is out of date
        self._shared, self._where, self._before_ns = shared, where, before_ns
        self._view = View()
        self._ring = EventRing()
        self._waiting = Waiting(self._view)
        self._standing: Baseline | None = None
        self._workload = self._view.workload
        self._from_ns = 0  # since when a baseline may be taken
        self._rate = wanted.rates.usual
        self._eased = (0, 0, 0)  # when the rate was last looked at, and what was done and had failed by then

    @property
    def revision(self) -> str:
        """The workload's revision, as last seen. That of a deploy which is on record counts before its controller has
        written it.
        """
        found = changed.revision(self._view.workload)
        fresh = self.deploy is not None and self.deploy.is_deploy
        return changed.following(found) if fresh and found == changed.revision(self._workload) else found

    async def prepare(self, known: Mapping[str, ClusterEvent]) -> None:
        """Find out whether the service can be watched, and begin to send. Sets `ready`, or `why`.

        `known`: the newest event of each object, read when it is ready: it changes meanwhile.
        """
        try:
            run = resolved(self.wanted, self._where)
            plan = load_plan(run, run.targets(run.url), None)
            answers = await ask(plan, timeout_s=min(_PATIENCE_S, plan.timeout_ns / NS))
            api = self._shared.api
            subject = await anyio.to_thread.run_sync(lambda: inspect(api, run, answers.pods, lab=False))
        except HarnessError as error:
            self.why = str(error)
            return
        lane = self._shared.sender.add(plan, run.output) if self.ready is None else self.ready.lane
        fresh = self.ready is None
        self.ready = Ready(run, subject, plan, lane, answers.notes)
        self.why, self.stale = "", False
        if fresh:
            self._rate, self._eased = self.wanted.rates.usual, (0, 0, 0)
            self._from_ns = self._shared.clock.now_ns() + WARMUP_NS
            there = [event for event in known.values() if self.concerns(event)]
            self._ring = EventRing(there)
            for event in there:
                self._view.apply(event)
            self.under_way = not self._over()
            self._expect()

    def renew(self) -> None:
        """Begin to send anew: dictionaries of a lane grow with each pod that it meets."""
        if self.ready is None or self.deploy is not None:
            return
        self._shared.sender.remove(self.ready.lane)
        self.ready = replace(
            self.ready, lane=self._shared.sender.add(self.ready.plan, self.ready.resolved.output)
        )
        self._from_ns = self._shared.clock.now_ns() + WARMUP_NS
        self._rate, self._eased = self.wanted.rates.usual, (0, 0, 0)
        self._expect()

    def leave(self) -> None:
        """Send nothing more to this service."""
        if self.ready is not None:
            self._shared.sender.remove(self.ready.lane)
            self.ready = None

    def concerns(self, item: Item) -> bool:
        """Tell whether an event, or a gap, is about this service."""
        if self.ready is None:
            return False
        facts = self.ready.subject.facts
        if isinstance(item, WatchGap):
            return item.kind in {facts.kind, "Pod", "ReplicaSet", "EndpointSlice", "Event"}
        labels = item.object.get("metadata", {}).get("labels") or {}
        match item.kind:
            case "Pod" | "ReplicaSet":
                return selectors.selected(self.ready.subject.workload["spec"].get("selector"), labels)
            case "EndpointSlice":
                return labels.get(_SERVICE, item.name) in facts.services
            case "Event":
                about = str((item.object.get("involvedObject") or {}).get("name") or "")
                return about == facts.name or about.startswith(f"{facts.name}-")
            case _:
                return (item.kind, item.name) == (facts.kind, facts.name)

    def see(self, item: Item) -> None:
        """Take in an event or a gap that concerns this service."""
        if isinstance(item, WatchGap):
            self.gaps += item.blind and item.kind != "Event"
        if self.deploy is not None:
            if self._another(item) and self.deploy.over_for_long():
                self.end("settled")
            else:
                self._ring.add(item)
                self._while_writable(lambda deploy: deploy.see(item))
                return
        self._ring.add(item)
        if isinstance(item, WatchGap):
            self._waiting.gap(item)
            return
        generation = _generation(self._view)
        self._view.apply(item)
        begun_ns = self._waiting.see(item)
        if begun_ns != NEVER:
            self._begin(begun_ns, item)
        elif _generation(self._view) != generation:
            self.stale = True

    def tick(self) -> None:
        """Let time pass."""
        now = self._shared.clock.now_ns()
        if self.deploy is not None:
            if why := self._while_writable(lambda deploy: deploy.tick()):
                self.end(why)
            return
        self._ring.forget(now - self._before_ns)
        if self.ready is None:
            return
        self._ease(now)
        if self.under_way:
            self.under_way = not self._over()
            self._expect()
        elif (begun_ns := self._waiting.doubtful(now)) != NEVER:
            self._begin(begun_ns, None)

    def end(self, why: str) -> None:
        """End the recording that is open, and look out for the next change. The recording waits in `ended`."""
        if self.deploy is None or self.ready is None:
            return
        with suppress(OSError):  # its rows are complete all the same
            self.deploy.end(why)
        self.ended.append(self.deploy)
        self.deploy, self.stale = None, True
        if self._view.deleted:  # one of the same name that comes later is another workload
            self.leave()
            self.why = "the workload was deleted"
            self._view, self._ring = View(), EventRing()
            return
        self._send_at(self.wanted.rates.usual)
        # What was lost in this deploy is no part of the next one's baseline.
        self._from_ns = self._shared.clock.now_ns()
        self.under_way = not self._over()
        self._expect()

    def _begin(self, begun_ns: int, item: ClusterEvent | None) -> None:
        if self.ready is None or self._standing is None:
            return
        now = self._shared.clock.now_ns()
        zero_ns = max(0, min(begun_ns, max(self._from_ns, now - self._before_ns)))
        past = Past(zero_ns, begun_ns, self._standing, self._workload, self._ring.since(zero_ns))
        self._waiting.expected = None
        try:
            self.deploy = Deploy(self._shared, self.ready, self._view, past)
        except (OSError, RecordingError) as error:
            self.unrecorded.append(f"it could not be recorded: {error}")
            self._expect()
            return
        self.begun += 1
        self._send_at(self.wanted.rates.boost or self.wanted.rates.usual)
        if self.wanted.rates.boost:
            self.deploy.log.note(
                f"from the change on {self.wanted.rates.boost:g} requests/s were sent (--boost)"
            )
        self._shared.say(f"{self.wanted.key}: {self.deploy.what}; recording {self.deploy.directory.path}")
        if item is not None:
            self.deploy.see(item, again=True)

    def _ease(self, now_ns: int) -> None:
        """Ask a service that is in trouble less often."""
        if self.ready is None or now_ns - self._eased[0] < _EASE_NS:
            return
        counts = self._shared.sender.of(self.ready.lane).counts
        before, self._eased = self._eased, (now_ns, counts.completed, counts.failed)
        if before[0] and before[1] <= counts.completed and counts.completed:
            done, failed = counts.completed - before[1], counts.failed - before[2]
            self._send_at(self.wanted.rates.eased(self._rate, (now_ns - before[0]) / NS, done, failed))

    def _send_at(self, rate: float) -> None:
        if self.ready is not None and rate != self._rate:
            self._shared.sender.change_rate(self.ready.lane, rate)
            self._rate, self._eased = rate, (0, 0, 0)

    def _while_writable(self, act: Callable[[Deploy], str | None]) -> str | None:
        """Do something with the deploy that is open; return a reason to end it: a full disk is one."""
        if self.deploy is None:
            return None
        try:
            return act(self.deploy)
        except OSError as error:
            self._shared.say(
                f"{self.deploy.directory.path} cannot be written: {error.strerror}; it ends here"
            )
            self.end("crash")
            return None

    def _expect(self) -> None:
        """Remember the workload as it is: what differs from this is a change."""
        standing = self._standing = as_it_is(self._view, keeps=False, foreign=True)
        self._workload = self._view.workload
        self._waiting = Waiting(self._view, earliest_ns=self._from_ns)
        # While a rollout goes on, pods go all the time: only another template is news then.
        self._waiting.expected = replace(standing, old_pods=()) if self.under_way else standing

    def _another(self, item: Item) -> bool:
        """Tell whether an event shows another template than the newest known."""
        if not isinstance(item, ClusterEvent) or self.ready is None:
            return False
        known = item.kind == self.ready.subject.facts.kind and item.change != "DELETED"
        return known and template_of(item.object) != template_of(self._view.workload)

    def _over(self) -> bool:
        if self.ready is None or not self._view.workload:
            return False
        standing = as_it_is(self._view, keeps=True, foreign=True)
        return progress(self._view, standing, self.ready.subject.facts.kind).over


def _generation(view: View) -> int:
    return int(view.workload.get("metadata", {}).get("generation") or 0)
