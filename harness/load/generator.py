"""The load in the parent process: start the workers together, collect what they report, and see them end."""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
from anyio.streams.buffered import BufferedByteReceiveStream

from harness.errors import HarnessError
from harness.load import messages
from harness.load.feasibility import check
from harness.load.prestarted import PrestartedWorkers
from harness.model import FirstFailure, HealthSample, LiveCounts, LoadPlan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import Process
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from harness.clock import Clock
    from harness.load.messages import Assignment
    from harness.model import WorkerClock

T = TypeVar("T")
_READY_S = 60.0  # starting Python takes long on a busy machine
_TOGETHER_NS = 30_000_000  # from the command to the first hit: longer than a line takes through a pipe
_FLUSH_S = 10.0  # time for a worker to write its files, after the drain
_LEAVE_S = 5.0  # the same, if nobody needs its rows any more
_LONGEST_LINE = 1 << 20
_LAST_WORDS = 4096


class Worker:
    """One worker process, as its parent sees it."""

    def __init__(self, assignment: Assignment, process: Process) -> None:
        self.assignment = assignment
        self.process = process
        self.counts = LiveCounts()
        self.backed_off = 0
        self.late_ns = 0  # how late it was told to start
        self.ready = anyio.Event()
        self.gone = anyio.Event()
        self.ended = False  # it has reported its end
        self.last_words = ""
        self.commands: MemoryObjectSendStream[dict[str, Any]]
        self.commands, self._commands = anyio.create_memory_object_stream[dict[str, Any]](math.inf)

    async def write_commands(self) -> None:
        """Write commands as they come; after the last one, close the worker's standard input."""
        try:
            async with self._commands, _piped(self.process.stdin) as stdin:
                async for command in self._commands:
                    await stdin.send(messages.line(command))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return  # the worker has gone; `read_messages` notices

    async def read_stderr(self) -> None:
        """Keep the end of what the worker writes to standard error, such as a traceback."""
        try:
            async for piece in _piped(self.process.stderr):
                self.last_words = (self.last_words + piece.decode(errors="replace"))[-_LAST_WORDS:]
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


