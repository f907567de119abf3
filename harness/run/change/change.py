"""The one change of a run: makes it or waits for it, and says when it is a reason to end the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from harness import masking
from harness.cluster.rollout.view import Baseline, View
from harness.errors import ClusterError
from harness.model import NEVER, Mark, RolloutFacts
from harness.run.change.aftermath import way_back
from harness.run.change.command import run_to_its_end
from harness.run.change.ending import keep_manifests, write_outcome
from harness.run.change.making import send_patch, send_removal
from harness.run.change.tracker import RolloutTracker
from harness.run.stopping import Disturbance

if TYPE_CHECKING:
    from harness.cluster.rollout.podnews import PodNews
    from harness.cluster.rollout.progress import Progress
    from harness.cluster.watching.watcher import Item
    from harness.run.change.tools import Tools

ENDING_S = 10.0  # what a command gets between SIGTERM and SIGKILL


class Change:
    """One change of one workload. What it sees has been recorded already: see keeping.py."""

    def __init__(self, tools: Tools, view: View | None = None) -> None:
        self._tools = tools
        # The view is of all of a run: a later change of it begins with what is known.
        self.tracker = RolloutTracker(tools, view or View())
        self._command_failed = ""
        self._way_back_said = False

    @property
    def progress(self) -> Progress | None:
        """How far the rollout is; None before it began."""
        return self.tracker.progress

    @property
    def command_running(self) -> bool:
        """Whether the trigger's command has yet to end."""
        return self.tracker.command_running

    @property
    def last_progress_ns(self) -> int:
        """When the workload's own counters last moved. A pause that ends by itself is progress all the while."""
        if self.tracker.pauses_for_a_while:
            return self._tools.clock.now_ns()
        return self.tracker.view.last_progress_ns

    @property
    def ended_by(self) -> str:
        """Why this change alone is a reason to end the run ("" while it is none): a RunRecord.ended_by."""
        if self.command_running:  # never cut off for what it does itself: it may be about to put things right
            return ""
        if self._command_failed:
            return "command_failed"
        if (
            self.tracker.view.deleted and self.tracker.baseline is None
        ):  # there is no rollout to see the end of
            return "deleted"
        return "nothing_changed" if self.tracker.waiting.overdue(self._tools.clock.now_ns()) else ""

    @property
    def disturbance(self) -> Disturbance:
        """What somebody else's hand made of the rollout."""
        tracker = self.tracker
        if self.command_running:  # it may be about to put things right
            return Disturbance()
        return Disturbance(
            tracker.disturbed, tracker.deleted_ns, tracker.at_rest_ns, tracker.paused, tracker.given_up
        )

    def again(self) -> Change:
        """Return the next change of the same workload, as this one leaves it."""
        return Change(self._tools, self.tracker.view)

    def see(self, item: Item) -> tuple[PodNews, ...]:
        """Take in an event or a gap that has been recorded. Return what it tells of a pod."""
        return self.tracker.see(item)

    def tick(self) -> None:
        """Let time pass."""
        self.tracker.tick()

    def baseline_begins(self) -> None:
        """Remember the workload as it is when its baseline begins to be measured."""
        self.tracker.remember()

    async def make(self) -> str | None:
        """Make the change. Returns a reason to end the run, or None to go on."""
        tools, trigger = self._tools, self._tools.subject.trigger
        before = self.tracker.snapshot()
        self.tracker.baseline_ends()
        tools.log.update(
            rollout=RolloutFacts(
                trigger.shown,
                {},
                old_revision=before.old_revision,
                old_pods=before.old_pods,
                replicas=int(before.replicas or len(before.old_pods)),
            )
        )
        if self.tracker.changed_early:
            reason = (
                "somebody else changed the workload while the baseline was measured; start the run before that"
                " change"
            )
            tools.log.note(reason)
            tools.log.update_rollout(state="changed", reason=reason)
            return "changed"
        if trigger.kind in {"command", "observe"}:
            return self._expect(before)
        try:
            if trigger.kind in {"delete-pod", "evict-pod"}:
                return await send_removal(tools, self.tracker, before)
            return await send_patch(tools, self.tracker, before)
        except ClusterError as error:
            tools.log.note(f"the change was refused: {error}")
            tools.log.update_rollout(reason=str(error))
            return "patch_refused"

    def _expect(self, before: Baseline) -> str | None:
        tools, trigger = self._tools, self._tools.subject.trigger
        if tools.dry_run:
            tools.say(f"dry run: nothing was changed; what would follow: {trigger.shown}")
            return "dry_run"
        self.tracker.waiting.expected = before
        if trigger.kind == "command":
            tools.log.mark(Mark.TRIGGER, tools.clock.now_ns())
            self.tracker.command_running = True
            tools.say(
                f"running {masking.program(trigger.words)}; its output goes to {tools.directory.path / 'command.log'}"
            )
        else:
            tools.say("waiting for somebody else's change")
        return None

    async def run_command(self) -> None:
        """Run the trigger's command, where it is one; its output is kept, its exit code judged.

        A run that ends first sends it SIGTERM, with all that it has started, and gives it time to end.
        """
        if not self.command_running:
            return
        tools = self._tools
        try:
            with tools.directory.command_log() as output:
                failure = await run_to_its_end(tools.subject.trigger.words, output, ENDING_S)
        except anyio.get_cancelled_exc_class():
            tools.log.note(
                "the command was still running at the end and was stopped (SIGTERM): command.log shows how far it"
                " came"
            )
            raise
        finally:
            self.tracker.command_running = False
            tools.directory.mask_command_log()
        self.tracker.waiting.asked_ns = tools.clock.now_ns()
        if failure:
            tools.log.note(f"the command failed: {failure} (command.log)")
            self._command_failed = failure

    async def last_words(self, ended_by: str) -> None:
        """Say what became of the rollout, and keep the manifests as they are now."""
        log, baseline = self._tools.log, self.tracker.baseline
        if log.record.rollout is None or ended_by in {"dry_run", "patch_refused"}:
            return
        if log.rollout.state == "changed":  # before it was ours to change
            await keep_manifests(self._tools)
            return
        if baseline is None:
            if ended_by == "interrupted":
                self.say_way_back()
            log.update_rollout(state="not_started", reason=self._command_failed or "no change was seen")
            return
        write_outcome(self._tools, self.tracker, baseline, ended_by)
        if ended_by == "interrupted":
            self.say_way_back()
        await keep_manifests(self._tools)

    def say_way_back(self) -> None:
        """Say, once, whether the workload was changed, and how to go back."""
        if self._way_back_said or self._tools.dry_run:
            return
        self._way_back_said = True
        record = self._tools.log.record
        changed = record.mark(Mark.TRIGGER) != NEVER or bool(record.earlier)
        over = record.mark(Mark.TRIGGER) == NEVER or NEVER not in {
            record.mark(m) for m in (Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
        }
        self._tools.say(way_back(self._tools.subject, changed, over=over))
