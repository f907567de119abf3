"""How many rollouts it takes to see a loss of a given size, from how this service's rollouts went so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.comparison.significance.power import USUAL_K, Losses, losses_of, power, rollouts_needed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.comparison.rollouts import OneRollout

USUAL_REQUESTS = 10_000  # sent during a rollout, assumed where no run tells it
USUAL_LENGTH_NS = 120 * NS  # of the load for one rollout, likewise
LEAST_FOR_K = 4  # rollouts with losses, to tell how bursty they are
_ALSO = (4, 6, 8, 10, 15, 20, 30, 50)


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes. `rollouts` a side is None where not even the most that a plan may ask for would do."""

    loss_rate: float  # of the requests sent during a rollout: lost by one side more than by the other
    power: float
    level: float
    requests: int  # sent during a rollout
    base: float  # lost a rollout by the side that loses less
    more: float  # lost a rollout more by the other
    k: float  # shape of the bursts; the smaller, the burstier
    rollouts: int | None
    length_ns: int  # of one rollout
    others: tuple[tuple[int, float], ...]  # other numbers a side, and their power
    known: int  # rollouts of this service that were taken into account
    known_lossy: int
    assumed: tuple[str, ...]  # "requests", "length", "bursts": not known from any run

    @property
    def total_ns(self) -> int:
        """Return how long both sides take together."""
        return 2 * (self.rollouts or 0) * self.length_ns


def plan(
    history: Mapping[str, Sequence[OneRollout]],
    latest: str,
    loss_rate: float,
    *,
    wanted: float,
    level: float,
    requests: int | None = None,
) -> Plan:
    """Plan from the rollouts of a service by manifest; `latest` is the manifest that it has now.

    `requests`: sent during a rollout, if the history is not to say it. The side that loses less loses what the latest
    manifest loses; without a history, nothing.
    """
    every = [one for rollouts in history.values() for one in rollouts]
    now = history.get(latest, ())
    assumed = []
    during = [one.during_requests for one in every if one.during_requests]
    if requests is None:
        requests = round(median(during)) if during else USUAL_REQUESTS
        assumed += [] if during else ["requests"]
    lengths = [one.length_ns for one in every if one.length_ns > 0]
    assumed += [] if lengths else ["length"]
    lossy = sum(one.lost > 0 for one in every)
    sides = [[one.lost for one in rollouts] for rollouts in history.values()]
    k = losses_of(sides)[0].k if lossy >= LEAST_FOR_K else USUAL_K
    assumed += [] if lossy >= LEAST_FOR_K else ["bursts"]
    base = sum(one.lost for one in now) / len(now) if now else 0.0
    more = loss_rate * requests
    less_side, more_side = Losses(base, k), Losses(base + more, k)
    needed = rollouts_needed(less_side, more_side, wanted=wanted, level=level)
    return Plan(
        loss_rate=loss_rate,
        power=wanted,
        level=level,
        requests=requests,
        base=base,
        more=more,
        k=k,
        rollouts=needed,
        length_ns=round(median(lengths)) if lengths else USUAL_LENGTH_NS,
        others=tuple((n, power(less_side, more_side, n, level)) for n in _ALSO if n != needed),
        known=len(every),
        known_lossy=lossy,
        assumed=tuple(assumed),
    )
