"""When what happened: the phases that `run` marked, the control window, and every pod's lifeline.

A hit belongs to the phase in which it ENDED. What killed it happened then or earlier, so a hit that was in
flight at the trigger and fails afterwards counts against the rollout; and good and failed hits by one rule keep
shares and rates honest. Hits that ended during the warm-up are shown and not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.timeline.delivering import DeliveryStep, delivery_steps
from harness.judge.timeline.draining import drained
from harness.judge.timeline.lifeline import Lifeline  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.timeline.observed import lifelines
from harness.judge.timeline.scaling import Scaling, scalings
from harness.judge.timeline.targets import TargetGroup, target_groups
from harness.model import NEVER, Mark, MarkAt, OtherChange, Phase, WatchGap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import ClusterEvent, RunRecord


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the run, from `from_ns` up to but not including `to_ns`."""

    from_ns: int
    to_ns: int

    @property
    def length_ns(self) -> int:
        """How long it is."""
        return self.to_ns - self.from_ns


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """Where a phase lies."""

    phase: Phase
    span: Span


@dataclass(frozen=True, slots=True)
class Timeline:
    """All moments of a run. Whatever is shown to people is counted from `zero_ns`.

    `zero_ns` is the trigger; without one the end of the warm-up; without that the start. `judged` is all but the
    warm-up. `load` is the part of it in which new hits were sent. `during_ended` tells whether the end of *during*
    was marked; if not, *during* runs to the end of the recording. `baseline` is *before* less a lull: what fails
    there by itself is no fault of the rollout's. `control` is its end, as long as *during*, for latency beside
    latency.
    """

    zero_ns: int
    triggered: bool
    during_ended: bool
    judged: Span
    load: Span
    phases: tuple[PhaseSpan, ...]
    control: Span | None
    marks: tuple[MarkAt, ...]
    pods: tuple[Lifeline, ...]
    gaps: tuple[WatchGap, ...]
    scalings: tuple[Scaling, ...] = ()
    baseline: Span | None = None
    changes: tuple[OtherChange, ...] = ()  # somebody else's, during the rollout
    steps: tuple[DeliveryStep, ...] = ()  # an Argo Rollout's, in time order
    target_groups: tuple[TargetGroup, ...] = ()  # AWS', where they were recorded

    @property
    def came(self) -> int:
        """How many pods were made since the trigger."""
        return sum(pod.created_ns is not None and pod.created_ns >= self.zero_ns - NS for pod in self.pods)

    def phase(self, phase: Phase) -> Span | None:
        """Return where a phase lies, or None when the run had none of it."""
        return next((p.span for p in self.phases if p.phase is phase), None)


def read(
    run: RunRecord,
    events: Sequence[ClusterEvent],
    gaps: Sequence[WatchGap],
    last_hit_ns: int,
    services: Sequence[dict[str, Any]] = (),
) -> Timeline:
    """Lay a run out in time. `last_hit_ns` is when its last hit ended (NEVER without any); `services` lead to the
    pods.
    """
    last_mark_ns = max((m.t_ns for m in run.marks), default=0)
    last_event_ns = max((e.t_ns for e in events), default=0)
    load_end_ns = run.mark(Mark.LOAD_END)
    # The watch may go on after the load; that is no part of what the load can tell.
    end_ns = (
        max(last_mark_ns, last_hit_ns) + 1 if last_hit_ns != NEVER else max(last_mark_ns, last_event_ns) + 1
    )
    start_ns = max(run.mark(Mark.LOAD_START), 0)
    warm_ns = run.mark(Mark.WARMUP_END)
    trigger_ns = run.mark(Mark.TRIGGER)
    if warm_ns == NEVER:
        warm_ns = (
            trigger_ns
            if trigger_ns != NEVER
            else end_ns
            if Mark.LOAD_START in {m.mark for m in run.marks}
            else start_ns
        )
    done = [run.mark(Mark.OLD_PODS_GONE), run.mark(Mark.ENDPOINTS_SETTLED)]
    during_ended = trigger_ns != NEVER and NEVER not in done
    settled_ns = min(max(*done, trigger_ns), end_ns) if during_ended else end_ns

    phases = [
        (Phase.WARMUP, start_ns, warm_ns),
        (Phase.BEFORE, warm_ns, trigger_ns if trigger_ns != NEVER else end_ns),
    ]
    if trigger_ns != NEVER:
        phases += [(Phase.DURING, trigger_ns, settled_ns), (Phase.AFTER, settled_ns, end_ns)]
    spans = tuple(PhaseSpan(phase, Span(a, b)) for phase, a, b in phases if b > a)
    control = baseline = None
    if trigger_ns != NEVER:
        # A lull is no sample of how the service does under this load.
        lull_ns = run.mark(Mark.LULL)
        loaded_ns = lull_ns if warm_ns < lull_ns < trigger_ns else trigger_ns
        baseline = Span(warm_ns, loaded_ns) if loaded_ns > warm_ns else None
        length_ns = min(loaded_ns - warm_ns, settled_ns - trigger_ns)
        control = Span(loaded_ns - length_ns, loaded_ns) if length_ns > 0 else None
    return Timeline(
        zero_ns=next(t for t in (trigger_ns, warm_ns, start_ns) if t != NEVER),
        triggered=trigger_ns != NEVER,
        during_ended=during_ended,
        judged=Span(warm_ns, end_ns),
        load=Span(warm_ns, max(load_end_ns if load_end_ns != NEVER else end_ns, warm_ns)),
        phases=spans,
        control=control,
        marks=run.marks,
        pods=lifelines(run, events, services),
        gaps=tuple(gaps),
        scalings=scalings(run, events),
        baseline=baseline,
        changes=drained(run.changes),
        steps=delivery_steps(run, events),
        target_groups=target_groups(events),
    )
