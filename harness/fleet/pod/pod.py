"""One pod of a fleet: it waits for the collector and does what that says.

The load itself is sent by the same worker processes as on one machine; this process tells them what to do, follows
their files and sends them back. A connection that is cut changes nothing for them: the rows wait on disk until the
collector comes again. Where it does not, the load ends by itself, so a collector that was killed leaves no load behind.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

import anyio

from harness.clock import Clock
from harness.errors import HarnessError
from harness.fleet import frames, papers
from harness.fleet.clocks import KEPT, Course, Estimate, Exchange, estimate
from harness.fleet.frames import GONE, FrameError, Frames, Piece, gone
from harness.fleet.pod.sending import Unsent, said, sizes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anyio.abc import ByteStream, TaskGroup

    from harness.fleet.frames import LogName
    from harness.fleet.pod.spool import Log, Spool
    from harness.load.generator import Load
    from harness.load.messages import Assignment

UNCALLED_S = 600.0  # how long a pod waits for its collector, at first,
ORPHANED_S = 30.0  # and once it has one
SILENT_S = 6.0  # a connection that brings nothing for so long is dead
_EXCHANGES = 5, 50  # before the first assignment: at least, and at most while none of them was
_QUICK_NS = 500_000  # as certain as this
_QUICK_S, _SLOW_S = 0.02, 2.0  # between two exchanges, at first and later


class Connection:
    """One connection to the collector."""

    def __init__(self, stream: ByteStream, scope: anyio.CancelScope) -> None:
        self.scope = scope
        self._stream = stream
        self._turn = anyio.Lock()
        self.unsent: Unsent | None = None  # known once the collector has said what it has

    async def say(self, *parts: bytes) -> None:
        """Send frames, whole."""
        async with self._turn:
            await self._stream.send(b"".join(parts))


class Pod:
    """One pod's part of the load, from its first connection until it may leave."""

    def __init__(self, directory: Path, tasks: TaskGroup, now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._directory = directory
        self._tasks = tasks
        self._now_ns = now_ns
        self._heard_ns = now_ns()
        self._connection: Connection | None = None
        self._exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self._exchanged = 0
        self._clock_known = anyio.Event()
        self._done = 0  # the number of the last command that was carried out
        self._clock = Clock(0, 0)
        self._course = Course(0)
        self._worst_ns = 0
        self._load: Load | None = None
        self._spools: dict[int, Spool] = {}
        self._every_s, self._keep = 0.25, 0
        self._refused = ""
        self._finished = False
        self._ending = anyio.Event()

    @property
    def logs(self) -> dict[LogName, Log]:
        """The logs of all workers."""
        return {name: log for spool in self._spools.values() for name, log in spool.logs.items()}

    async def serve(self, stream: ByteStream) -> None:
        """Speak to the collector as long as this connection lasts. A newer one ends it: the collector came anew."""
        if self._connection:
            self._connection.scope.cancel()
        with anyio.CancelScope() as scope:
            self._connection = Connection(stream, scope)
            try:
                await self._speak(stream, self._connection)
            except BaseException as error:
                if not gone(error):
                    raise
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                    await stream.aclose()

    async def _speak(self, stream: ByteStream, connection: Connection) -> None:
        received = Frames()
        await connection.say(frames.talk({"done": self._done}))
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._exchange, connection)
            while True:
                with anyio.fail_after(SILENT_S):
                    content = await stream.receive(1 << 18)
                now_ns = self._now_ns()
                self._heard_ns = now_ns
                for message in received.feed(content):
                    if isinstance(message, Piece):
                        raise FrameError("a collector sends no logs")
                    await self._hear(message, connection, now_ns)

    async def _hear(self, message: dict[str, Any], connection: Connection, now_ns: int) -> None:
        if "pong" in message:
            exchange = Exchange(message["pong"], message["received_ns"], message["answered_ns"], now_ns)
            self._exchanges.append(exchange)
            self._exchanged += 1
            self._steer(now_ns)
        if "have" in message:
            if connection.unsent is None:
                connection.unsent = Unsent(self.logs, said(message["have"]))
            connection.unsent.has(said(message["have"]))
            await connection.say(*connection.unsent.pieces())
        if message.get("n", 0) > self._done:  # else it was carried out before the connection was cut
            self._done = message["n"]
            self._obey(message)
        if "leave" in message:
            self._tasks.cancel_scope.cancel()

    async def _exchange(self, connection: Connection) -> None:
        while True:
            await connection.say(frames.talk({"ping": self._now_ns()}))
            await anyio.sleep(_SLOW_S if self._clock_known.is_set() else _QUICK_S)

    def _known(self, now_ns: int) -> Estimate:
        return estimate(self._exchanges, now_ns)

    def _steer(self, now_ns: int) -> None:
        """Follow the run's clock, as far as the pod's own has drifted from it."""
        known = self._known(now_ns)
        if self._load:
            self._worst_ns = max(self._worst_ns, known.uncertainty_ns)
            self._course.bend(now_ns - self._clock.monotonic_ns, known.offset_ns + self._clock.monotonic_ns)
        least, most = _EXCHANGES
        certain = known.uncertainty_ns < _QUICK_NS and self._exchanged >= least
        if certain or self._exchanged >= most:
            self._clock_known.set()

    def _obey(self, command: dict[str, Any]) -> None:
        load = self._load
        match command["do"]:
            case "assign":
                self._tasks.start_soon(self._carry_out, command)
            case "start" if load:
                at_ns = command["at_ns"]
                load.start(at_ns - self._course.offset_ns(at_ns))
            case "baseline" if load:
                load.baseline()
            case "lull" if load:
                load.lull()
            case "resume" if load:
                load.resume()
            case "finish" if load:
                self._tasks.start_soon(self._finish, load, command["drain_ns"])

    async def _carry_out(self, command: dict[str, Any]) -> None:
        """Hold the load from the assignment to its end, and send back what comes of it."""
        from harness.load import feasibility, generator  # noqa: PLC0415  these import pyarrow

        await self._clock_known.wait()
        written, self._every_s, self._keep = self._directory / "written", command["every_s"], command["keep"]
        written.mkdir(mode=0o700)
        self._clock = Clock(-self._known(self._now_ns()).offset_ns, command["wall_ns"])
        self._worst_ns = self._known(self._now_ns()).uncertainty_ns
        try:
            assignments = papers.unpacked(command, self._clock, written, self._directory)
            own = sum(len(each.slots) for each in assignments)
            feasibility.check(replace(assignments[0].plan, concurrency=own, workers=len(assignments)))
            async with generator.waiting(assignments, written) as load:
                self._begin(load, assignments, written)
                async with anyio.create_task_group() as beside:
                    beside.start_soon(self._keep_health, load)  # ends by itself when the load has
                    with anyio.CancelScope() as until_the_end:
                        beside.start_soon(self._cancel_at_the_end, until_the_end)
                        await self._keep_reporting()
                for spool in self._spools.values():
                    await anyio.to_thread.run_sync(spool.finish, self._course, self._keep)
        except HarnessError as error:
            self._refused = str(error)
        self._finished = True
        await self._keep_reporting()

    def _begin(self, load: Load, assignments: list[Assignment], written: Path) -> None:
        from harness.fleet.pod.spool import Spool  # noqa: PLC0415  it imports pyarrow

        sent = self._directory / "sent"
        self._spools = {each.worker: Spool(each.worker, each.plan, written, sent) for each in assignments}
        if self._connection:
            self._connection.unsent = Unsent(self.logs, {})
        self._load = load

    async def _keep_health(self, load: Load) -> None:
        async for sample in load.samples:
            moved = sample.t_ns + self._course.offset_ns(sample.t_ns)
            self._spools[sample.worker].health(replace(sample, t_ns=moved))

    async def _cancel_at_the_end(self, scope: anyio.CancelScope) -> None:
        await self._ending.wait()
        scope.cancel()

    async def _finish(self, load: Load, drain_ns: int) -> None:
        await load.finish(drain_ns)
        self._ending.set()

    async def _keep_reporting(self) -> None:
        rounds = 0
        while True:
            if not self._finished and rounds % round(1 / self._every_s) == 0:
                for spool in self._spools.values():
                    spool.turn(self._course, self._keep)
            rounds += 1
            if (connection := self._connection) and connection.unsent:
                try:
                    await connection.say(frames.talk({"report": self._report()}), *connection.unsent.pieces())
                except GONE:
                    self._connection = None  # the collector will come again
            await anyio.sleep(self._every_s)

    def _report(self) -> dict[str, Any]:
        now_ns = self._now_ns()
        wall_ns = self._clock.wall_ns + now_ns + self._known(now_ns).offset_ns
        return papers.report(
            self._load,
            self._course,
            refused=self._refused,
            finished=self._finished,
            clock=Estimate(time_ns() - wall_ns, self._worst_ns),
            sizes=sizes(self.logs),
        )

    async def leave_when_forgotten(self) -> None:
        """End the load and the pod once the collector has been silent for too long."""
        while True:
            patience_s = ORPHANED_S if self._done else UNCALLED_S
            if self._now_ns() - self._heard_ns > patience_s * 1e9:
                self._tasks.cancel_scope.cancel()
                return
            await anyio.sleep(1)
