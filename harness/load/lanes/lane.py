"""One service's share of the load: a few slots that send by the clock, and the recordings that its rows go to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.load.answers import AnswerBook
from harness.load.dial import Dialler
from harness.load.failures import END, US, Ending
from harness.load.lanes.recent import Extract, Recent, RecentAnswers
from harness.load.request import Marking, prepare
from harness.load.rows.writing import ConnectionRow, ConnectionRows, HitRows
from harness.load.worker.pacer import ClosedLoop, FixedRate
from harness.load.worker.slots import Slots
from harness.model import STALL_NS
from harness.recording.write import CONNECTION_SCHEMA, WORKER_SCHEMA

if TYPE_CHECKING:
    from harness.clock import Clock
    from harness.model import LoadPlan

_WORN_NAMES = 2000  # of pods and peers: their dictionaries go into every recording
_REST_S = 20  # seconds between two batches while nothing is recorded: each costs some kilobytes
_NOWHERE = Path(os.devnull)


class Lane:
    """The load on one service. `second` is called once a second, `sweep` four times."""

    def __init__(self, plan: LoadPlan, clock: Clock, keep_ns: int) -> None:
        if plan.rate is None:
            raise AssertionError("a lane sends by the clock")
        self._plan = plan
        self._keep_ns = keep_ns
        self._hits = Recent(WORKER_SCHEMA, "done_ns", Extract.hits)
        self._closed = Recent(CONNECTION_SCHEMA, "closed_ns", Extract.connections)
        self._answers = RecentAnswers()
        self._rows = HitRows(
            _NOWHERE, 0, plan, self._hits, AnswerBook(_NOWHERE, plan.pod_headers, self._answers)
        )
        self._rows.cycles_open = False
        self._connections = ConnectionRows(_NOWHERE, 0, self._closed)
        marking = Marking(clock.wall_ns, clock.monotonic_ns, 0, close=not plan.keepalive)
        requests = [prepare(index, target, marking) for index, target in enumerate(plan.targets)]
        places = range(plan.concurrency)
        self._slots = Slots(
            plan, places, requests, ClosedLoop(plan.concurrency, backoff=False), Dialler(plan), self._rows,
            self._connections, clock.monotonic_ns, self._schedule(plan.rate),
        )  # fmt: skip
        self._extracts: dict[int, Extract] = {}
        self._before = (0, 0, 0)  # started, completed, failed a second ago
        self._samples_sent: set[str] = set()
        self._seconds = 0

    def start(self) -> None:
        """Send the first hit now."""
        self._slots.start(self._slots.now())

    def change_rate(self, rate: float) -> None:
        """Send this many hits per second from now on."""
        self._slots.change_rate(self._schedule(rate))

    def keep(self, number: int, directory: Path, from_ns: int) -> None:
        """Begin a recording with everything since `from_ns` that is still known."""
        self._flush()
        extract = self._extracts[number] = Extract(directory, from_ns)
        self._answers.begin(extract)
        self._hits.begin(extract)
        self._closed.begin(extract)

    def end(self, number: int, end_ns: int) -> None:
        """End a recording with the hits that are due until then. `ended` tells when the last of them is in."""
        if number in self._extracts:
            self._extracts[number].end_ns = end_ns

    def sweep(self) -> None:
        """Fail the hits that have timed out."""
        self._slots.sweep()

    def ended(self) -> list[int]:
        """Close the recordings whose last hit is in, and return their numbers."""
        now = self._slots.now()
        oldest_due = now - self._slots.oldest_ns(now)
        over = [
            number
            for number, extract in self._extracts.items()
            if extract.end_ns is not None and (oldest_due > extract.end_ns or not self._slots.in_flight)
        ]
        for number in over:
            self._close(number)
        return over

    def second(self, lag: tuple[int, int], cpu_ns: int) -> dict[str, Any]:
        """Write the rows of this second where they are recorded; return the counts and the health of it."""
        self._seconds += 1
        if self._extracts or self._seconds % _REST_S == 0:
            self._flush()
        now = self._slots.now()
        self._hits.forget(now - self._keep_ns)
        self._closed.forget(now - self._keep_ns)
        self._slots.forget_known()
        totals, in_flight = self._rows.count(), self._slots.in_flight
        started = totals.completed + in_flight
        before, self._before = self._before, (started, totals.completed, totals.failed)
        health = {
            "t_ns": now,
            "worker": 0,
            "started": started - before[0],
            "completed": totals.completed - before[1],
            "failed": totals.failed - before[2],
            "in_flight": in_flight,
            "oldest_in_flight_ns": self._slots.oldest_ns(now),
            "lag_p99_ns": lag[0],
            "lag_max_ns": lag[1],
            "cpu_ns": cpu_ns,
            "open_files": len(self._slots.connected()),
            "stalled": lag[1] > STALL_NS,
        }
        fresh = {name: text for name, text in self._slots.samples.items() if name not in self._samples_sent}
        self._samples_sent |= fresh.keys()
        worn = self._rows.names > _WORN_NAMES or self._rows.answers.full
        return {**self.counts(), "health": health, "samples": fresh, "worn": worn}

    def counts(self) -> dict[str, Any]:
        """Return the running totals of this lane."""
        return {"counts": self._rows.count().told(self._slots.in_flight, self._slots.now())}

    @property
    def recording(self) -> bool:
        """Whether a recording is open."""
        return bool(self._extracts)

    def stop(self) -> list[int]:
        """Cut what is in flight, and close every recording; return their numbers."""
        self._slots.cut()
        self._flush()
        over = list(self._extracts)
        for number in over:
            self._close(number)
        self._slots.leave()
        return over

    def _schedule(self, rate: float) -> FixedRate:
        return FixedRate(rate, range(self._plan.concurrency), self._plan.concurrency)

    def _flush(self) -> None:
        self._rows.flush()
        self._connections.flush()

    def _close(self, number: int) -> None:
        self._flush()
        extract = self._extracts.pop(number)
        for recent in (self._hits, self._closed, self._answers):
            recent.extracts.remove(extract)
        # A connection's row is written when it is closed. Those that stay open leave the recording here.
        still = ConnectionRows(_NOWHERE, 0, _Into(extract))
        end_ns = self._slots.now() if extract.end_ns is None else extract.end_ns
        for slot in self._slots.connected():
            if slot.opening.opened_ns <= end_ns:
                still.add(
                    ConnectionRow(slot.conn, slot.index, slot.opening, end_ns, Ending(US, END), slot.hits)
                )
        still.close()
        extract.close()


class _Into(Recent):
    """Gives a batch of connections to one recording and keeps nothing."""

    def __init__(self, extract: Extract) -> None:
        super().__init__(CONNECTION_SCHEMA, "closed_ns", Extract.connections)
        self.extracts.append(extract)
