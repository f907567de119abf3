"""What Prometheus scrapes from a running watch. Counters begin anew with the process, as Prometheus expects.

A registry of its own: what the client library would say of this process by itself is of no use to a reader of deploys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

if TYPE_CHECKING:
    from harness.report.watch.rows import DeployRow

_GRADES = ("PASS", "FAIL", "INCONCLUSIVE")


class Metrics:
    """The counters of one watch, by service."""

    def __init__(self, namespace: str) -> None:
        self.registry = CollectorRegistry()
        names = ("namespace", "service")
        self._namespace = namespace

        def counter(name: str, about: str) -> Counter:
            return Counter(f"zdtest_watch_{name}", about, names, registry=self.registry)

        def gauge(name: str, about: str, *more: str) -> Gauge:
            return Gauge(f"zdtest_watch_{name}", about, (*names, *more), registry=self.registry)

        self._deploys = counter("deploys", "Changes that were recorded and judged.")
        self._lost = counter("lost_requests", "Requests that failed because of a change.")
        self._hits = counter("requests", "Requests that the watch has sent.")
        self._gaps = counter("gaps", "Stretches in which the cluster was not watched.")
        self._missed = counter("missed_deploys", "Deploys that nobody saw, as far as revisions tell.")
        self._watched = gauge("watched", "1 while the service gets requests, else 0.")
        self._recording = gauge("recording", "1 while a change is being recorded, else 0.")
        self._verdict = gauge("last_verdict", "1 for the verdict of the last change, else 0.", "verdict")
        self._hidden = gauge(
            "last_hidden_seconds", "The longest full outage that the last change may have hidden, at 95 %."
        )
        self._known: dict[str, tuple[int, int]] = {}

    def judged(self, service: str, row: DeployRow) -> None:
        """Count a change that has its verdict."""
        where = (self._namespace, service)
        self._deploys.labels(*where).inc(row.deploys)
        self._lost.labels(*where).inc(row.lost or 0)
        for grade in _GRADES:
            self._verdict.labels(*where, grade).set(grade == row.grade)
        if row.hidden_ns is not None:
            self._hidden.labels(*where).set(row.hidden_ns / 1e9)

    def missed(self, service: str, count: int) -> None:
        """Count deploys that nobody saw."""
        self._missed.labels(self._namespace, service).inc(count)

    def standing(self, service: str, *, watched: bool, recording: bool, hits: int, gaps: int) -> None:
        """Say what the watch does with a service now. `hits` and `gaps` are totals, which may begin anew."""
        where = (self._namespace, service)
        self._watched.labels(*where).set(watched)
        self._recording.labels(*where).set(recording)
        before = self._known.get(service, (0, 0))
        for metric, old, new in zip((self._hits, self._gaps), before, (hits, gaps), strict=True):
            metric.labels(*where).inc(new - old if new >= old else new)
        for one in (self._deploys, self._lost, self._missed):  # a counter that is missing cannot be summed
            one.labels(*where)
        self._known[service] = hits, gaps

    def gone(self, service: str) -> None:
        """Say that a service is no longer watched."""
        self._watched.labels(self._namespace, service).set(0)
        self._recording.labels(self._namespace, service).set(0)

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their type: OpenMetrics where it is asked for, else Prometheus' own text."""
        if "application/openmetrics-text" in accept:
            return openmetrics.generate_latest(self.registry), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
