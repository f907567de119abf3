"""Decides when a change began that somebody else made, or whose answer was lost. Pure: the caller passes the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.cluster.rollout.progress import an_autoscaler_s, first_sign
from harness.model import NEVER

if TYPE_CHECKING:
    from harness.cluster.rollout.view import Baseline, View
    from harness.model import ClusterEvent, WatchGap

NOTHING_AFTER_NS = 15 * NS  # a command has changed nothing if nothing moves for this long after it
LOST_AFTER_NS = 60 * NS  # the same for a patch whose answer was lost: the API server may be away
DOUBT_NS = 3 * NS  # an autoscaler's Event may come this long after its change
CATCH_UP_NS = 2 * NS  # an event this soon after a gap may have happened during the gap


@dataclass(slots=True)
class Waiting:
    """The change that is expected, and the signs of it so far."""

    view: View
    expected: Baseline | None = None  # the workload before the change; None while nothing is waited for
    asked_ns: int = NEVER  # since when a change that was asked for is to be seen
    patience_ns: int = NOTHING_AFTER_NS
    earliest_ns: int = 0  # when the baseline began to be measured
    _sign_ns: int = NEVER  # when something first moved that an autoscaler may have done
    _seen_ns: int = NEVER  # when that was seen
    _gaps: dict[str, WatchGap] = field(default_factory=dict)  # the last one of each kind

    def gap(self, gap: WatchGap) -> None:
        """Remember a stretch in which a kind was not watched."""
        self._gaps[gap.kind] = gap

    def see(self, event: ClusterEvent) -> int:
        """Return when the change began, judging by this event; NEVER while it has not, or is not sure."""
        if self.expected is None:
            return NEVER
        sign = first_sign(self.view, self.expected)
        if sign in {"template", "restart", "deleted"}:
            # What moved shortly before was part of it: a watch may bring the pods before their workload.
            since_ns = self._since(event)
            return since_ns if self._sign_ns == NEVER else min(since_ns, self._sign_ns)
        if sign and self._sign_ns == NEVER:
            self._sign_ns, self._seen_ns = self._since(event), event.t_ns
        return NEVER

    def doubtful(self, now_ns: int) -> int:
        """Return when the change began, once it is too late for an autoscaler's Event to explain it; else NEVER."""
        sure = self._sign_ns != NEVER and now_ns > self._seen_ns + DOUBT_NS
        return self._sign_ns if self.expected and sure else NEVER

    def an_autoscaler_did_it(self) -> bool:
        """Tell whether an autoscaler did what was seen."""
        moved = self.expected is not None and self._sign_ns != NEVER
        return moved and an_autoscaler_s(self.view, self.expected)  # type: ignore[arg-type]

    def go_on(self, expected: Baseline) -> None:
        """Keep waiting: what was seen was not the change."""
        self.expected, self._sign_ns = expected, NEVER

    def overdue(self, now_ns: int) -> bool:
        """Tell whether a change that was asked for should have been seen by now."""
        return (
            self.expected is not None and self.asked_ns != NEVER and now_ns - self.asked_ns > self.patience_ns
        )

    def _since(self, event: ClusterEvent) -> int:
        """Return the earliest moment at which this can have happened, given the gaps in the watch."""
        gap = self._gaps.get(event.kind)
        if gap and 0 <= event.t_ns - gap.to_ns < CATCH_UP_NS:
            return max(min(gap.from_ns, event.t_ns), self.earliest_ns)
        return event.t_ns
