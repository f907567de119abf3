"""Tracks one rollout by what the watch saw: when it began, how far it is, what else changed. Sends nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cluster.permission.lock import MANAGER
from harness.cluster.rollout.hands import Hands
from harness.cluster.rollout.podnews import PodNews, pod_news
from harness.cluster.rollout.progress import Progress, progress
from harness.cluster.rollout.view import doomed
from harness.cluster.rollout.wanted import as_it_is, template_of, wanting
from harness.k8s import argo
from harness.k8s.argosteps import happenings
from harness.model import NEVER, ClusterEvent, Mark
from harness.run.change.waiting import DOUBT_NS, Waiting
from harness.scenario.trigger import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.cluster.rollout.view import Baseline, View
    from harness.cluster.watching.watcher import Item
    from harness.model import OtherChange
    from harness.run.change.tools import Tools

# Triggers that leave the pods' template alone.
KEEPS_TEMPLATE = frozenset({"scale", "delete-pod", "evict-pod"})


class RolloutTracker:
    """One rollout of one workload. Marks its moments in the run's record."""

    def __init__(self, tools: Tools, view: View) -> None:
        self._tools = tools
        self.view = view
        self.waiting = Waiting(view)
        self.baseline: Baseline | None = None  # of the change that is under way
        self.progress: Progress | None = None
        self.strayed = ""  # how the template was changed once more, even if it was changed back since
        self.changed_early = False  # the template was changed while the baseline was measured
        self.command_running = False
        self.at_rest_ns = NEVER  # since when no pod comes or goes; NEVER while one does
        self.deleted_ns = NEVER  # when the workload was seen to be deleted, after the change had begun
        self._hands: Hands | None = None  # sees what others change, once the change has begun
        self._first: Baseline | None = None  # as it was when the baseline began to be measured

    def see(self, item: Item) -> tuple[PodNews, ...]:
        """Take in an event or a gap, and follow the rollout by it. Return what it tells of a pod."""
        if not isinstance(item, ClusterEvent):
            self.waiting.gap(item)
            return ()
        news = pod_news(self.view, item)
        before = self.view.workload
        self.view.apply(item)
        if item.kind == argo.KIND and before and self.baseline:
            for happening in happenings(before, self.view.workload):
                self._tools.say(f"{item.name}: {happening.words}")
        if self._first:
            self.changed_early |= template_of(self.view.workload) != self._first.template_before
        begun_ns = self.waiting.see(item)
        if begun_ns != NEVER:
            self.has_begun(begun_ns)
        self._judge(item.t_ns)
        if self._hands and self.baseline:
            own = self._by_command(item.t_ns)
            self._others(self._hands.see(item, self.baseline, own_tool=own), item.t_ns)
            self._rename()
        return news

    def tick(self) -> None:
        """Let time pass: a sign that may have been an autoscaler's, and was not, is the change that was waited for."""
        now_ns, expected = self._tools.clock.now_ns(), self.waiting.expected
        if expected and self.waiting.an_autoscaler_did_it():
            size = self.view.workload.get("spec", {}).get("replicas")
            self._tools.say(f"an autoscaler set {size} replicas; still waiting for the change")
            self.waiting.go_on(replace(self.snapshot(), doomed=expected.doomed))
        elif (begun_ns := self.waiting.doubtful(now_ns)) != NEVER:
            self.has_begun(begun_ns)
            self._judge(now_ns)
        elif self.baseline and not self.baseline.template:
            self._judge(now_ns)
        if self._hands and self.baseline:
            own = self._by_command(now_ns)
            self._others(self._hands.tick(now_ns, self.baseline, own_tool=own), now_ns)

    def remember(self) -> None:
        """Remember the workload as it is when its baseline begins to be measured."""
        self._first = self.snapshot()
        self.waiting.earliest_ns = self._tools.clock.now_ns()

    def baseline_ends(self) -> None:
        """Say that the change is ours to make from here on: what the template becomes is no early change."""
        if self._first and not self._first.template_before:  # nothing was known of it then
            self.changed_early = False
        self._first = None

    @property
    def disturbed(self) -> bool:
        """Whether somebody else has changed what the rollout is about, or how it goes on."""
        changes = self._tools.log.record.changes
        return bool(self.strayed) or any(change.disturbs for change in changes)

    @property
    def paused(self) -> bool:
        """Whether the rollout is paused: it will not be over by itself."""
        return bool(self.view.workload.get("spec", {}).get("paused"))

    @property
    def given_up(self) -> bool:
        """Whether an Argo Rollout was aborted: it will not be over by itself."""
        if self.baseline is None or self._tools.subject.facts.kind != argo.KIND:
            return False
        return argo.standing(self.view.workload, self.baseline.generation).failed == argo.ABORTED

    @property
    def pauses_for_a_while(self) -> bool:
        """Whether an Argo Rollout pauses, and will go on by itself."""
        held = argo.pause(self.view.workload) if self.baseline else None
        return held is not None and held.timed

    def begin(self, baseline: Baseline, after: dict[str, Any] | None = None) -> None:
        """Follow a change that the server has accepted; `baseline` says where it leads, `after` is the workload as it
        left it.
        """
        self.baseline = baseline
        self._hands = Hands(self.view, baseline, ours=MANAGER, after=after)
        new = baseline.template != baseline.template_before
        self._tools.log.update_rollout(state="progressing", new_template=new)
        now_ns = self._tools.clock.now_ns()
        self._judge(now_ns)
        self._others(self._hands.look(now_ns, baseline, own_tool=False), now_ns)

    def has_begun(self, t_ns: int) -> None:
        """Take the change that was waited for to have begun at a moment."""
        if self.waiting.expected is None:
            return
        tools = self._tools
        tools.log.mark(Mark.TRIGGER, t_ns)  # no-op where our own command has marked it
        expected, self.waiting.expected = self.waiting.expected, None
        self.baseline = replace(expected, doomed=doomed(expected, self.view.workload))
        tools.log.update_rollout(old_pods=self.baseline.old_pods)
        names = ", ".join(p.name for p in self.baseline.old_pods)
        tools.say(f"the change has begun; old pods: {names}")
        self._hands = Hands(self.view, self.baseline, ours=MANAGER)

    def snapshot(self) -> Baseline:
        """Return the workload as it is now."""
        kind = self._tools.subject.trigger.kind
        return as_it_is(self.view, keeps=kind in KEEPS_TEMPLATE, foreign=kind in FOREIGN)

    def _judge(self, t_ns: int) -> None:
        if self.baseline is None:
            return
        baseline = self._led_to(self.baseline, t_ns)
        now = progress(self.view, baseline, self._tools.subject.facts.kind)
        self.strayed = self.strayed or now.changed
        self.progress = now = replace(now, changed=self.strayed)
        if not now.at_rest:
            self.at_rest_ns = NEVER
        elif self.at_rest_ns == NEVER:
            self.at_rest_ns = t_ns
        if now.status.done:
            log = self._tools.log
            log.mark(Mark.ROLLOUT_DONE, t_ns)
            if now.old_pods == 0 and now.enough:  # while one is too many, one has yet to go
                log.mark(Mark.OLD_PODS_GONE, t_ns)
            if now.over:
                log.mark(Mark.ENDPOINTS_SETTLED, t_ns)

    def _others(self, changes: Iterable[OtherChange], t_ns: int) -> None:
        """Write down what somebody else changed. Whatever was over until now was not all of it."""
        tools = self._tools
        for change in changes:
            tools.log.change(change)
            if change.kind == "deleted":
                self.deleted_ns = t_ns
                tools.say(f"{change.told}; the load goes on until its pods are gone")
            elif change.disturbs:
                tools.say(f"{change.told}; the load goes on until pods and endpoints have settled")
            else:
                tools.say(change.told)
            if change.disturbs:
                tools.log.unmark(Mark.ROLLOUT_DONE, Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
                self.at_rest_ns = NEVER
                self._judge(t_ns)

    def _rename(self) -> None:
        """Give a change of size to the autoscaler whose Event has come since."""
        if self._hands is None:
            return
        log = self._tools.log
        changes = tuple(map(self._hands.renamed, log.record.changes))
        if changes != log.record.changes:
            log.update(changes=changes)

    def _by_command(self, t_ns: int) -> bool:
        """Whether the trigger's command is at work, or has only just ended."""
        asked_ns = self.waiting.asked_ns
        just_ended = asked_ns != NEVER and t_ns <= asked_ns + DOUBT_NS
        return self._tools.subject.trigger.kind == "command" and (self.command_running or just_ended)

    def _led_to(self, baseline: Baseline, t_ns: int) -> Baseline:
        """Find out which template the change leads to. A command may well scale first, and change the template
        later.
        """
        found = wanting(baseline, self.view.workload, may_come=self._by_command(t_ns))
        if found is not baseline:
            self.baseline = found
            new = found.template != found.template_before
            self._tools.log.update_rollout(new_template=new)
            if new:  # whatever was over until now was not all of it
                self._tools.log.unmark(Mark.ROLLOUT_DONE, Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
        return found
