"""Which step a run is in, and when that one ends, as far as anybody can know. Pure: the caller passes the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model import NEVER
from harness.run.stopping import WARMUP_NS

if TYPE_CHECKING:
    from harness.run.stopping import Limits, Standing

WARMUP, LOAD, BASELINE, LULL, WAITING, ROLLOUT, SETTLING, DRAINING = (
    "warm-up", "load", "baseline", "lull", "waiting", "rollout", "settling", "draining"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A step under way. `until_ns`: when it ends at the earliest; NEVER where nobody knows, as in a rollout."""

    name: str
    from_ns: int
    until_ns: int = NEVER


@dataclass(frozen=True, slots=True)
class Leg:
    """A step that is planned: how long it should take. NEVER: nobody knows."""

    name: str
    lasts_ns: int


def course(limits: Limits, *, rollout: bool, lull_ns: int) -> tuple[Leg, ...]:
    """Return the steps of one rollout, or of a run without one, in order; a drain is too short to plan."""
    lull = (Leg(LULL, lull_ns),) if lull_ns else ()
    if not rollout:
        return (Leg(WARMUP, WARMUP_NS), *lull, Leg(LOAD, limits.duration_ns))
    return (
        Leg(WARMUP, WARMUP_NS),
        Leg(BASELINE, limits.trigger_after_ns),
        *lull,
        Leg(ROLLOUT, limits.rollout_ns),
        Leg(SETTLING, limits.settle_ns),
    )


def step_now(begun: Step, at: Standing, limits: Limits) -> Step:
    """Return the step that a run is in. `begun`: the last step that was begun on purpose."""
    if begun.name != ROLLOUT:
        return begun
    if at.trigger_ns == NEVER:
        return Step(WAITING, begun.from_ns)
    if NEVER in {at.old_pods_gone_ns, at.endpoints_settled_ns} or at.command_running:
        return Step(ROLLOUT, at.trigger_ns)
    over_ns = max(at.old_pods_gone_ns, at.endpoints_settled_ns)
    calm_ns = max(over_ns, at.last_failed_ns if at.clean_before and not at.service_down else NEVER)
    return Step(SETTLING, over_ns, max(calm_ns + limits.settle_ns, at.warmup_end_ns + limits.duration_ns))
