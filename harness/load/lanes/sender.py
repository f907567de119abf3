"""The process of all lanes, as its parent sees it: what it is told, and what it counts."""

from __future__ import annotations

import json
import math
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from harness.errors import HarnessError
from harness.load import messages
from harness.load.messages import Assignment
from harness.load.prestarted import spawn
from harness.model import HealthSample, LiveCounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import Process
    from anyio.streams.memory import MemoryObjectSendStream

    from harness.clock import Clock
    from harness.model import LoadPlan

_READY_S = 60.0  # starting Python takes long on a busy machine
_LEAVE_S = 10.0  # to write what is left
_LONGEST_LINE = 1 << 20
_LAST_WORDS = 4096


@dataclass(slots=True)
class LaneCounts:
    """What is known of one lane. `health` has a sample for each second that may still become part of a recording."""

    counts: LiveCounts = field(default_factory=LiveCounts)
    health: deque[HealthSample] = field(default_factory=deque)
    samples: dict[str, str] = field(default_factory=dict)  # a raw text for each outcome
    worn: bool = False  # it has told so many pods or answers apart that it should be replaced


class Sender:
    """Sends thin loads on many services. `gone` is set when its process has ended, asked to or not."""

    def __init__(self, process: Process, clock: Clock, keep_ns: int) -> None:
        self._process = process
        self._clock = clock
        self._keep_ns = keep_ns
        self._lanes: dict[int, LaneCounts] = {}
        self._closed: dict[int, anyio.Event] = {}
        self._next = 0
        self._commands: MemoryObjectSendStream[dict[str, Any]]
        self._commands, self._unsent = anyio.create_memory_object_stream[dict[str, Any]](math.inf)
        self.ready, self.gone = anyio.Event(), anyio.Event()
        self.last_words = ""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def add(self, plan: LoadPlan, directory: Path) -> int:
        """Begin to send by this plan, whose rate is set; return the lane's number."""
        number, self._next = self._next, self._next + 1
        self._lanes[number] = LaneCounts()
        assignment = Assignment(0, tuple(range(plan.concurrency)), plan, self._clock, directory)
        self._command(do="add", lane=number, assignment=messages.encode(assignment), keep_ns=self._keep_ns)
        return number

    def remove(self, lane: int) -> None:
        """Send nothing more there; recordings of it are closed."""
        if self._lanes.pop(lane, None) is not None:
            self._command(do="remove", lane=lane)

    def change_rate(self, lane: int, rate: float) -> None:
        """Send this many hits per second from now on."""
        self._command(do="rate", lane=lane, rate=rate)

    def keep(self, lane: int, directory: Path, from_ns: int) -> int:
        """Record this lane in a run's folder, from `from_ns` on (as far as that is still known); return a number."""
        number, self._next = self._next, self._next + 1
        self._closed[number] = anyio.Event()
        self._command(do="keep", lane=lane, recording=number, directory=str(directory), from_ns=from_ns)
        return number

    def end(self, lane: int, recording: int, end_ns: int) -> None:
        """End a recording with the hits that are due until then."""
        self._command(do="end", lane=lane, recording=recording, end_ns=end_ns)

    async def closed(self, recording: int) -> None:
        """Wait until a recording has its last hit, or the process has gone."""
        event = self._closed.get(recording)
        if event is not None:
            await event.wait()
            self._closed.pop(recording, None)

    def of(self, lane: int) -> LaneCounts:
        """Return what is known of a lane."""
        return self._lanes.get(lane) or LaneCounts()

    async def write_commands(self) -> None:
        """Write commands as they come."""
        stdin = self._process.stdin
        if stdin is None:
            raise AssertionError("the process has no standard input")
        try:
            async with self._unsent, stdin:
                async for command in self._unsent:
                    await stdin.send(messages.line(command))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return  # it has gone; `read_messages` notices

    async def read_messages(self) -> None:
        """Read what it reports, until it has gone."""
        stdout = self._process.stdout
        if stdout is None:
            raise AssertionError("the process has no standard output")
        lines = BufferedByteReceiveStream(stdout)
        try:
            while True:
                self._receive(json.loads(await lines.receive_until(b"\n", _LONGEST_LINE)))
        except (
            anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError
        ):  # fmt: skip
            pass
        finally:
            with anyio.CancelScope(shield=True):
                await self._process.wait()
            self.ready.set()
            self.gone.set()
            for event in self._closed.values():
                event.set()

    async def read_stderr(self) -> None:
        """Keep the end of what it writes to standard error, such as a traceback."""
        stderr = self._process.stderr
        if stderr is None:
            raise AssertionError("the process has no standard error")
        try:
            async for piece in stderr:
                self.last_words = (self.last_words + piece.decode(errors="replace"))[-_LAST_WORDS:]
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def stop(self) -> None:
        """Cut what is in flight, close all recordings, and wait for the end."""
        self._command(do="stop")
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_LEAVE_S):
                await self.gone.wait()
            if not self.gone.is_set():
                self._process.kill()
                await self.gone.wait()
            self._commands.close()

    def _receive(self, message: dict[str, Any]) -> None:
        if "closed" in message:
            if event := self._closed.get(message["closed"]):
                event.set()
            return
        if "ready" in message:
            self.ready.set()
        known = self._lanes.get(message.get("lane", -1))
        if known is None:  # it has been removed meanwhile
            return
        known.counts = messages.counts(message["counts"])
        if "health" not in message:
            return
        known.health.append(HealthSample(**message["health"]))
        while known.health[0].t_ns < known.counts.t_ns - self._keep_ns:
            known.health.popleft()
        known.worn = message["worn"]
        for outcome, text in message["samples"].items():
            known.samples.setdefault(outcome, text)

    def _command(self, **command: Any) -> None:
        try:
            self._commands.send_nowait(command)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # it has gone, which `gone` says


@asynccontextmanager
async def sending(clock: Clock, keep_ns: int) -> AsyncIterator[Sender]:
    """Run the process of all lanes while the context lasts. `keep_ns`: how much of the past a recording can begin with.

    Raises HarnessError if it does not start.
    """
    sender = Sender(await spawn("harness.load.lanes"), clock, keep_ns)
    async with anyio.create_task_group() as group:
        for task in (sender.write_commands, sender.read_messages, sender.read_stderr):
            group.start_soon(task)
        try:
            with anyio.move_on_after(_READY_S):
                await sender.ready.wait()
            if sender.gone.is_set() or not sender.ready.is_set():
                words = sender.last_words.strip().splitlines() or ["it wrote nothing"]
                raise HarnessError(f"the load's process did not start: {words[-1]}")
            yield sender
        finally:
            await sender.stop()