class Load:
    """A running load. `samples` receives one HealthSample per worker and second, and ends with the load.

    `started_ns` is the time, on the run's clock, at which the first hit is due. `error_samples` holds one raw
    text for each outcome, `last_words` the end of the standard error of each lost worker.
    """

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self.started_ns = 0
        self.error_samples: dict[str, str] = {}
        self.first_failures: dict[str, FirstFailure] = {}  # by kind: of all workers, the first that is known
        self.last_words: dict[int, str] = {}
        self.backed_off = 0  # waits after failed hits, over all workers
        self._send: MemoryObjectSendStream[HealthSample]
        self.samples: MemoryObjectReceiveStream[HealthSample]
        self._send, self.samples = anyio.create_memory_object_stream[HealthSample](math.inf)
        self._lost: list[int] = []

    @property
    def workers(self) -> tuple[Worker, ...]:
        """All workers, in the order in which they were started."""
        return tuple(self._workers)

    def add(self, worker: Worker) -> Worker:
        """Add a worker that has just been started."""
        self._workers.append(worker)
        return worker

    async def all_ready(self) -> None:
        """Wait until every worker is ready. Raises HarnessError, with the worker's own error, if one does not start."""
        with anyio.move_on_after(_READY_S):
            for worker in self._workers:
                await worker.ready.wait()  # also set when it has gone
        if any(worker.gone.is_set() or not worker.ready.is_set() for worker in self._workers):
            words = [text.strip().splitlines()[-1] for text in self.last_words.values() if text.strip()]
            raise HarnessError(f"a load worker did not start: {words[0] if words else 'it wrote nothing'}")

    def start(self, at_ns: int) -> None:
        """Let all workers begin at this time on the run's clock."""
        self.started_ns = at_ns
        self._command({"do": "start", "at_ns": at_ns})

    @property
    def counts(self) -> LiveCounts:
        """The latest totals of all workers, at most a quarter of a second old."""
        return messages.total([worker.counts for worker in self._workers])

    @property
    def lost(self) -> tuple[int, ...]:
        """The workers that ended before they were asked to, or did not finish writing their files."""
        return tuple(self._lost)

    @property
    def clocks(self) -> tuple[WorkerClock, ...]:
        """None: all workers read this machine's clock."""
        return ()

    def baseline(self) -> None:
        """End the baseline: from now on a slot waits for its median cycle after a failed hit."""
        self._command({"do": "baseline"})

    def lull(self) -> None:
        """Send one hit per second until `resume`, so that the other connections stay idle. Not used with a rate."""
        self._command({"do": "lull"})

    def resume(self) -> None:
        """End the lull: all slots send again at once."""
        self._command({"do": "resume"})

    async def finish(self, drain_ns: int) -> None:
        """Send no new hits, wait this long for those in flight, and return when every worker has ended.

        Cannot be cancelled. It takes at most the drain and a few seconds; a worker that does not end is killed and
        counts as lost.
        """
        self._command({"do": "finish", "drain_ns": drain_ns})
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(drain_ns / 1e9 + _FLUSH_S):
                for worker in self._workers:
                    await worker.gone.wait()
            await self.stop(0)

    async def stop(self, patience_s: float) -> None:
        """Ask the workers that still run to end, then kill them. Returns when all processes have gone."""
        with anyio.CancelScope(shield=True):
            for worker in self._workers:
                worker.commands.close()
            with anyio.move_on_after(patience_s):
                for worker in self._workers:
                    await worker.gone.wait()
            for worker in self._workers:
                if not worker.gone.is_set():
                    worker.process.kill()
                    await worker.gone.wait()
            self._send.close()
            # Give the reader of the samples one turn for each that is left, before the stream is closed.
            for _ in range(self.samples.statistics().current_buffer_used + 1):
                await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """Drop the samples that nobody has read."""
        self.samples.close()

    async def read_messages(self, worker: Worker) -> None:
        """Read what a worker reports, until it has gone."""
        number = worker.assignment.worker
        lines = BufferedByteReceiveStream(_piped(worker.process.stdout))
        try:
            while True:
                self._receive(worker, json.loads(await lines.receive_until(b"\n", _LONGEST_LINE)))
        except (
            anyio.EndOfStream,
            anyio.IncompleteRead,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ):
            pass  # the worker has closed its end of the pipe: it has ended, or was killed
        finally:
            with anyio.CancelScope(shield=True):
                await worker.process.wait()
            if not worker.ended:
                self._lost.append(number)
                self.last_words[number] = worker.last_words
            # None of its hits are in flight any more; hits that it began and never reported are in no file.
            left = worker.counts
            worker.counts = messages.total(
                [left, LiveCounts(started=-left.in_flight, in_flight=-left.in_flight)]
            )
            worker.gone.set()
            worker.ready.set()

    def _receive(self, worker: Worker, message: dict[str, Any]) -> None:
        if "counts" in message:
            worker.counts = messages.counts(message["counts"])
            worker.backed_off = message["backed_off"]
            self.backed_off = sum(other.backed_off for other in self._workers)
        if "health" in message:
            self._send.send_nowait(HealthSample(**message["health"]))
        if "sample" in message:
            outcome, text = message["sample"]
            self.error_samples.setdefault(outcome, text)
        if "failure" in message:
            kind, t_ns, words, pod = message["failure"]
            self.first_failures.setdefault(kind, FirstFailure(kind, t_ns, words, pod))
        if "ready" in message:
            worker.ready.set()
        if "late_ns" in message:
            worker.late_ns = message["late_ns"]
        if "ended" in message:
            worker.ended = True

    def _command(self, command: dict[str, Any]) -> None:
        for worker in self._workers:
            # A worker that has gone takes no commands; `read_messages` notices.
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                worker.commands.send_nowait(command)


@asynccontextmanager
async def running(
    plan: LoadPlan, clock: Clock, directory: Path, prestarted: PrestartedWorkers | None = None
) -> AsyncIterator[Load]:
    """Run the load while the context lasts. Whatever happens inside, all workers have gone afterwards.

    `prestarted` are workers that are already waiting; without them, new ones are started.

    Rows go to `<directory>/hits/<worker>.arrow` and `<directory>/connections/<worker>.arrow`, kept answers to
    `<directory>/answers/<worker>.jsonl`; missing folders are created. Raises UsageError, before anything is started,
    if this host cannot carry out the plan, and HarnessError if a worker does not start.
    """
    check(plan)
    async with waiting(messages.assignments(plan, clock, directory), directory, prestarted) as load:
        load.start(clock.now_ns() + _TOGETHER_NS)
        yield load


@asynccontextmanager
async def waiting(
    assignments: list[Assignment], directory: Path, prestarted: PrestartedWorkers | None = None
) -> AsyncIterator[Load]:
    """Have workers ready that begin when `Load.start` is called. All else is as in `running`."""
    prestarted = prestarted or PrestartedWorkers([])
    for folder in ("hits", "connections"):
        (directory / folder).mkdir(mode=0o700, exist_ok=True)
    try:
        async with anyio.create_task_group() as tasks:
            load = Load()
            try:
                for assignment in assignments:
                    worker = load.add(Worker(assignment, await prestarted.take()))
                    tasks.start_soon(worker.write_commands)
                    tasks.start_soon(load.read_messages, worker)
                    tasks.start_soon(worker.read_stderr)
                    worker.commands.send_nowait(messages.encode(assignment))
                await load.all_ready()
                yield load
            finally:
                await load.stop(_LEAVE_S)
                load.close()
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _piped(stream: T | None) -> T:
    if stream is None:
        raise AssertionError("open_process returned no pipe")
    return stream


def _only(error: BaseException) -> BaseException:
    """Unwrap a single exception from the groups that task groups put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
