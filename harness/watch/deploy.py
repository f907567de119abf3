"""One deploy that somebody else makes, recorded as an ordinary run: its baseline is what was sent lately."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from harness.clock import NS, Clock
from harness.cluster.watching.reduce import manifest
from harness.model import NEVER, Mark, RolloutFacts
from harness.recording.write import RunDirectory
from harness.run.change.ending import keep_manifests, write_outcome
from harness.run.change.tools import Tools
from harness.run.change.tracker import RolloutTracker
from harness.run.log import Log, first_record
from harness.run.stopping import Disturbance, Limits, Standing, Tally, is_down, why_stop
from harness.watch import changed
from harness.watch.events import shifted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.cluster.client.api import Api
    from harness.cluster.offset import OffsetBounds
    from harness.cluster.rollout.view import Baseline, Object, View
    from harness.cluster.watching.watcher import Item
    from harness.load.lanes.sender import Sender
    from harness.model import LoadPlan
    from harness.run.preflight.workload import Subject
    from harness.scenario.resolve import Resolved

_TALLIES = 200  # at four a second, more than the 30 s that tell a service that is down
_SETTLED_NS = 10 * NS  # after which another deploy ends this one's recording instead of spoiling it
_DEADLINE_S = 600
_LAST_HIT_S = 15.0  # on top of a request's timeout, before the recording is closed without its last hit


@dataclass(frozen=True, slots=True)
class Shared:
    """What all services of a watch share."""

    api: Api
    clock: Clock
    sender: Sender
    say: Callable[[str], None]
    command: Sequence[str]
    server_clock: Callable[[], OffsetBounds | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Ready:
    """A service that gets requests: what is known of it before any deploy."""

    resolved: Resolved
    subject: Subject
    plan: LoadPlan
    lane: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """What a recording begins with, on the watch's clock."""

    zero_ns: int  # its beginning: the baseline's
    begun_ns: int  # the change's
    expected: Baseline  # the workload before it
    workload: Object  # the same, as it was last seen
    items: Sequence[Item]  # events since `zero_ns`


