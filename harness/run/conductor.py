"""One run's way through its phases: warm up, baseline, trigger, until it is over and settled, drain."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from harness.clock import NS
from harness.cluster import api as k8s
from harness.cluster.reduce import manifest, reduced
from harness.cluster.rollout import Baseline, Progress, View, pods_of, progress, revisions
from harness.cluster.trigger import restart, restart_patch
from harness.errors import ClusterError
from harness.model import NEVER, ClusterEvent, LiveCounts, Mark, Phase, RolloutFacts
from harness.run.stopping import WARMUP_NS, Limits, Standing, baseline_share, is_down, why_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.streams.memory import MemoryObjectReceiveStream

    from harness.clock import Clock
    from harness.cluster.api import Api
    from harness.cluster.watcher import Item
    from harness.load.generator import Load
    from harness.recording.write import RunDirectory
    from harness.run.log import Log
    from harness.run.preflight import Subject
    from harness.scenario.resolve import Resolved

TICK_S = 0.1
INTERRUPTED_DRAIN_NS = 2 * NS


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is to show while a run goes on."""

    elapsed_ns: int
    phase: Phase
    counts: LiveCounts
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Follower:
    """Who follows a run: lines to say, pictures of the moment, and a way to end it."""

    say: Callable[[str], None]
    show: Callable[[Snapshot], None]
    interrupted: Callable[[], bool]
    command: Sequence[str] = ()


