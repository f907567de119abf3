"""How far a pod's clock is from the run's, and how sure that is. Pure: every reading is an argument.

An exchange is NTP's (RFC 5905, section 8): a pod sends at t1, the collector receives at t2 and answers at t3, the
answer arrives at t4; t1 and t4 are the pod's readings, t2 and t3 the run's. The offset lies within half of the time
that the exchange spent on the way, whatever the two ways took. Of several exchanges the one with the least
uncertainty counts; an old one becomes less certain at 15 ppm (RFC 5905's PHI), so a newer one soon replaces it, and a
clock that drifts is followed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

DRIFT = 15e-6  # seconds a second
KEPT = 8  # exchanges that are remembered
SLEW_NS = 1_000_000_000  # a correction takes effect over this time, so that no moment comes twice


@dataclass(frozen=True, slots=True)
class Exchange:
    """Four readings, in ns: the pod's when it sent and got the answer, the run's in between."""

    sent_ns: int
    received_ns: int
    answered_ns: int
    back_ns: int

    @property
    def offset_ns(self) -> int:
        """The run's clock minus the pod's."""
        return (self.received_ns - self.sent_ns + self.answered_ns - self.back_ns) // 2

    @property
    def travel_ns(self) -> int:
        """How long the exchange was on its way, both ways together."""
        return max(0, self.back_ns - self.sent_ns - (self.answered_ns - self.received_ns))


@dataclass(frozen=True, slots=True)
class Estimate:
    """The run's clock minus the pod's, true to within `uncertainty_ns`."""

    offset_ns: int
    uncertainty_ns: int


def estimate(exchanges: Iterable[Exchange], now_ns: int) -> Estimate:
    """Return what the best of these exchanges says. `now_ns` is the pod's reading. At least one is needed."""
    found = [
        Estimate(each.offset_ns, each.travel_ns // 2 + 1 + round(DRIFT * max(0, now_ns - each.back_ns)))
        for each in exchanges
    ]
    return min(found, key=lambda one: one.uncertainty_ns)


class Course:
    """The offset over time: a line without steps, so that what happened first stays first.

    Times are the pod's. What was said of a moment is never changed later: a new estimate bends the line from now on.
    """

    def __init__(self, offset_ns: int) -> None:
        self._times: list[int] = [0]
        self._offsets: list[int] = [offset_ns]

    def bend(self, at_ns: int, offset_ns: int) -> None:
        """Lead the line from where it is at `at_ns` to this offset. Earlier than the last bend is ignored."""
        before = bisect_right(self._times, at_ns)
        if before and self._times[-1] > at_ns:  # the last correction is still under way: it ends here
            here = self.offset_ns(at_ns)
            del self._times[before:], self._offsets[before:]
        else:
            here = self._offsets[-1]
        self._times += [max(at_ns, self._times[-1] + 1), max(at_ns, self._times[-1] + 1) + SLEW_NS]
        self._offsets += [here, offset_ns]

    def offset_ns(self, at_ns: int) -> int:
        """Return the offset at one moment."""
        return round(float(np.interp(at_ns, self._times, self._offsets)))

    def on_the_runs_clock(self, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Translate moments of the pod's clock; one that never came stays NEVER."""
        shift = np.rint(np.interp(moments, self._times, self._offsets)).astype(np.int64)
        return np.where(moments == NEVER, NEVER, moments + shift)