class Deploy:
    """One recording, from the first sign of a change until pods and endpoints have settled."""

    def __init__(self, shared: Shared, ready: Ready, view: View, past: Past) -> None:
        """Begin the recording. Raises RecordingError or OSError when it cannot be written."""
        self._shared, self._ready, self._zero = shared, ready, past.zero_ns
        self._clock = Clock(
            shared.clock.monotonic_ns + past.zero_ns,
            time.time_ns() - (shared.clock.now_ns() - past.zero_ns),
        )
        resolved, subject = ready.resolved, ready.subject
        self.directory = RunDirectory.create(resolved.output, resolved.name(), datetime.now(UTC))
        self._log = Log(
            self.directory,
            first_record(resolved, ready.plan.targets, self._clock, shared.command, Path.cwd()),
        )
        self._counted_ns = past.zero_ns
        self._recording = shared.sender.keep(ready.lane, self.directory.path, past.zero_ns)
        for item in past.items:
            self.directory.keep(shifted(item, past.zero_ns))
        self.directory.manifests(
            "before", [manifest(o) for o in (subject.workload, *subject.services, *subject.around)]
        )
        self.what = changed.in_words(past.workload, view)
        self.is_deploy = changed.is_deploy(past.workload, view)
        self._log.update(
            cluster=subject.facts,
            path=subject.path,
            server_clock_ns=shared.server_clock(),
            notes=(*ready.notes, *subject.notes, changed.NOTE + self.what),
            rollout=RolloutFacts(
                subject.trigger.shown,
                {},
                state="progressing",  # a recording that is cut off here must not say that nothing had begun
                old_revision=past.expected.old_revision,
                old_pods=past.expected.old_pods,
                replicas=int(past.expected.replicas or len(past.expected.old_pods)),
            ),
        )
        self._log.mark(Mark.LOAD_START, 0)
        self._log.mark(Mark.WARMUP_END, 0)
        view.last_progress_ns = NEVER
        self._tracker = RolloutTracker(self._tools(), view)
        self._tracker.waiting.expected = past.expected
        self._tracker.has_begun(past.begun_ns - past.zero_ns)
        self._clean_before = not any(
            one.failed for one in shared.sender.of(ready.lane).health if one.t_ns > past.zero_ns
        )
        self._limits = Limits(
            duration_ns=0,
            trigger_after_ns=0,
            settle_ns=resolved.scenario.rollout.settle,
            max_time_ns=past.begun_ns - past.zero_ns + resolved.scenario.rollout.max_time,
            progress_deadline_ns=int(
                (subject.workload.get("spec") or {}).get("progressDeadlineSeconds") or _DEADLINE_S
            )
            * NS,
        )
        self._tallies: deque[Tally] = deque(maxlen=_TALLIES)
        self._good, self._last_good_ns = 0, NEVER
        self._down = False

    @property
    def log(self) -> Log:
        """The run's record."""
        return self._log

    def see(self, item: Item, *, again: bool = False) -> None:
        """Take in an event or a gap. `again`: it is on record already, for it was what began this deploy."""
        mine = shifted(item, self._zero)
        if not again:
            self.directory.keep(mine)
        self._tracker.see(mine)

    def tick(self) -> str | None:
        """Let time pass; return a reason to end the recording."""
        self._tracker.tick()
        now, counts = self._clock.now_ns(), self._shared.sender.of(self._ready.lane).counts
        self._keep_health()
        self._tallies.append(Tally(now, counts.completed, counts.failed))
        if counts.completed - counts.failed > self._good:
            self._good, self._last_good_ns = counts.completed - counts.failed, now
        if not self._down and is_down(self._tallies):
            self._down = True
            self._log.note("over half of the requests failed, or none was answered, for 30 s")
        tracker, record = self._tracker, self._log.record
        standing = Standing(
            now_ns=now,
            warmup_end_ns=0,
            trigger_ns=record.mark(Mark.TRIGGER),
            old_pods_gone_ns=record.mark(Mark.OLD_PODS_GONE),
            endpoints_settled_ns=record.mark(Mark.ENDPOINTS_SETTLED),
            last_failed_ns=max(counts.last_failed_ns - self._zero, NEVER),
            last_good_ns=self._last_good_ns,
            in_flight=counts.in_flight,
            clean_before=self._clean_before,
            last_progress_ns=tracker.view.last_progress_ns,
            disturbed=Disturbance(tracker.disturbed, tracker.deleted_ns, tracker.at_rest_ns, tracker.paused),
            service_down=self._down,
            workers_lost=self._shared.sender.gone.is_set(),
        )
        return why_stop(standing, self._limits, rollout=True)

    def over_for_long(self) -> bool:
        """Tell whether pods and endpoints settled so long ago that another deploy is not this one's matter."""
        record = self._log.record
        settled_ns = [record.mark(mark) for mark in (Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)]
        if NEVER in settled_ns or self._tracker.disturbed:
            return False
        return self._clock.now_ns() - max(settled_ns) >= min(_SETTLED_NS, self._limits.settle_ns)

    def end(self, why: str) -> None:
        """End the load of this recording now. `conclude` waits for what is still in flight."""
        now = self._clock.now_ns()
        self._log.update(ended_by=why, workers_lost=(0,) if why == "worker_lost" else ())
        self._log.mark(Mark.LOAD_END, now)
        self._shared.sender.end(self._ready.lane, self._recording, self._zero + now)

    async def conclude(self) -> Path:
        """Wait for the last hit, and write down how it went. Return the recording's folder."""
        log, why = self._log, self._log.record.ended_by
        with anyio.move_on_after(self._ready.plan.timeout_ns / NS + _LAST_HIT_S):
            await self._shared.sender.closed(self._recording)
        log.mark(Mark.DRAIN_END, self._clock.now_ns())
        self._keep_health()
        if why == "settled":
            log.mark(Mark.SETTLED, log.record.mark(Mark.LOAD_END))
        if self.deploys > 1:
            log.note(
                f"{self.deploys - 1} more came before this one had settled; all of them are in this recording"
            )
        if self._tracker.baseline is not None:
            write_outcome(self._tools(), self._tracker, self._tracker.baseline, why)
        if why != "interrupted":
            await keep_manifests(self._tools())
        log.update(
            error_samples=dict(self._shared.sender.of(self._ready.lane).samples),
            state="interrupted" if why in {"interrupted", "worker_lost"} else "complete",
        )
        self.directory.close()
        return self.directory.path

    @property
    def deploys(self) -> int:
        """How many deploys the recording holds: one that comes upon another is in the same."""
        more = sum(one.kind in {"template", "undone"} for one in self._log.record.changes)
        return int(self.is_deploy) + more

    def _keep_health(self) -> None:
        end_ns = self._log.record.mark(Mark.LOAD_END)
        for one in self._shared.sender.of(self._ready.lane).health:
            # A second that began before the recording counts hits that are not in it.
            if one.t_ns <= self._counted_ns or one.t_ns - NS < self._zero:
                continue
            if end_ns != NEVER and one.t_ns > self._zero + end_ns:
                break
            self._counted_ns = one.t_ns
            self.directory.health(replace(one, t_ns=one.t_ns - self._zero))

    def _tools(self) -> Tools:
        resolved = self._ready.resolved
        return Tools(
            api=self._shared.api,
            subject=self._ready.subject,
            clock=self._clock,
            directory=self.directory,
            log=self._log,
            say=lambda line: self._shared.say(f"{resolved.name()}: {line}"),
            base=resolved.base,
            field_manager=None,
            dry_run=False,
            interrupted=lambda: False,
        )
