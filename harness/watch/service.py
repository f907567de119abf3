"""One service that is watched: which requests, which workload, how many. Made of fields of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.scenario.reading import validate
from harness.scenario.resolve import Resolved

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEAST_RATE = 1.0  # the judge takes a longer silence of the load for its end
CONNECTIONS = (4, 64)  # least and most of one service


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per second on one service: always, and while a deploy lasts."""

    usual: float = 2.0
    boost: float | None = None

    @property
    def highest(self) -> float:
        """The higher of both."""
        return max(self.usual, self.boost or 0)

    def eased(self, rate: float, stretch_s: float, done: int, failed: int) -> float:
        """Return the rate of the next stretch while nothing is changed, after one of `done` requests at `rate`.

        A service that fails most of them, or answers less than half in time, is asked half as often, so that the watch
        is no part of its trouble; one that has recovered twice as often, up to the usual rate.
        """
        if 2 * failed > done or 2 * done < rate * stretch_s:
            return max(min(LEAST_RATE, self.usual), rate / 2)
        return min(self.usual, 2 * rate)

    @property
    def connections(self) -> int:
        """Connections that can carry it while answers take up to a second."""
        least, most = CONNECTIONS
        return min(most, max(least, round(self.highest)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service to watch. `fields` are a scenario's: its target, its workload, its objectives."""

    fields: Mapping[str, Any]
    rates: Rates
    source: str
    base: Path

    @property
    def workload(self) -> tuple[str, str]:
        """Its kind and name."""
        found: tuple[str, str] = self.fields["workload"]
        return found

    @property
    def key(self) -> str:
        """What it is called: "deployment/web"."""
        kind, name = self.workload
        return f"{kind.lower()}/{name}"


@dataclass(frozen=True, slots=True)
class NotWatched:
    """A workload that is not watched, why, and what to do about it."""

    key: str
    why: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """What all services of a watch share."""

    namespace: str
    output: Path
    kubeconfig: str | None = None
    context: str | None = None
    allow: str | None = None  # CONTEXT/NAMESPACE that looks like production and is meant


def resolved(wanted: Wanted, where: Where) -> Resolved:
    """Return the run that each deploy of this service is recorded as. Raises UsageError."""
    kind, name = wanted.workload
    fields = {key: value for key, value in wanted.fields.items() if key != "workload"}
    flags: dict[str, Any] = {
        "workload": f"{kind.lower()}/{name}",
        "namespace": where.namespace,
        "load.rate": wanted.rates.usual,
        "load.concurrency": wanted.rates.connections,
        "load.workers": 1,
        # Ids are made of a run's own clock, and the load began long before the run did.
        "load.trace_headers": False,
        "rollout.trigger": "observe",
        "cluster.kubeconfig": where.kubeconfig,
        "cluster.context": where.context,
    }
    scenario = validate(fields, flags)
    if not scenario.target.url:
        raise UsageError(f"{wanted.key} has no URL; add url: to it")
    if scenario.grpc:
        raise UsageError(f"{wanted.key}: a watch sends HTTP requests; give an http:// URL, or use zdtest run")
    return Resolved(
        scenario=scenario,
        source=wanted.source,
        base=wanted.base,
        use_lab=False,
        allow=f"{where.allow}/{name}" if where.allow else None,
        output=where.output,
    )
