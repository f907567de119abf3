"""Requests that hung before the trigger, and of which only a timer's end told, after it. The rollout is not why they
failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import TIMEOUTS, kind_name
from harness.judge.numbers.usual import TIMES_USUAL, usual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.timeline.timeline import Timeline

# Nobody answered until a timer ended: this client's own, or a balancer's. What is reset was ended by somebody.
BY_TIMER = frozenset({"504", *(outcome.value for outcome in TIMEOUTS)})
SURELY_NS = 2 * NS  # a change that is only observed may have begun so long before it was seen


def hung(hits: Hits, lost: Hits, timeline: Timeline) -> NDArray[np.bool_]:
    """Tell which lost hits had been out for longer than any good answer takes when the trigger came."""
    timers = [code for code in np.unique(lost.kind).tolist() if kind_name(code) in BY_TIMER]
    found: NDArray[np.bool_] = np.isin(lost.kind, timers)
    if not found.any():
        return found
    slowest_ns = usual(hits, timeline).slowest_ns
    if not slowest_ns:
        return np.zeros(len(lost), dtype=bool)
    return found & (lost.begun_ns < timeline.zero_ns - max(TIMES_USUAL * slowest_ns, SURELY_NS))
