"""The numbers of a run that are followed from night to night. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.history.runs import Run


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a run: `of` gives it (None where it is unknown), `least` whether it is only a lower bound."""

    id: str
    name: str
    short: str  # for the head of a column
    about: str  # one sentence
    of: Callable[[Run], int | None]
    least: Callable[[Run], bool] = lambda _: False
    time: bool = True  # in ns; else a count

    @property
    def title(self) -> str:
        """Return the name as a heading."""
        return self.name if self.name[1].isdigit() else self.name.capitalize()

    def said(self, value: float | None) -> str:
        """Return a value in words."""
        if value is None:
            return "-"
        if not self.time:
            return f"{value:,.0f}"
        return lasting(value) if value else "0"

    def cell(self, run: Run) -> str:
        """Return a run's value in words; a lower bound says so."""
        return (">" if self.of(run) is not None and self.least(run) else "") + self.said(self.of(run))


_OF_REQUESTS = (
    Metric("lost", "requests lost", "lost", "Failed requests held against the rollout.",
           lambda run: run.lost, time=False),
    Metric("p99", "p99 during the rollout", "p99", "Latency of good answers during the rollout: 99 % were faster.",
           lambda run: run.p99_ns),
    Metric("outage", "longest outage", "outage", "The longest time without a good answer while requests failed.",
           lambda run: run.outage_ns),
    Metric("lag", "lag", "lag", "From the moment a pod left the endpoints to its last request (p99 of the pods).",
           lambda run: run.lag_ns, lambda run: run.lag_least),
    Metric("reach", "reach", "reach", "From a pod's deletion to its last request (p99 of the pods).",
           lambda run: run.reach_ns, lambda run: run.reach_least),
    Metric("rollout", "rollout time", "rollout", "From the change to the last old pod's end, with settled endpoints.",
           lambda run: run.rollout_ns),
)  # fmt: skip
_OUTAGE, _ROLLOUT = (next(one for one in _OF_REQUESTS if one.id == name) for name in ("outage", "rollout"))
_CUT = (
    Metric("cut", "streams cut", "cut", "Streams that ended without a close frame or the end of their body.",
           lambda run: run.cut, time=False),
    Metric("back", "reconnect time", "back", "The longest from a stream's loss to the first message on the next one.",
           lambda run: run.back_ns),
)  # fmt: skip
_OF_STREAMS = (
    Metric("lost", "streams and handshakes lost", "lost", "Cut streams and failed handshakes held against the rollout.",
           lambda run: run.lost, time=False),
    *_CUT, _OUTAGE, _ROLLOUT,
)  # fmt: skip


def metrics_of(runs: Iterable[Run]) -> tuple[Metric, ...]:
    """Return what is followed of these runs: requests or streams, or both."""
    streams = {run.streams is not None for run in runs if run.judged}
    if streams == {True}:
        return _OF_STREAMS
    return (*_OF_REQUESTS, *_CUT) if True in streams else _OF_REQUESTS
