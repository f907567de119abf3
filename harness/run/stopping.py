"""When a run is over, and why. Pure: the caller passes the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from harness.clock import NS
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import LiveCounts

WARMUP_NS = 2 * NS
GIVE_UP_EXTRA_NS = 30 * NS  # on top of the workload's own progressDeadlineSeconds
DOWN_NS = 30 * NS
SILENT_NS = 5 * NS


class Tally(NamedTuple):
    """Running totals of the hits at one moment."""

    t_ns: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The time limits of a scenario."""

    duration_ns: int  # of the load, counted from the warm-up's end
    trigger_after_ns: int  # counted from the warm-up's end
    settle_ns: int
    max_time_ns: int  # of the whole run
    progress_deadline_ns: int = 600 * NS
    rollout_ns: int = (
        NEVER  # what the rollout should take, estimated from the manifest; nothing is stopped by it
    )


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What somebody else's hand made of a rollout: it is seen to its end all the same, for what is lost meanwhile is
    lost.
    """

    there: bool = False
    deleted_ns: int = NEVER  # when the workload was seen to be deleted
    at_rest_ns: int = NEVER  # since when no pod comes or goes; of a deleted workload: since none is left
    paused: bool = False
    given_up: bool = False  # its own controller aborted the rollout: it will not be over by itself


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands, on the run's clock. NEVER for what has not happened."""

    now_ns: int
    warmup_end_ns: int
    trigger_ns: int = NEVER
    old_pods_gone_ns: int = NEVER
    endpoints_settled_ns: int = NEVER
    last_failed_ns: int = NEVER
    last_good_ns: int = NEVER  # when a hit was last seen to end well
    in_flight: int = 0
    clean_before: bool = True  # no hit failed between the warm-up and the trigger
    last_progress_ns: int = NEVER
    change_ended_by: str = (
        ""  # the change itself is a reason to end: changed, deleted, command_failed, nothing_changed
    )
    disturbed: Disturbance = field(default_factory=Disturbance)
    command_running: bool = False  # the trigger's command has not ended yet
    service_down: bool = False
    workers_lost: bool = False
    interrupted: bool = False


def why_stop(at: Standing, limits: Limits, *, rollout: bool) -> str | None:
    """Name the reason to end the run now (a `RunRecord.ended_by`), or None to go on."""
    if at.interrupted or at.workers_lost:
        return "interrupted" if at.interrupted else "worker_lost"
    lasted = at.now_ns >= at.warmup_end_ns + limits.duration_ns
    reasons = {
        "max_time": at.now_ns >= limits.max_time_ns,
        "duration": not rollout and lasted,
        "service_down": not rollout and at.service_down,
        at.change_ended_by: bool(at.change_ended_by),
        "deleted": _gone(at, limits),
        "changed": at.disturbed.there and (_settled(at, limits) or _at_rest(at, limits)),
        "rollout_stalled": _stuck(at, limits) or _given_up(at, limits),
        "settled": _settled(at, limits) and lasted and not at.command_running,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _over(at: Standing) -> bool:
    return at.trigger_ns != NEVER and NEVER not in {at.old_pods_gone_ns, at.endpoints_settled_ns}


def _stuck(at: Standing, limits: Limits) -> bool:
    if at.trigger_ns == NEVER or _over(at):
        return False
    return (
        at.now_ns - max(at.last_progress_ns, at.trigger_ns) > limits.progress_deadline_ns + GIVE_UP_EXTRA_NS
    )


def _given_up(at: Standing, limits: Limits) -> bool:
    """Tell whether a rollout that its own controller aborted has come to rest."""
    since_ns = at.disturbed.at_rest_ns
    waited = since_ns != NEVER and at.now_ns >= since_ns + limits.settle_ns
    return at.disturbed.given_up and waited and at.trigger_ns != NEVER and not _over(at)


def _gone(at: Standing, limits: Limits) -> bool:
    """Tell whether nothing more is to be seen of a workload that was deleted: its rollout will never be over."""
    deleted_ns = at.disturbed.deleted_ns
    if deleted_ns == NEVER:
        return False
    return at.disturbed.at_rest_ns != NEVER or at.now_ns >= deleted_ns + limits.settle_ns


def _at_rest(at: Standing, limits: Limits) -> bool:
    """Tell whether a rollout that was paused, and will not be over by itself, has come to rest."""
    since_ns = at.disturbed.at_rest_ns
    return at.disturbed.paused and since_ns != NEVER and at.now_ns >= since_ns + limits.settle_ns


def _settled(at: Standing, limits: Limits) -> bool:
    # A service that is down no longer gets any load, so there is no later failure to wait for. And one that loses a
    # request now and then even without a rollout would never settle.
    last_failed = at.last_failed_ns if at.clean_before and not at.service_down else NEVER
    return (
        _over(at)
        and (at.service_down or not _silent(at))
        and at.now_ns >= max(at.old_pods_gone_ns, at.endpoints_settled_ns, last_failed) + limits.settle_ns
    )


def _silent(at: Standing) -> bool:
    """Tell whether hits are in flight and none has ended for a while, well or badly: nobody knows yet what became of
    them.
    """
    if not at.in_flight or at.last_good_ns == NEVER:
        return False
    return at.now_ns - at.last_good_ns >= SILENT_NS and at.last_failed_ns <= at.last_good_ns


def baseline_share(before: LiveCounts, after: LiveCounts) -> float:
    """Return the share of failed hits between two counts; 1.0 when nothing was completed at all."""
    completed = after.completed - before.completed
    return (after.failed - before.failed) / completed if completed else 1.0


def is_down(history: Sequence[Tally]) -> bool:
    """Tell whether over half of the hits failed in every second of the last 30 s.

    `history` is oldest first, about ten tallies a second. A second in which nothing was completed counts as down:
    nobody was served in it.
    """
    if not history or history[-1].t_ns - history[0].t_ns < DOWN_NS:
        return False
    end_ns = history[-1].t_ns
    marks = [history[-1]]
    for tally in reversed(history):
        if marks[-1].t_ns - tally.t_ns >= NS:
            marks.append(tally)
        if end_ns - tally.t_ns >= DOWN_NS:
            break
    return all(
        (late.failed - early.failed) * 2 > (late.completed - early.completed)
        or late.completed == early.completed
        for late, early in pairwise(marks)
    )
