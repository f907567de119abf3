"""A load from many pods, as a run sees it: the same as one from here.

One collector, in the process that holds the run. It connects to each pod, starts all of them at one moment of the run's
clock, passes on what the conductor asks for, and writes what they send into the run's folder.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from harness.errors import HarnessError, UsageError, unwrap
from harness.fleet import keys, papers
from harness.fleet.arriving import Arriving
from harness.fleet.dividing import divided, good_rows, report_every_s
from harness.fleet.link import Link
from harness.load import messages
from harness.model import FirstFailure, HealthSample, LiveCounts, WorkerClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from harness.clock import Clock
    from harness.fleet.keys import Keys
    from harness.fleet.members import Host
    from harness.model import LoadPlan

READY_S = 120.0  # for Python to start in every pod, and for the clocks
_TOGETHER_S, _TOGETHER_POD_S = (
    0.3,
    0.002,
)  # from the command to the first hit: every pod must have heard it by then
_FLUSH_S = 10.0  # after the drain, without any news
_HANDSHAKES = 16  # at a time
_FRESH_NS = 250_000_000


class FleetLoad:
    """A running load of many pods; see load.interface.RunningLoad."""

    def __init__(self, clock: Clock) -> None:
        self.links: list[Link] = []
        self.started_ns = 0
        self._clock = clock
        self._counts = LiveCounts()
        self._counted_ns = -_FRESH_NS
        self._stale = False
        self._send: MemoryObjectSendStream[HealthSample]
        self.samples: MemoryObjectReceiveStream[HealthSample]
        self._send, self.samples = anyio.create_memory_object_stream[HealthSample](math.inf)

    def take_health(self, sample: HealthSample) -> None:
        """Pass on a second of a worker's health."""
        with suppress(
            anyio.ClosedResourceError, anyio.BrokenResourceError
        ):  # of a pod given up, and the load is over
            self._send.send_nowait(sample)

    def changed(self) -> None:
        """Note that some pod has reported."""
        self._stale = True

    @property
    def counts(self) -> LiveCounts:
        """The latest totals of all workers. Added up four times a second at most: there may be a thousand workers."""
        now_ns = self._clock.now_ns()
        if self._stale and now_ns - self._counted_ns >= _FRESH_NS:
            self._counted_ns, self._stale = now_ns, False
            self._counts = self._added_up()
        return self._counts

    def _added_up(self) -> LiveCounts:
        return messages.total([part for link in self.links for part in _counts(link)])

    @property
    def backed_off(self) -> int:
        """Waits after failed hits, over all workers."""
        return sum(
            one.backed_off for link in self.links if link.report for one in link.report.workers.values()
        )

    @property
    def error_samples(self) -> dict[str, str]:
        """One raw text for each outcome."""
        return {
            outcome: text
            for link in reversed(self.links)
            if link.report
            for outcome, text in link.report.samples.items()
        }

    @property
    def first_failures(self) -> dict[str, FirstFailure]:
        """By kind: of all workers, the first that is known."""
        found: dict[str, FirstFailure] = {}
        for link in self.links:
            for one in link.report.failures if link.report else ():
                if one.kind not in found or one.t_ns < found[one.kind].t_ns:
                    found[one.kind] = one
        return found

    @property
    def lost(self) -> tuple[int, ...]:
        """The workers that ended before they were asked to, or whose rows are not all here."""
        return tuple(sorted(self.last_words))

    @property
    def last_words(self) -> dict[int, str]:
        """What is known of each lost worker's end."""
        found: dict[int, str] = {}
        for link in self.links:
            if link.report:
                found |= {n: f"{link.member}: {words}" for n, words in link.report.lost.items()}
            if link.lost:
                found |= {n: f"{link.member} was lost: {link.lost}" for n in link.workers if n not in found}
        return found

    @property
    def clocks(self) -> tuple[WorkerClock, ...]:
        """Each worker's clock, and where it is."""
        found = [
            WorkerClock(
                number,
                link.report.offset_ns,
                link.report.uncertainty_ns,
                link.member.name,
                link.member.node,
                link.report.workers[number].late_ns,
            )
            for link in self.links
            if link.report
            for number in link.report.workers
        ]
        return tuple(sorted(found, key=lambda one: one.worker))

    async def all_ready(self) -> None:
        """Wait until all workers wait for the start.

        Raises UsageError if a pod cannot carry out its part, HarnessError if one does not start.
        """
        with anyio.move_on_after(READY_S):
            for link in self.links:
                await link.ready.wait()
        for link in self.links:
            if link.report and link.report.refused:
                raise UsageError(f"{link.member}: {link.report.refused}")
        if late := [link for link in self.links if link.lost or not link.ready.is_set()]:
            one = late[0]
            why = one.lost or one.unheard(READY_S)
            raise HarnessError(f"{len(late)} of {len(self.links)} pods did not start; {one.member}: {why}")

    def start(self) -> None:
        """Let all workers begin at one moment, soon."""
        lead_s = _TOGETHER_S + _TOGETHER_POD_S * len(self.links)
        self.started_ns = self._clock.now_ns() + round(lead_s * 1e9)
        self._command({"do": "start", "at_ns": self.started_ns})

    def baseline(self) -> None:
        """End the baseline."""
        self._command({"do": "baseline"})

    def lull(self) -> None:
        """Send one hit per second, over all workers, until `resume`."""
        self._command({"do": "lull"})

    def resume(self) -> None:
        """End the lull."""
        self._command({"do": "resume"})

    async def finish(self, drain_ns: int) -> None:
        """Send no new hits, wait for those in flight, and return when all that the pods recorded is here.

        Cannot be cancelled. It waits for as long as rows keep coming, and for 10 s without any; a pod that has not
        delivered everything by then is lost.
        """
        self._command({"do": "finish", "drain_ns": drain_ns})
        with anyio.CancelScope(shield=True):
            drained_ns = self._clock.now_ns() + drain_ns
            for link in self.links:
                while not link.over.is_set():
                    quiet_ns = self._clock.now_ns() - max(drained_ns, link.news_ns)
                    if quiet_ns > _FLUSH_S * 1e9:
                        link.lose(f"it has not delivered all of its rows: nothing came for {_FLUSH_S:g} s")
                        break
                    with anyio.move_on_after(0.2):
                        await link.over.wait()
            self._counts = self._added_up()  # the last totals, however fresh the ones before are
            self._send.close()
            for _ in range(self.samples.statistics().current_buffer_used + 1):
                await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """Drop the samples that nobody has read."""
        self._send.close()
        self.samples.close()

    def _command(self, command: dict[str, Any]) -> None:
        for link in self.links:
            link.command(command)


