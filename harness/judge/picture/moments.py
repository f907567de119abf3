"""Where to look: the span of each rollout, the bursts of each cause, and what Kubernetes warned of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.causes.matching import NOT_THE_ROLLOUT, episodes
from harness.judge.timeline.timeline import Span
from harness.model import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.judge.picture.failures import Failures, Ids
    from harness.judge.timeline.timeline import Timeline
    from harness.model import ClusterEvent

MOST_WARNINGS = 1000
MOST_BURSTS = 200
_AROUND = 0.12  # of its length is shown before a rollout, and after it
_LEAST_AROUND_NS = NS
_NOT_OF_IT = frozenset({(NOT_THE_ROLLOUT,), ("E1",)})


@dataclass(frozen=True, slots=True)
class Burst:
    """Failures of one cause with no pause of over 2 s within. `peak_ns` is the middle one's end.

    `hits` counts rows of the picture's Failures.
    """

    ids: Ids
    from_ns: int
    to_ns: int
    peak_ns: int
    hits: int


@dataclass(frozen=True, slots=True)
class Warned:
    """A Kubernetes Event of type Warning, at the time when it was received."""

    t_ns: int
    kind: str  # of the object that it is about
    name: str
    uid: str
    reason: str
    message: str
    count: int


def bursts(failed: Failures) -> tuple[Burst, ...]:
    """Return the bursts of each cause, in time order; the smallest are left out where there are too many."""
    found = []
    for code, ids in enumerate(failed.causes):
        done = np.sort(failed.done_ns[failed.cause == code])
        if not len(done):
            continue
        runs = episodes(done)
        for first, last in zip(runs.first_ns.tolist(), runs.last_ns.tolist(), strict=True):
            low, high = np.searchsorted(done, [first, last + 1])
            found.append(Burst(ids, first, last, int(done[(low + high - 1) // 2]), int(high - low)))
    largest = sorted(found, key=lambda burst: -burst.hits)[:MOST_BURSTS]
    return tuple(sorted(largest, key=lambda burst: (burst.from_ns, burst.ids)))


def warnings(events: Sequence[ClusterEvent]) -> tuple[Warned, ...]:
    """Return what Kubernetes warned of while it was watched, in time order."""
    found = []
    for event in events:
        if event.kind != "Event" or event.object.get("type") != "Warning" or event.change == "LISTED":
            continue
        about = event.object.get("involvedObject") or {}
        found.append(
            Warned(
                t_ns=event.t_ns,
                kind=str(about.get("kind") or ""),
                name=str(about.get("name") or ""),
                uid=str(about.get("uid") or ""),
                reason=str(event.object.get("reason") or ""),
                message=str(event.object.get("message") or ""),
                count=int(event.object.get("count") or 1),
            )
        )
        if len(found) == MOST_WARNINGS:
            break
    return tuple(found)


def focus(timeline: Timeline, failed: Failures) -> Span:
    """Return the rollout and its surroundings: from a little before the trigger until it had settled and the last
    failure that may be its own. Without a rollout, or failures of one, it is all of the judged time.
    """
    during = timeline.phase(Phase.DURING)
    if not timeline.triggered or during is None:
        return timeline.judged
    own = [code for code, ids in enumerate(failed.causes) if ids not in _NOT_OF_IT]
    mine: NDArray[np.int64] = failed.done_ns[
        np.isin(failed.cause, own)
        & (failed.done_ns >= timeline.zero_ns)
        & (failed.done_ns < timeline.judged.to_ns)
    ]
    until = max(during.to_ns, int(mine.max()) if len(mine) else 0)
    if not timeline.during_ended:
        until = timeline.judged.to_ns
    around = max(_LEAST_AROUND_NS, round((until - timeline.zero_ns) * _AROUND))
    return Span(
        max(timeline.zero_ns - around, timeline.judged.from_ns), min(until + around, timeline.judged.to_ns)
    )
