"""Tracks one rollout by what the watch saw: when it began, how far it is, what else changed. Sends nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.cluster.rollout.progress import Progress, progress
from harness.cluster.rollout.view import Baseline, View, pods_of, revisions
from harness.cluster.rollout.wanted import template_of, wanting
from harness.model import NEVER, ClusterEvent, Mark
from harness.run.change.waiting import DOUBT_NS, Waiting
from harness.scenario.trigger import FOREIGN

if TYPE_CHECKING:
    from harness.cluster.watching.watcher import Item
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
        self._first: Baseline | None = None  # as it was when the baseline began to be measured

    def see(self, item: Item) -> None:
        """Take in an event or a gap, and follow the rollout by it."""
        if not isinstance(item, ClusterEvent):
            self.waiting.gap(item)
            return
        self.view.apply(item)
        if self._first:
            self.changed_early |= template_of(self.view.workload) != self._first.template_before
        begun_ns = self.waiting.see(item)
        if begun_ns != NEVER:
            self.has_begun(begun_ns)
        self._judge(item.t_ns)

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

    def remember(self) -> None:
        """Remember the workload as it is when its baseline begins to be measured."""
        self._first = self.snapshot()
        self.waiting.earliest_ns = self._tools.clock.now_ns()

    def baseline_ends(self) -> None:
        """Say that the change is ours to make from here on: what the template becomes is no early change."""
        if self._first and not self._first.template_before:  # nothing was known of it then
            self.changed_early = False
        self._first = None

    def begin(self, baseline: Baseline) -> None:
        """Follow a change that the server has accepted; `baseline` says where it leads."""
        self.baseline = baseline
        new = baseline.template != baseline.template_before
        self._tools.log.update_rollout(state="progressing", new_template=new)
        self._judge(self._tools.clock.now_ns())

    def has_begun(self, t_ns: int) -> None:
        """Take the change that was waited for to have begun at a moment."""
        if self.waiting.expected is None:
            return
        tools = self._tools
        tools.log.mark(Mark.TRIGGER, t_ns)  # no-op where our own command has marked it
        self.baseline, self.waiting.expected = self.waiting.expected, None
        tools.log.update_rollout(old_pods=self.baseline.old_pods)
        names = ", ".join(p.name for p in self.baseline.old_pods)
        tools.say(f"the change has begun; old pods: {names}")

    def snapshot(self) -> Baseline:
        """Return the workload as it is now."""
        pods, now = pods_of(self.view), self.view.workload
        hashes = revisions(self.view, {pod.uid for pod in pods}, inside=True)
        kind = self._tools.subject.trigger.kind
        return Baseline(
            old_pods=pods,
            old_revision=hashes[0] if hashes else "",
            template_before=template_of(now),
            template=template_of(now) if kind in KEEPS_TEMPLATE else {},
            foreign=kind in FOREIGN,
            generation=int(now.get("metadata", {}).get("generation") or 0),
            replicas=now.get("spec", {}).get("replicas"),
        )

    def _judge(self, t_ns: int) -> None:
        if self.baseline is None:
            return
        baseline = self._led_to(self.baseline, t_ns)
        now = progress(self.view, baseline, self._tools.subject.facts.kind)
        self.strayed = self.strayed or now.changed
        self.progress = now = replace(now, changed=self.strayed)
        if now.status.done:
            log = self._tools.log
            log.mark(Mark.ROLLOUT_DONE, t_ns)
            if now.old_pods == 0 and now.enough:  # while one is too many, one has yet to go
                log.mark(Mark.OLD_PODS_GONE, t_ns)
            if now.over:
                log.mark(Mark.ENDPOINTS_SETTLED, t_ns)

    def _led_to(self, baseline: Baseline, t_ns: int) -> Baseline:
        """Find out which template the change leads to. A command may well scale first, and change the template later."""
        asked_ns = self.waiting.asked_ns
        just_ended = asked_ns != NEVER and t_ns <= asked_ns + DOUBT_NS
        by_command = self._tools.subject.trigger.kind == "command" and (self.command_running or just_ended)
        found = wanting(baseline, self.view.workload, may_come=by_command)
        if found is not baseline:
            self.baseline = found
            new = found.template != found.template_before
            self._tools.log.update_rollout(new_template=new)
            if new:  # whatever was over until now was not all of it
                self._tools.log.unmark(Mark.ROLLOUT_DONE, Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
        return found
