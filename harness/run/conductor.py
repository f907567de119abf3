"""Takes a run through its phases: warm-up, baseline, trigger, rollout until it has settled, drain."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from harness.clock import NS
from harness.model import NEVER, Mark, Phase
from harness.run.observing import Snapshot
from harness.run.steps import BASELINE, DRAINING, LOAD, LULL, ROLLOUT, WARMUP, Step, course, step_now
from harness.run.stopping import (
    WARMUP_NS,
    Disturbance,
    Limits,
    Standing,
    Tally,
    baseline_share,
    is_down,
    why_stop,
)

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from harness.clock import Clock
    from harness.cluster.rollout.podnews import PodNews
    from harness.cluster.watching.watcher import Item
    from harness.load.interface import RunningLoad
    from harness.run.change.change import Change
    from harness.run.holding import Hold
    from harness.run.log import Log
    from harness.run.observing import RunObserver
    from harness.scenario.resolve import Resolved

TICK_S = 0.1
INTERRUPTED_DRAIN_NS = 2 * NS


class Conductor:
    """Drives one run through its phases. Decides nothing itself: `stopping` and `rollout` do."""

    def __init__(
        self,
        resolved: Resolved,
        change: Change | None,
        clock: Clock,
        log: Log,
        observer: RunObserver,
        limits: Limits,
        hold: Hold,
    ) -> None:
        self._hold = hold
        self._resolved = resolved
        self._change = change
        self._clock = clock
        self._log = log
        self._observer = observer
        self._limits = limits
        self._history: deque[Tally] = deque(maxlen=400)  # 40 s of ticks
        self._good, self._last_good_ns = 0, NEVER  # hits that ended well, and when that number last grew
        self._down = False
        self._clean_before = True
        self._load_ended = False
        self._warmup_end_ns = NEVER
        self._step = Step(WARMUP, NEVER)
        self._news: list[PodNews] = []
        self._rollouts_begun = 1

    def see(self, item: Item) -> None:
        """Let the change that is under way see what was recorded."""
        if self._change:
            self._news += self._change.see(item)

    async def conduct(self, load: RunningLoad, group: TaskGroup) -> None:
        """Warm up, look at the baseline, roll out, wait until it is over and settled, end the load."""
        self._log.mark(Mark.LOAD_START, load.started_ns)
        warm_ns = load.started_ns + WARMUP_NS
        # Without a rollout there is no trigger for a lull to precede, so it comes at the end of the warm-up: neither
        # the numbers nor the duration include it, and what the connections meet when they send again is judged.
        lull_ns = 0 if self._change else self._resolved.scenario.load.lull
        self._warmup_end_ns = warmup_end = warm_ns + lull_ns
        self._step = Step(WARMUP, load.started_ns, warm_ns)
        ended_by = await self._until(load, self._limits, warm_ns)
        if lull_ns:
            ended_by = ended_by or await self._lull(load, self._limits, warmup_end, "after the warm-up")
        self._log.mark(Mark.WARMUP_END, warmup_end)
        if ended_by is None and self._change:
            ended_by = await self._rollouts(load, group, warmup_end)
        elif ended_by is None:
            self._step = Step(LOAD, warmup_end, warmup_end + self._limits.duration_ns)
            ended_by = await self._until(load, self._limits, None) or "duration"
        if self._hold.lost_to:
            self._log.note(f"another run has taken over the workload: {self._hold.lost_to}")
        self._log.update(ended_by=ended_by, workers_lost=load.lost, worker_clocks=load.clocks)
        self._observer.say(f"ending the load ({ended_by.replace('_', ' ')})")
        drain = INTERRUPTED_DRAIN_NS if ended_by == "interrupted" else self._resolved.scenario.load.drain
        await self._end_load(load, drain)
        for number, words in load.last_words.items():
            if words.strip():
                self._log.note(f"worker {number} ended with: {words.strip().splitlines()[-1]}")
        self._log.update(
            workers_lost=load.lost,
            worker_clocks=load.clocks,
            backed_off=load.backed_off,
            error_samples=dict(load.error_samples),
        )
        if ended_by == "settled":
            self._log.mark(Mark.SETTLED, self._log.record.mark(Mark.LOAD_END))
        if self._change:
            await self._change.last_words(ended_by)

    def leave(self, why: str) -> None:
        """Write down where the load ends when the run is left midway and nobody waits for the hits in flight."""
        with suppress(OSError):  # that nothing can be written may be why
            self._log.mark(Mark.LOAD_END, self._clock.now_ns())
            self._log.update(ended_by=why, state="interrupted")
        if self._change and self._log.record.rollout:
            self._change.say_way_back()

    async def _rollouts(self, load: RunningLoad, group: TaskGroup, warmup_end_ns: int) -> str:
        """Make the change as often as the scenario asks, each time from a settled state. Return what ended the last
        one.
        """
        total = self._resolved.scenario.rollout.rollouts
        begin_ns = warmup_end_ns
        for number in range(1, total + 1):
            last = number == total
            self._rollouts_begun = number
            # The load lasts at least its duration: only the last rollout has to wait for that.
            limits = self._limits if last else replace(self._limits, duration_ns=0)
            ended_by = await self._rollout(load, group, begin_ns, limits)
            if last or ended_by != "settled" or self._load_ended:
                return ended_by
            begin_ns = self._clock.now_ns()
            self._log.mark(Mark.SETTLED, begin_ns)
            await self._change_made().last_words(ended_by)
            self._log.next_round()
            self._change = self._change_made().again()
            self._history.clear()
            self._observer.say(f"rollout {number} of {total} has settled")
        raise AssertionError("a run without a rollout to make")

    async def _rollout(self, load: RunningLoad, group: TaskGroup, begin_ns: int, limits: Limits) -> str:
        """Look at the baseline from `begin_ns`, make the change, wait until it is over and settled."""
        before, change = load.counts, self._change_made()
        change.baseline_begins()
        trigger_ns = begin_ns + limits.trigger_after_ns
        self._step = Step(BASELINE, begin_ns, trigger_ns)
        ended_by = await self._until(load, limits, trigger_ns)
        load.baseline()
        ended_by = ended_by or self._unsound(baseline_share(before, load.counts))
        if lull_ns := self._resolved.scenario.load.lull:
            until_ns = self._clock.now_ns() + lull_ns
            ended_by = ended_by or await self._lull(load, limits, until_ns, "before the trigger")
        self._step = Step(ROLLOUT, self._clock.now_ns())
        ended_by = ended_by or await change.make()
        group.start_soon(change.run_command)
        return ended_by or await self._until(load, limits, None) or "settled"

    def _change_made(self) -> Change:
        if self._change is None:
            raise AssertionError("a rollout without a change")
        return self._change

    async def _lull(self, load: RunningLoad, limits: Limits, until_ns: int, when: str) -> str | None:
        """Let the connections rest until a moment, and all send again."""
        lull_ns = self._resolved.scenario.load.lull
        self._log.note(f"for {lull_ns / NS:g} s {when} one request a second was sent (--lull)")
        self._log.mark(Mark.LULL, self._clock.now_ns())
        self._step = Step(LULL, self._clock.now_ns(), until_ns)
        load.lull()
        ended_by = await self._until(load, limits, until_ns)
        load.resume()
        return ended_by

    async def _until(self, load: RunningLoad, limits: Limits, until_ns: int | None) -> str | None:
        """Let time pass until a moment, or until there is a reason to stop the run; return that reason."""
        while True:
            if self._change:
                self._change.tick()
            now = self._clock.now_ns()
            counts = load.counts
            self._history.append(Tally(now, counts.completed, counts.failed))
            if counts.completed - counts.failed > self._good:
                self._good, self._last_good_ns = counts.completed - counts.failed, now
            triggered = self._log.record.mark(Mark.TRIGGER) != NEVER
            # Before the trigger a service that is down is an unsound baseline, and nothing will be changed.
            if (
                not self._down
                and not self._load_ended
                and (triggered or self._change is None)
                and is_down(self._history)
            ):
                self._down = True
                self._log.note(
                    "over half of the requests failed, or none was answered, for 30 s: the load was stopped"
                )
                if triggered:
                    await self._end_load(load, self._resolved.scenario.load.drain)
            standing = self._standing(now, load)
            self._show(load, step_now(self._step, standing, limits), now)
            reason = why_stop(standing, limits, rollout=self._change is not None)
            if reason or (until_ns is not None and now >= until_ns):
                return reason
            await anyio.sleep(TICK_S if until_ns is None else min(TICK_S, max(0.0, (until_ns - now) / NS)))

    def _show(self, load: RunningLoad, step: Step, now_ns: int) -> None:
        news, self._news = tuple(self._news), []
        rollout, lull_ns = self._change is not None, self._resolved.scenario.load.lull
        self._observer.show(
            Snapshot(
                now_ns,
                self._phase(),
                load.counts,
                self._change.progress if self._change else None,
                step=step,
                course=course(self._limits, rollout=rollout, lull_ns=lull_ns),
                failures=tuple(load.first_failures.values()),
                news=news,
                rollout=self._rollouts_begun,
                rollouts=self._resolved.scenario.rollout.rollouts if rollout else 1,
                held=self._resolved.scenario.stream is not None,
            )
        )

    async def _show_drain(self, load: RunningLoad, drain_ns: int) -> None:
        begun_ns = self._clock.now_ns()
        while True:
            self._show(load, Step(DRAINING, begun_ns, begun_ns + drain_ns), self._clock.now_ns())
            await anyio.sleep(TICK_S)

    def _standing(self, now: int, load: RunningLoad) -> Standing:
        record = self._log.record
        return Standing(
            now_ns=now,
            warmup_end_ns=self._warmup_end_ns,
            trigger_ns=record.mark(Mark.TRIGGER),
            old_pods_gone_ns=record.mark(Mark.OLD_PODS_GONE),
            endpoints_settled_ns=record.mark(Mark.ENDPOINTS_SETTLED),
            last_failed_ns=load.counts.last_failed_ns,
            last_good_ns=self._last_good_ns,
            in_flight=load.counts.in_flight,
            clean_before=self._clean_before,
            last_progress_ns=self._change.last_progress_ns if self._change else NEVER,
            change_ended_by=self._ended_by(),
            disturbed=self._change.disturbance if self._change else Disturbance(),
            command_running=bool(self._change and self._change.command_running),
            service_down=self._down,
            workers_lost=bool(load.lost),
            interrupted=self._observer.interrupted(),
        )

    def _ended_by(self) -> str:
        """Why the change, or another run's claim on the workload, ends this run; "" while neither does."""
        if self._hold.lost_to:
            return "changed"
        return self._change.ended_by if self._change else ""

    def _unsound(self, failed_share: float) -> str | None:
        """Name the reason not to touch anything: a baseline that fails by itself."""
        self._clean_before = failed_share == 0
        if failed_share <= self._resolved.scenario.max_baseline_failures:
            return None
        self._log.note(
            f"baseline unsound: {failed_share:.2%} of the requests failed before the trigger; nothing was changed"
        )
        return "baseline_unsound"

    def _phase(self) -> Phase:
        record = self._log.record
        if record.mark(Mark.WARMUP_END) == NEVER:
            return Phase.WARMUP
        if record.mark(Mark.TRIGGER) == NEVER:
            return Phase.BEFORE
        return Phase.DURING if record.mark(Mark.ENDPOINTS_SETTLED) == NEVER else Phase.AFTER

    async def _end_load(self, load: RunningLoad, drain_ns: int) -> None:
        if self._load_ended:
            return
        self._load_ended = True
        self._log.mark(Mark.LOAD_END, self._clock.now_ns())
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._show_drain, load, drain_ns)
            await load.finish(drain_ns)
            beside.cancel_scope.cancel()
        self._log.mark(Mark.DRAIN_END, self._clock.now_ns())
