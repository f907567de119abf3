"""When has a connection carried enough, or lived long enough? Each draws its own limit, so that they do not end in step."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.load.slot import Slot
    from harness.model import LoadPlan


class Limits:
    """What one worker's connections may carry and how old they may get: between half of the plan's number and all of it."""

    __slots__ = ("_age_ns", "_hits", "_random", "any")

    def __init__(self, plan: LoadPlan, seed: int) -> None:
        self._hits = plan.conn_max_hits if plan.keepalive else 1
        self._age_ns = plan.conn_max_age_ns if plan.keepalive else 0
        self._random = Random(seed)  # noqa: S311  no secret
        self.any = bool(self._hits or self._age_ns)

    def draw(self, slot: Slot) -> None:
        """Give the slot's new connection its limits."""
        if self._hits:
            slot.last_hit = self._random.randint((self._hits + 1) // 2, self._hits)
        if self._age_ns:
            slot.old_at = slot.opening.opened_ns + self._random.randint(self._age_ns // 2, self._age_ns)

    def reached(self, slot: Slot, now: int) -> bool:
        """Tell whether the slot's connection has reached one of its limits."""
        return bool((slot.last_hit and slot.hits >= slot.last_hit) or (slot.old_at and now >= slot.old_at))