@asynccontextmanager
async def running(
    plan: LoadPlan, clock: Clock, directory: Path, host: Host, pods: int, secrets: Keys
) -> AsyncIterator[FleetLoad]:
    """Run the load in these pods while the context lasts. `plan.workers` is the number of processes in each.

    Writes what generator.running writes, on the run's clock. Raises UsageError if a pod cannot carry out its part, and
    HarnessError if one does not start. The pods themselves are the host's: they end when the connection does.
    """
    parts = divided(plan, pods, clock, directory)
    members = await host.members()
    tls, gate = keys.of_the_collector(secrets), anyio.Semaphore(_HANDSHAKES)
    load = FleetLoad(clock)
    for member, part in zip(members, parts, strict=True):
        workers = tuple(each.worker for each in part)
        link = Link(member, workers, Arriving(directory, workers, load.take_health), clock, load.changed)
        link.command(
            {
                "do": "assign",
                **papers.packed(part),
                "wall_ns": clock.wall_ns,
                "every_s": report_every_s(pods),
                "keep": good_rows(part[0].workers),
            }
        )
        load.links.append(link)
    try:
        async with anyio.create_task_group() as tasks:
            for link in load.links:
                tasks.start_soon(link.keep, host, tls, gate)
            try:
                await load.all_ready()
                load.start()
                yield load
            finally:
                load.close()
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise unwrap(group) from None


def _counts(link: Link) -> list[LiveCounts]:
    """Return the counts of a pod's workers. What a lost one had in flight is no longer in flight."""
    states = link.report.workers.items() if link.report else ()
    lost = set(link.report.lost) if link.report else set()
    return [
        replace(one.counts, started=one.counts.started - one.counts.in_flight, in_flight=0)
        if link.lost or number in lost
        else one.counts
        for number, one in states
    ]