class Conductor:
    """Drives one run through its phases. Decides nothing itself: `stopping` and `rollout` do."""

    def __init__(
        self,
        resolved: Resolved,
        subject: Subject | None,
        api: Api | None,
        clock: Clock,
        directory: RunDirectory,
        log: Log,
        follower: Follower,
    ) -> None:
        self._resolved = resolved
        self._subject = subject
        self._api = api
        self._clock = clock
        self._directory = directory
        self._log = log
        self._follower = follower
        self._view = View()
        self._baseline: Baseline | None = None
        self._progress: Progress | None = None
        self._history: deque[tuple[int, int, int]] = deque(maxlen=400)  # 40 s of ticks
        self._down = False
        self._load_ended = False
        scenario = resolved.scenario
        deadline = (subject.workload.get("spec") or {}).get("progressDeadlineSeconds") if subject else None
        self._limits = Limits(
            duration_ns=scenario.load.duration,
            trigger_after_ns=scenario.trigger_after_ns,
            settle_ns=scenario.rollout.settle,
            max_time_ns=scenario.rollout.max_time,
            progress_deadline_ns=int(deadline or 600) * NS,
        )

    async def keep_health(self, load: Load) -> None:
        """Write down the generator's own health as it comes."""
        async for sample in load.samples:
            self._directory.health(sample)

    async def keep_events(self, events: MemoryObjectReceiveStream[Item]) -> None:
        """Write down what the watch sees, and follow the rollout by it."""
        async for item in events:
            if isinstance(item, ClusterEvent):
                self._directory.event(item)
                self._view.apply(item)
                self._judge_progress(item.t_ns)
            else:
                self._directory.gap(item)

    async def conduct(self, load: Load) -> None:
        """Warm up, look at the baseline, roll out, wait until it is over and settled, end the load."""
        self._log.mark(Mark.LOAD_START, load.started_ns)
        warmup_end = load.started_ns + WARMUP_NS
        ended_by = await self._until(load, warmup_end, warmup_end)
        before = load.counts
        self._log.mark(Mark.WARMUP_END, warmup_end)
        if ended_by is None and self._resolved.rollout_wanted:
            ended_by = await self._until(load, warmup_end, warmup_end + self._limits.trigger_after_ns)
            load.baseline()
            if ended_by is None:
                ended_by = await self._trigger(baseline_share(before, load.counts))
        if ended_by is None:
            ended_by = await self._until(load, warmup_end, None) or "duration"
        self._log.update(ended_by=ended_by, workers_lost=load.lost)
        self._follower.say(f"ending the load ({ended_by.replace('_', ' ')})")
        await self._end_load(
            load, INTERRUPTED_DRAIN_NS if ended_by == "interrupted" else self._resolved.scenario.load.drain
        )
        self._log.update(workers_lost=load.lost)
        await self._last_words(ended_by)

    async def _until(self, load: Load, warmup_end_ns: int, until_ns: int | None) -> str | None:
        """Let time pass until a moment, or until there is a reason to stop the run; return that reason."""
        while True:
            now = self._clock.now_ns()
            counts = load.counts
            self._history.append((now, counts.completed, counts.failed))
            if not self._down and not self._load_ended and is_down(self._history):
                self._down = True
                self._log.note("over half of the requests failed for 30 s: the load was stopped")
                if self._log.record.mark(Mark.TRIGGER) != NEVER:
                    await self._end_load(load, self._resolved.scenario.load.drain)
            self._follower.show(Snapshot(now, self._phase(), counts, self._progress))
            reason = why_stop(
                self._standing(now, warmup_end_ns, load), self._limits, rollout=self._resolved.rollout_wanted
            )
            if reason or (until_ns is not None and now >= until_ns):
                return reason
            await anyio.sleep(TICK_S if until_ns is None else min(TICK_S, max(0.0, (until_ns - now) / NS)))

    def _standing(self, now: int, warmup_end_ns: int, load: Load) -> Standing:
        record = self._log.record
        return Standing(
            now_ns=now,
            warmup_end_ns=warmup_end_ns,
            trigger_ns=record.mark(Mark.TRIGGER),
            old_pods_gone_ns=record.mark(Mark.OLD_PODS_GONE),
            endpoints_settled_ns=record.mark(Mark.ENDPOINTS_SETTLED),
            last_failed_ns=load.counts.last_failed_ns,
            last_progress_ns=self._view.last_progress_ns,
            changed=bool(self._progress and self._progress.changed),
            service_down=self._down,
            workers_lost=bool(load.lost),
            interrupted=self._follower.interrupted(),
        )

    def _phase(self) -> Phase:
        record = self._log.record
        if record.mark(Mark.WARMUP_END) == NEVER:
            return Phase.WARMUP
        if record.mark(Mark.TRIGGER) == NEVER:
            return Phase.BEFORE
        return Phase.DURING if record.mark(Mark.ENDPOINTS_SETTLED) == NEVER else Phase.AFTER

    async def _trigger(self, failed_share: float) -> str | None:
        """Patch the workload if the baseline is sound. Returns a reason to stop, or None to go on."""
        scenario, subject, api = self._resolved.scenario, self._subject, self._api
        if subject is None or api is None:
            raise AssertionError("a rollout without a cluster")
        if failed_share > scenario.max_baseline_failures:
            self._log.note(
                f"baseline unsound: {failed_share:.2%} of the requests failed before the trigger; nothing was patched"
            )
            return "baseline_unsound"
        facts, patch = subject.facts, restart_patch(datetime.now().astimezone())
        pods, old_revisions = pods_of(self._view), revisions(self._view, set(self._view.pods), inside=True)
        replicas = int(self._view.workload.get("spec", {}).get("replicas") or len(pods))
        rollout = RolloutFacts(
            "restart",
            patch,
            old_revision=old_revisions[0] if old_revisions else "",
            old_pods=pods,
            replicas=replicas,
        )
        dry_run = self._resolved.dry_run
        if not dry_run:
            self._log.mark(Mark.TRIGGER, self._clock.now_ns())
        self._log.update(rollout=rollout)
        try:
            after = await anyio.to_thread.run_sync(
                lambda: restart(api, facts.kind, facts.namespace, facts.name, patch, dry_run=dry_run)
            )
        except ClusterError as error:
            self._log.note(f"the patch was refused: {error}")
            self._log.update(rollout=replace(rollout, reason=str(error)))
            return "patch_refused"
        if dry_run:
            self._follower.say("dry run: the server accepts the patch; nothing was changed")
            return "dry_run"
        small = reduced(facts.kind, after)
        self._baseline = Baseline(
            pods, rollout.old_revision, small["spec"]["template"], int(after["metadata"]["generation"])
        )
        self._log.update(rollout=replace(rollout, state="progressing"))
        self._follower.say(
            f"restarted {facts.kind.lower()}/{facts.name}; old pods: {', '.join(p.name for p in pods)}"
        )
        return None

    def _judge_progress(self, t_ns: int) -> None:
        if self._baseline is None or self._subject is None:
            return
        now = progress(self._view, self._baseline, self._subject.facts.kind)
        self._progress = now
        if now.status.done:
            self._log.mark(Mark.ROLLOUT_DONE, t_ns)
            if now.old_pods == 0:
                self._log.mark(Mark.OLD_PODS_GONE, t_ns)
            if now.over:
                self._log.mark(Mark.ENDPOINTS_SETTLED, t_ns)

    async def _end_load(self, load: Load, drain_ns: int) -> None:
        if self._load_ended:
            return
        self._load_ended = True
        self._log.mark(Mark.LOAD_END, self._clock.now_ns())
        await load.finish(drain_ns)
        self._log.mark(Mark.DRAIN_END, self._clock.now_ns())

    async def _last_words(self, ended_by: str) -> None:
        """Say what became of the rollout, and keep the manifests as they are now."""
        record = self._log.record
        if ended_by == "settled":
            self._log.mark(Mark.SETTLED, record.mark(Mark.LOAD_END))
        if record.rollout is None or self._subject is None or self._baseline is None:
            return
        old = {ref.uid for ref in self._baseline.old_pods}
        new = revisions(self._view, old, inside=False)
        state, reason = _outcome(self._progress, ended_by)
        if reason:
            self._log.note(f"rollout: {reason}")
        self._log.update(
            rollout=replace(record.rollout, state=state, reason=reason, new_revision=new[0] if new else "")
        )
        if ended_by == "interrupted" and state != "complete":
            facts = self._subject.facts
            self._follower.say(
                f"{facts.kind.lower()}/{facts.name} was restarted and is still rolling out by itself; follow it with: "
                f"kubectl -n {facts.namespace} rollout status {facts.kind.lower()}/{facts.name}"
            )
        await self._manifests_after()

    async def _manifests_after(self) -> None:
        api, subject = self._api, self._subject
        if api is None or subject is None:
            return
        facts = subject.facts
        try:
            now: dict[str, Any] = await anyio.to_thread.run_sync(
                lambda: api.get(k8s.WORKLOADS[facts.kind], facts.namespace, facts.name)
            )
        except ClusterError as error:
            self._log.note(f"the manifest after the run could not be read: {error}")
            return
        self._directory.manifests("after", [manifest(now), *(manifest(s) for s in subject.services)])


def _outcome(now: Progress | None, ended_by: str) -> tuple[str, str]:
    """Return the rollout's state and reason at the end of a run."""
    if now is None:
        return "not_started", "no change was seen after the patch"
    if now.over:
        return "complete", ""
    if now.changed:
        return "changed", now.changed
    if ended_by == "rollout_stalled":
        return "stalled", now.status.failed or now.status.message
    return (
        "progressing",
        now.status.message if not now.status.done else f"{now.old_pods} old pods are still there",
    )
