"""The rollout as a run sees it: makes the change, follows it by what the watch tells, says what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness import masking
from harness.cluster import resources as k8s
from harness.cluster.answers import ApiStatusError, ApiUnreachableError
from harness.cluster.reduce import manifest, reduced
from harness.cluster.rollout import (
    Baseline,
    Progress,
    View,
    leaving,
    own,
    pods_of,
    progress,
    revisions,
)
from harness.cluster.stuck import why_stuck
from harness.cluster.trigger import doomed_pod, patch_for, pull, remove_pod
from harness.cluster.wanted import template_of, wanting
from harness.errors import ClusterError
from harness.model import NEVER, ClusterEvent, Mark, RolloutFacts
from harness.run.aftermath import outcome, shown, way_back, what_rolls
from harness.run.command import run_to_its_end
from harness.run.waiting import DOUBT_NS, LOST_AFTER_NS, Waiting
from harness.scenario.trigger import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.clock import Clock
    from harness.cluster.api import Api
    from harness.cluster.watcher import Item
    from harness.recording.write import RunDirectory
    from harness.run.log import Log
    from harness.run.preflight import Subject

BUDGET_PATIENCE_S = 60.0  # how long an eviction that a PodDisruptionBudget refuses is tried again
BUDGET_EVERY_S = 5.0
KEEPS_TEMPLATE = frozenset(
    {"scale", "delete-pod", "evict-pod"}
)  # triggers that leave the pods' template alone
ENDING_S = 10.0  # what a command gets between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True)
class Means:
    """What a change is made with."""

    api: Api
    subject: Subject
    clock: Clock
    directory: RunDirectory
    log: Log
    say: Callable[[str], None]
    base: Path  # what a manifest's path is relative to
    field_manager: str | None
    dry_run: bool
    interrupted: Callable[[], bool]


class Change:
    """One change of one workload."""

    def __init__(self, means: Means, view: View | None = None) -> None:
        self._means = means
        self._view = view or View()  # what the watch has told, of a run's later changes too
        self._first: Baseline | None = None  # as it was when the baseline began to be measured
        self._changed_early = False  # the template was another one in between, before it was ours to change
        self._made = False  # the change was made, or began to be waited for
        self._waiting = Waiting(self._view)
        self._baseline: Baseline | None = None  # of the change that is under way
        self._strayed = ""  # how the template was changed once more, even if it was changed back since
        self._command_failed = ""
        self._way_back_said = False
        self.command_running = False
        self.progress: Progress | None = None

    @property
    def last_progress_ns(self) -> int:
        """When the workload's own counters last moved."""
        return self._view.last_progress_ns

    @property
    def ended_by(self) -> str:
        """Why this change alone is a reason to end the run ("" while it is none): a RunRecord.ended_by."""
        if (
            self.command_running
        ):  # it is not cut off for what it does itself: it may be about to put things right
            return ""
        if self._command_failed:
            return "command_failed"
        if self._view.deleted:
            return "deleted"
        if self._strayed:
            return "changed"
        return "nothing_changed" if self._waiting.overdue(self._means.clock.now_ns()) else ""

    def again(self) -> Change:
        """Return the next change of the same workload, as this one leaves it."""
        return Change(self._means, self._view)

    def take(self, item: Item) -> None:
        """Write down what the watch saw, and follow the rollout by it."""
        if not isinstance(item, ClusterEvent):
            self._means.directory.gap(item)
            self._waiting.gap(item)
            return
        self._means.directory.event(item)
        self._view.apply(item)
        if self._first and not self._made:
            self._changed_early |= template_of(self._view.workload) != self._first.template_before
        begun_ns = self._waiting.see(item)
        if begun_ns != NEVER:
            self._has_begun(begun_ns)
        self._judge(item.t_ns)

    def tick(self) -> None:
        """Let time pass: what may have been an autoscaler's doing, and was not, is the change that was waited for."""
        now_ns, expected = self._means.clock.now_ns(), self._waiting.expected
        if expected and self._waiting.an_autoscaler_did_it():
            size = self._view.workload.get("spec", {}).get("replicas")
            self._means.say(f"an autoscaler made it {size} replicas; the change is still waited for")
            self._waiting.go_on(replace(self._snapshot(), doomed=expected.doomed))
        elif (begun_ns := self._waiting.doubtful(now_ns)) != NEVER:
            self._has_begun(begun_ns)
            self._judge(now_ns)
        elif self._baseline and not self._baseline.template:
            self._judge(now_ns)

    def look(self) -> None:
        """Remember the workload as it is when its baseline begins to be measured."""
        self._first = self._snapshot()
        self._waiting.earliest_ns = self._means.clock.now_ns()

    async def make(self) -> str | None:
        """Make the change. Returns a reason to end the run, or None to go on."""
        means, trigger = self._means, self._means.subject.trigger
        before, self._made = self._snapshot(), True
        means.log.update(
            rollout=RolloutFacts(
                trigger.shown,
                {},
                old_revision=before.old_revision,
                old_pods=before.old_pods,
                replicas=int(before.replicas or len(before.old_pods)),
            )
        )
        if self._changed_early and self._first and self._first.template_before:
            reason = "the workload was changed by somebody else while the baseline was measured; begin the run before that"
            means.log.note(reason)
            means.log.update(rollout=replace(self._facts(), state="changed", reason=reason))
            return "changed"
        if trigger.kind in {"command", "observe"}:
            return self._expect(before)
        try:
            if trigger.kind in {"delete-pod", "evict-pod"}:
                return await self._remove(before)
            return await self._patch(before)
        except ClusterError as error:
            means.log.note(f"the change was refused: {error}")
            means.log.update(rollout=replace(self._facts(), reason=str(error)))
            return "patch_refused"

    def _snapshot(self) -> Baseline:
        pods, now = pods_of(self._view), self._view.workload
        hashes = revisions(self._view, {pod.uid for pod in pods}, inside=True)
        kind = self._means.subject.trigger.kind
        return Baseline(
            old_pods=pods,
            old_revision=hashes[0] if hashes else "",
            template_before=template_of(now),
            template=template_of(now) if kind in KEEPS_TEMPLATE else {},
            foreign=kind in FOREIGN,
            generation=int(now.get("metadata", {}).get("generation") or 0),
            replicas=now.get("spec", {}).get("replicas"),
        )

    def _has_begun(self, t_ns: int) -> None:
        if self._waiting.expected is None:
            return
        self._means.log.mark(Mark.TRIGGER, t_ns)  # no-op where our own command has marked it
        self._baseline, self._waiting.expected = self._waiting.expected, None
        self._means.log.update(rollout=replace(self._facts(), old_pods=self._baseline.old_pods))
        names = ", ".join(p.name for p in self._baseline.old_pods)
        self._means.say(f"the change has begun; old pods: {names}")

    def _facts(self) -> RolloutFacts:
        facts = self._means.log.record.rollout
        if facts is None:
            raise AssertionError("a change without a record of it")
        return facts

    async def _patch(self, before: Baseline) -> str | None:
        means = self._means
        subject, api, facts = means.subject, means.api, means.subject.facts
        patch = patch_for(subject.trigger, subject.workload, datetime.now().astimezone(), means.base)
        means.log.update(rollout=replace(self._facts(), patch=shown(subject.trigger.kind, patch)))
        was = await anyio.to_thread.run_sync(
            lambda: api.get(k8s.WORKLOADS[facts.kind], facts.namespace, facts.name)
        )
        sent_ns = means.clock.now_ns()
        try:
            after = await anyio.to_thread.run_sync(
                lambda: pull(
                    api,
                    subject.trigger,
                    facts,
                    patch,
                    field_manager=means.field_manager,
                    dry_run=means.dry_run,
                )
            )
        except ApiUnreachableError as error:
            self._answer_lost(before, sent_ns, error)
            return None
        if means.dry_run:
            return self._rehearsed()
        if what_rolls(after) == what_rolls(was):
            means.log.note(
                "the change changed nothing that a rollout would follow: the pods' template and number are as they were"
            )
            return "nothing_changed"
        means.log.mark(Mark.TRIGGER, sent_ns)
        template = reduced(facts.kind, after)["spec"]["template"]
        self._begin(replace(before, template=template, generation=int(after["metadata"]["generation"])))
        return None

    async def _remove(self, before: Baseline) -> str | None:
        means = self._means
        trigger, facts = means.subject.trigger, means.subject.facts
        pod = doomed_pod(trigger, [ref.name for ref in before.old_pods])
        uid = next(ref.uid for ref in before.old_pods if ref.name == pod)
        doomed = replace(before, doomed=frozenset({uid}))
        patience = BUDGET_PATIENCE_S
        while not means.interrupted():
            sent_ns = means.clock.now_ns()
            try:
                await anyio.to_thread.run_sync(
                    lambda: remove_pod(means.api, trigger, facts, pod, dry_run=means.dry_run)
                )
            except ApiUnreachableError as error:
                self._answer_lost(doomed, sent_ns, error)
                return None
            except ApiStatusError as error:
                if error.code != 429 or patience <= 0:
                    raise
                means.say(f"not now: {error}")
                patience -= BUDGET_EVERY_S
                await anyio.sleep(BUDGET_EVERY_S)
                continue
            if means.dry_run:
                return self._rehearsed()
            means.log.mark(Mark.TRIGGER, sent_ns)
            self._begin(doomed)
            return None
        return "interrupted"

    def _answer_lost(self, before: Baseline, sent_ns: int, error: ClusterError) -> None:
        """Whether the server made the change is unknown, and it is not sent again: the watch will tell."""
        means = self._means
        means.log.note(f"the answer to the change was lost ({error}); whether it was made, the watch tells")
        if means.dry_run:
            raise error
        means.log.mark(Mark.TRIGGER, sent_ns)
        self._waiting.expected, self._waiting.patience_ns = before, LOST_AFTER_NS
        self._waiting.asked_ns = means.clock.now_ns()

    def _rehearsed(self) -> str:
        self._means.say("dry run: the server accepts the change; nothing was changed")
        return "dry_run"

    def _expect(self, before: Baseline) -> str | None:
        means, trigger = self._means, self._means.subject.trigger
        if means.dry_run:
            means.say(f"dry run: nothing was changed; what would follow: {trigger.shown}")
            return "dry_run"
        self._waiting.expected = before
        if trigger.kind == "command":
            means.log.mark(Mark.TRIGGER, means.clock.now_ns())
            self.command_running = True
            means.say(
                f"running {masking.program(trigger.words)}; its output goes to {means.directory.path / 'command.log'}"
            )
        else:
            means.say("waiting for somebody else's change")
        return None

    async def run_command(self) -> None:
        """Run the trigger's command, where it is one; its output is kept, its exit code judged.

        A run that ends first sends it SIGTERM, with all that it has started, and gives it time to end.
        """
        if not self.command_running:
            return
        try:
            with self._means.directory.command_log() as output:
                failure = await run_to_its_end(self._means.subject.trigger.words, output, ENDING_S)
        except anyio.get_cancelled_exc_class():
            self._means.log.note(
                "the command was still running at the end and was stopped (SIGTERM): command.log tells how far it came"
            )
            raise
        finally:
            self.command_running = False
            self._means.directory.mask_command_log()
        self._waiting.asked_ns = self._means.clock.now_ns()
        if failure:
            self._means.log.note(f"the command failed: {failure} (command.log)")
            self._command_failed = failure

    def _begin(self, baseline: Baseline) -> None:
        self._baseline = baseline
        new = baseline.template != baseline.template_before
        self._means.log.update(rollout=replace(self._facts(), state="progressing", new_template=new))
        facts, trigger = self._means.subject.facts, self._means.subject.trigger
        done = "restarted" if trigger.kind == "restart" else f"{trigger.shown}:"
        self._means.say(
            f"{done} {facts.kind.lower()}/{facts.name}; pods until now: {', '.join(p.name for p in baseline.old_pods)}"
        )
        self._judge(self._means.clock.now_ns())

    def _judge(self, t_ns: int) -> None:
        if self._baseline is None:
            return
        baseline = self._led_to(self._baseline, t_ns)
        now = progress(self._view, baseline, self._means.subject.facts.kind)
        self._strayed = self._strayed or now.changed
        self.progress = now = replace(now, changed=self._strayed)
        if now.status.done:
            self._means.log.mark(Mark.ROLLOUT_DONE, t_ns)
            if now.old_pods == 0 and now.enough:  # while one is too many, one has yet to go
                self._means.log.mark(Mark.OLD_PODS_GONE, t_ns)
            if now.over:
                self._means.log.mark(Mark.ENDPOINTS_SETTLED, t_ns)

    def _led_to(self, baseline: Baseline, t_ns: int) -> Baseline:
        """Find out which template the change leads to. A command may well scale first, and change the template later."""
        asked_ns = self._waiting.asked_ns
        just_ended = asked_ns != NEVER and t_ns <= asked_ns + DOUBT_NS
        by_command = self._means.subject.trigger.kind == "command" and (self.command_running or just_ended)
        found = wanting(baseline, self._view.workload, may_come=by_command)
        if found is not baseline:
            self._baseline = found
            new = found.template != found.template_before
            self._means.log.update(rollout=replace(self._facts(), new_template=new))
            if new:  # whatever was over until now was not all of it
                self._means.log.unmark(Mark.ROLLOUT_DONE, Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
        return found

    async def last_words(self, ended_by: str) -> None:
        """Say what became of the rollout, and keep the manifests as they are now."""
        log = self._means.log
        if log.record.rollout is None or ended_by in {"dry_run", "patch_refused"}:
            return
        if self._facts().state == "changed":  # before it was ours to change
            await self._manifests_after()
            return
        if self._baseline is None:
            if ended_by == "interrupted":
                self.say_way_back()
            reason = self._command_failed or "no change was seen"
            log.update(rollout=replace(self._facts(), state="not_started", reason=reason))
            return
        old = {ref.uid for ref in self._baseline.old_pods}
        new = revisions(self._view, old, inside=False)
        stuck = why_stuck(self._view, old)
        over = NEVER not in {log.record.mark(m) for m in (Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)}
        state, reason = outcome(self.progress, ended_by, stuck, over=over)
        if reason:
            log.note(f"rollout: {reason}")
        gone = leaving(self._view, self._baseline) | (old - own(self._view).keys())
        log.update(
            rollout=replace(
                self._facts(),
                state=state,
                reason=reason,
                new_revision=new[0] if new else "",
                old_pods=tuple(ref for ref in self._baseline.old_pods if ref.uid in gone),
            )
        )
        if ended_by == "interrupted":
            self.say_way_back()
        await self._manifests_after()

    def say_way_back(self) -> None:
        """Say, once, whether the workload was changed, and how to go back."""
        if self._way_back_said or self._means.dry_run:
            return
        self._way_back_said = True
        record = self._means.log.record
        changed = record.mark(Mark.TRIGGER) != NEVER or bool(record.earlier)
        over = record.mark(Mark.TRIGGER) == NEVER or NEVER not in {
            record.mark(m) for m in (Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
        }
        self._means.say(way_back(self._means.subject, changed, over=over))

    async def _manifests_after(self) -> None:
        api, subject = self._means.api, self._means.subject
        facts = subject.facts
        try:
            now = await anyio.to_thread.run_sync(
                lambda: api.get(k8s.WORKLOADS[facts.kind], facts.namespace, facts.name)
            )
        except ClusterError as error:
            self._means.log.note(f"the manifest after the run could not be read: {error}")
            return
        self._means.directory.manifests(
            "after", [manifest(o) for o in (now, *subject.services, *subject.around)]
        )
