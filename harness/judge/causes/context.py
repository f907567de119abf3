"""What the rules look at besides a pod, and what they say of a hit: a window in time.

The data plane's lag behind the endpoints is unknown: it is tried from what is usual to what has been seen in the field,
and the least that explains a hit counts. Moments taken from Kubernetes' whole seconds are up to 1 s early, hence SLACK.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.balancers.known import Chain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from harness.judge.balancers.meaning import Meaning
    from harness.judge.numbers.traffic import PodTraffic
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.surroundings import Surroundings
    from harness.judge.timeline.timeline import Timeline

# How long the data plane may lag behind the endpoints: tried in this order, until a hit is explained.
LAGS = tuple(seconds * NS for seconds in (2, 4, 8, 16, 32, 60))
FOREVER = 1 << 62
LONG_NS = 200_000_000  # what took so long had been accepted: it was cut, not refused
AT_ONCE_NS = 10_000_000  # a refusal takes less
COLD = 3 * NS  # a pod that answers first so long after it came into the endpoints was not ready for requests


@dataclass(frozen=True, slots=True)
class Context:
    """All that rules look at besides a pod."""

    timeline: Timeline
    traffic: Mapping[str, PodTraffic]  # by pod name; empty when no answer named its pod
    surroundings: Surroundings
    departed: Mapping[str, int]  # by uid: from when on a pod that still listened was no target any more
    episode_end: Callable[
        [int], int
    ]  # the end of the run of failures that is under way at a moment, or just after
    empty: tuple[tuple[int, int], ...] = ()  # when there was no endpoint any more, in order (shortage.py)
    chain: Chain = field(default_factory=Chain)
    meanings: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of each hit
    crowded: NDArray[np.bool_] = field(
        default_factory=lambda: np.zeros(0, dtype=bool)
    )  # see numbers/crowded.py
    queued: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))  # for certain
    # When hits ended that failed at once, in order.
    turned_away_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    slowest_ns: int = 0  # what was begun before the trigger took so long at most; 0: not known

    def may_be(self, meanings: Meaning) -> NDArray[np.bool_]:
        """Say which hits may mean one of these."""
        found: NDArray[np.bool_] = (self.meanings & int(meanings)) != 0
        return found

    @property
    def deregisters(self) -> bool:
        """Whether a balancer cuts off what a removed target still answers, after a delay; True where that is not
        known.
        """
        return any(family.deregisters for family in self.chain.families)

    @property
    def in_flight_ns(self) -> int:
        """Return how long a request that a healthy pod works on has taken at most: beyond that, it waits for a dead
        one.
        """
        return 2 * self.slowest_ns + NS // 2 if self.slowest_ns else FOREVER

    def listening_ns(self, pod: Lifeline) -> int | None:
        """When a pod is first known to have answered."""
        seen = self.traffic.get(pod.name)
        return seen.first_good_ns if seen else None

    def first_turned_away_ns(self, from_ns: int, to_ns: int) -> int | None:
        """Return when the first hit within a span ended that failed at once."""
        first = int(np.searchsorted(self.turned_away_ns, from_ns))
        found = self.turned_away_ns[first : first + 1]
        return int(found[0]) if len(found) and found[0] <= to_ns else None

    def left_ns(self, pod: Lifeline) -> int:
        """From when on a pod was no target any more; FOREVER where that is not known."""
        return self.departed.get(pod.uid, FOREVER)

    def lag_ns(self) -> int | None:
        """How long the data plane lags behind the endpoints at the most, by the pods that it let go of in time."""
        lags = [
            self.departed[pod.uid] - pod.out_of_endpoints_ns
            for pod in self.timeline.pods
            if pod.uid in self.departed and pod.out_of_endpoints_ns is not None
        ]
        return max(lags, default=None)


@dataclass(frozen=True, slots=True)
class Window:
    """What a hit must satisfy, in ns on the run clock; `took` bounds its length. It began in no pause."""

    begun: tuple[int, int] = (-FOREVER, FOREVER)
    ended: tuple[int, int] = (-FOREVER, FOREVER)
    took: tuple[int, int] = (0, FOREVER)
    early_ns: int = 0  # what had certainly been taken (it took LONG_NS) may have ended so much before `ended`
    pauses: tuple[tuple[int, int], ...] = ()  # in order
