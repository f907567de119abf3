"""One worker from ready to ended: its slots, its rows, and what it reports to its parent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.load import messages
from harness.load.dial import Dialler
from harness.load.eventloop import report_failure
from harness.load.request import Marking, prepare
from harness.load.rows.writing import ConnectionRows, HitRows
from harness.load.worker.pacer import ClosedLoop, FixedRate
from harness.load.worker.slots import Slots
from harness.load.worker.timers import Lag
from harness.model import STALL_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.load.messages import Assignment
    from harness.load.streams.slots import StreamSlots

_TICK_NS = 250_000_000  # between two reports of counts
_TICKS_A_FLUSH = 4
_LULL_RATE = 1.0  # hits per second, of all workers together
_DRAIN_CHECK_NS = 5_000_000  # how often a drain checks whether it is over
_AFTER_DRAIN_NS = 50_000_000
_SWEEP_NS = (5_000_000, 250_000_000)  # shortest and longest time between two sweeps for timed-out hits


class WorkerRun:
    """Carries out an assignment: ready, start, (baseline), finish."""

    def __init__(self, assignment: Assignment) -> None:
        plan = assignment.plan
        self._assignment = assignment
        self._loop = asyncio.get_running_loop()
        name = f"{assignment.worker}.arrow"
        self._rows = HitRows(assignment.directory / "hits" / name, assignment.worker, plan)
        self._connections = ConnectionRows(assignment.directory / "connections" / name, assignment.worker)
        self._pacer = ClosedLoop(plan.slots, backoff=plan.error_backoff and plan.rate is None)
        schedule = None
        if plan.rate is not None:
            schedule = FixedRate(plan.rate, assignment.slots, plan.slots, plan.ramp_ns)
        marking = Marking(
            assignment.clock.wall_ns,
            assignment.clock.monotonic_ns,
            assignment.worker,
            trace=plan.trace_headers,
            close=not plan.keepalive,
        )
        requests = [prepare(index, target, marking) for index, target in enumerate(plan.targets)]
        self._slots: Slots | StreamSlots
        if plan.stream:
            from harness.load.streams import worker_slots  # noqa: PLC0415  brings websockets, which no other load needs

            self._slots = worker_slots.of(
                assignment, requests[0], self._pacer.first_ns, self._rows, self._connections
            )
        else:
            self._slots = Slots(
                plan, assignment.slots, requests, self._pacer, Dialler(plan), self._rows, self._connections,
                assignment.clock.monotonic_ns, schedule,
            )  # fmt: skip
        self._lag = Lag()
        self._slots.watch(self._lag.fileno(), self._lag.take_sample)
        self._samples_sent: dict[str, str] = {}
        self._firsts_sent: set[str] = set()
        self._before = (0, 0, 0)  # started, completed, failed at the last health line
        self._cpu_ns = time.process_time_ns()
        self._finish: asyncio.Future[int] = self._loop.create_future()
        self._upkeep: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Carry out all commands; return when the files are closed. Raises what went wrong inside."""
        crash: asyncio.Future[None] = self._loop.create_future()

        def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if not crash.done():
                crash.set_exception(context.get("exception") or RuntimeError(context["message"]))

        self._loop.set_exception_handler(fail)
        lines = _split()
        self._slots.watch(0, partial(self._read_commands, lines))
        _send({"ready": os.getpid()})
        try:
            ends: set[asyncio.Future[Any]] = {crash, self._finish}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not crash.done():
                await self._drain(self._finish.result())
        finally:
            if self._upkeep is not None:
                self._upkeep.cancel()
            self._slots.cut()
            self._report(health=True)
            self._rows.close()
            self._connections.close()
        if crash.done():
            crash.result()
        _send({"ended": True})

    def _read_commands(self, lines: Iterator[list[bytes]]) -> None:
        for line in next(lines):
            if not line:  # the parent has gone, or needs us no more
                self._slots.unwatch(0)
                self._stop(0)
                return
            message = json.loads(line)
            match message["do"]:
                case "start":
                    self._start(message["at_ns"])
                case "baseline":
                    self._end_baseline()
                case "lull":
                    assignment = self._assignment
                    self._slots.lull(FixedRate(_LULL_RATE, (assignment.worker,), assignment.workers))
                case "resume":
                    self._slots.resume()
                case "finish":
                    self._stop(message["drain_ns"])

    def _start(self, at_ns: int) -> None:
        gc.collect()
        gc.freeze()
        if not self._assignment.plan.stream:
            gc.disable()  # the hot path makes no reference cycles, and a collection would stop every slot
        self._cpu_ns = time.process_time_ns()
        self._lag.start()
        _send({"late_ns": max(0, self._slots.now() - at_ns)})
        self._slots.start(at_ns)
        self._upkeep = self._loop.create_task(self._keep_up(at_ns))
        self._upkeep.add_done_callback(report_failure)

    def _stop(self, drain_ns: int) -> None:
        self._slots.hold(0)  # what waits for this future runs in the event loop
        if not self._finish.done():
            self._finish.set_result(drain_ns)

    def _end_baseline(self) -> None:
        self._rows.count()
        self._rows.cycles_open = False
        self._pacer.cycle_ns = self._rows.cycles.value_ns()

    async def _drain(self, drain_ns: int) -> None:
        self._slots.drain()
        deadline_ns = self._slots.now() + drain_ns
        # No event marks the end of the last hit. Polling for a few seconds is cheaper than an event per hit.
        while self._slots.in_flight and self._slots.now() < deadline_ns:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_CHECK_NS / 1e9)
        await asyncio.sleep(_AFTER_DRAIN_NS / 1e9)  # an unsolicited response may follow the last one

    async def _keep_up(self, at_ns: int) -> None:
        """Count, flush and sweep, each when it is due. The event loop is needed at no other time."""
        least_ns, most_ns = _SWEEP_NS
        pause_ns = min(max(self._assignment.plan.timeout_ns // 20, least_ns), most_ns)
        ticks, tick_ns, sweep_ns = 0, at_ns + _TICK_NS, at_ns + pause_ns
        while True:
            due_ns = min(tick_ns, sweep_ns)
            self._slots.hold(due_ns)
            await asyncio.sleep(max(0, due_ns - self._slots.now()) / 1e9)
            now = self._slots.now()
            if now >= sweep_ns:
                self._slots.sweep()
                sweep_ns = max(sweep_ns + pause_ns, now)
            if now >= tick_ns:
                ticks += 1
                tick_ns += _TICK_NS
                self._tick(flush=ticks % _TICKS_A_FLUSH == 0)

    def _tick(self, *, flush: bool) -> None:
        self._report(health=flush)
        if flush:
            self._rows.flush()
            self._connections.flush()
            self._slots.forget_known()

    def _report(self, *, health: bool) -> None:
        now = self._slots.now()
        totals = self._rows.count()
        in_flight = self._slots.in_flight
        started = totals.completed + in_flight
        if self._rows.cycles_open:
            self._pacer.cycle_ns = self._rows.cycles.value_ns()
        _send(
            {
                "counts": totals.told(in_flight, now),
                "backed_off": self._slots.backed_off,
            }
        )
        for kind, first in totals.firsts.items():
            if kind not in self._firsts_sent:
                self._firsts_sent.add(kind)
                _send({"failure": [kind, first.t_ns, self._words(kind, first.answer), first.pod]})
        for outcome, text in self._slots.samples.items():
            if outcome not in self._samples_sent:
                self._samples_sent[outcome] = text
                _send({"sample": [outcome, text]})
        if not health:
            return
        cpu_ns, lag = time.process_time_ns(), self._lag.take()
        before, self._before = self._before, (started, totals.completed, totals.failed)
        _send(
            {
                "health": {
                    "t_ns": now,
                    "worker": self._assignment.worker,
                    "started": started - before[0],
                    "completed": totals.completed - before[1],
                    "failed": totals.failed - before[2],
                    "in_flight": in_flight,
                    "oldest_in_flight_ns": self._slots.oldest_ns(now),
                    "lag_p99_ns": lag[0],
                    "lag_max_ns": lag[1],
                    "cpu_ns": cpu_ns - self._cpu_ns,
                    "open_files": _open_files(),
                    "stalled": lag[1] > STALL_NS,
                }
            }
        )
        self._cpu_ns = cpu_ns

    def _words(self, kind: str, answer: int) -> str:
        """Return what the answer said, or the text of the first error of that kind."""
        return self._rows.answers.words.get(answer) or masking.prose(self._slots.samples.get(kind, ""))


def _open_files() -> int:
    return sum(1 for _ in os.scandir("/proc/self/fd")) - 1  # one belongs to the listing itself


def _send(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent has gone; standard input ends then, too
        os.write(1, messages.line(message))


def _split() -> Iterator[list[bytes]]:
    """Read standard input piece by piece, and yield its complete lines; an empty one means the end."""
    rest = b""
    while True:
        piece = os.read(0, 1 << 16)
        if not piece:
            yield [b""]
            continue
        *whole, rest = (rest + piece).split(b"\n")
        yield whole
