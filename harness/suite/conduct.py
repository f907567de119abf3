"""Goes through a suite: begins runs when they may begin, and writes down what became of each."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from harness.model import ExitCode
from harness.recording.series import suite as file
from harness.recording.series.suite import Result
from harness.suite import ending, turns
from harness.suite.child import Child
from harness.suite.ending import Ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anyio.abc import TaskGroup

    from harness.interrupts import Asked
    from harness.recording.series.suite import Entry, Suite
    from harness.suite.turns import Turn

AGAIN_S = 20.0
_LOOK_S = 1.0


class Shown(Protocol):
    """Whoever shows a suite while it goes on."""

    def began(self, entry: Entry) -> None:
        """Say that a run begins."""

    def ended(self, entry: Entry) -> None:
        """Say what became of a run, or that it is left out."""

    def say(self, line: str) -> None:
        """Say something else."""

    def goes_on(self, running: list[tuple[Entry, float]]) -> None:
        """Take note that time has passed: these run, each for so many seconds."""


class Run(Protocol):
    """One try at a scenario."""

    async def __call__(self, child: Child, entry: Entry) -> tuple[Ended, dict[str, Any]]:
        """Carry it out; return how its process ended, and the fields of its entry that this changes."""


@dataclass(slots=True)
class Conductor:
    """A suite on its way. `suite` is what its file says at any moment."""

    directory: Path
    suite: Suite
    turns: tuple[Turn, ...]
    run: Run
    shown: Shown
    asked: Asked
    wait_s: float  # for a workload that another run holds
    clock: Callable[[], float] = time.monotonic
    again_s: float = AGAIN_S  # until a run is tried again whose workload another run held
    _began_s: float = 0.0
    _spent_s: float = 0.0  # by earlier processes, if it is resumed
    _waiting: list[int] = field(default_factory=list)
    _later: dict[int, float] = field(default_factory=dict)  # not to be tried again before this
    _held: dict[int, float] = field(default_factory=dict)  # since when its workload is held by another run
    _running: dict[int, tuple[Child, float]] = field(default_factory=dict)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    async def conduct(self) -> Suite:
        """Go through all scenarios without a verdict; return the suite as it is at the end."""
        self._began_s, self._spent_s = self.clock(), self.suite.took_s
        self._waiting = [at for at, entry in enumerate(self.suite.entries) if not entry.judged]
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            group.start_soon(self._watch)
            async with anyio.create_task_group() as runs:
                await self._begin_all(runs)
            group.cancel_scope.cancel()
        interrupted = self.asked.count > 0
        code = ending.worst([entry.result for entry in self.suite.entries], interrupted=interrupted)
        self._keep(replace(self.suite, state="interrupted" if interrupted else "complete", exit_code=code))
        return self.suite

    async def _begin_all(self, runs: TaskGroup) -> None:
        while (
            self._waiting or self._running
        ) and not self.asked.count:  # one that runs may have to wait again
            now_s = self._now_s()
            for late in turns.too_late(self._waiting, self.turns, now_s, self.suite.budget_s):
                self._leave_out(late)
            ready = [at for at in self._waiting if self._later.get(at, 0) <= now_s]
            at = turns.next_one(ready, self._running, self.turns, self.suite.parallel)
            if at is None and not (self._waiting or self._running):
                break
            if at is None:
                self._changed = anyio.Event()
                with anyio.move_on_after(_LOOK_S):
                    await self._changed.wait()
                continue
            self._waiting.remove(at)
            self._running[at] = Child(), now_s
            runs.start_soon(self._one, at)

    async def _one(self, at: int) -> None:
        child, began_s = self._running[at]
        began = datetime.now(UTC).isoformat(timespec="seconds")
        tries = self.suite.entries[at].tries + 1
        fresh = replace(
            self.suite.entries[at], began=began, tries=tries, result=Result.NOT_RUN, said="", run=""
        )
        self._set(at, fresh)
        self.shown.began(fresh)
        try:
            ended, fields = await self.run(child, fresh)
        except OSError as error:  # no room for its log, no process left: it costs only this run
            ended = Ended(ExitCode.CRASH, 0.0)
            fields = {"result": Result.CRASHED, "said": f"it cannot be started: {error.strerror}"}
        self._set(at, replace(fresh, took_s=round(ended.took_s, 3), exit_code=ended.exit_code, **fields))
        del self._running[at]
        if self.suite.entries[at].result is Result.BUSY and self._may_wait(at, began_s):
            self._later[at] = self._now_s() + self.again_s
            self._waiting.append(at)  # others come first
            self.shown.say(
                f"{fresh.name}: {self.suite.entries[at].said}; tried again in {self.again_s:.0f} s at the earliest"
            )
        else:
            self.shown.ended(self.suite.entries[at])
        self._changed.set()

    def _may_wait(self, at: int, began_s: float) -> bool:
        since_s = self._held.setdefault(at, began_s)
        return not self.asked.count and self._now_s() + self.again_s - since_s <= self.wait_s

    def _leave_out(self, at: int) -> None:
        self._waiting.remove(at)
        entry, budget_s = self.suite.entries[at], self.suite.budget_s or 0.0
        if entry.result is Result.BUSY:  # it was tried, and that says more
            self.shown.ended(entry)
            return
        left_s = max(0.0, budget_s - self._now_s())
        said = f"it takes about {_minutes(entry.expected_s)}, and {_minutes(left_s)} of the budget were left"
        self._set(at, replace(entry, result=Result.LEFT_OUT, said=said, run="", log=""))
        self.shown.ended(self.suite.entries[at])

    async def _listen(self) -> None:
        async for count in self.asked.each():
            if count == 1:
                self.shown.say(
                    "interrupted: runs in progress end with a partial report, no other begins (again to leave at once)"
                )
            for child, _ in list(self._running.values()):
                child.interrupt(count)
            self._changed.set()

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(_LOOK_S)
            now_s = self._now_s()
            self.shown.goes_on(
                [(self.suite.entries[at], now_s - began_s) for at, (_, began_s) in self._running.items()]
            )

    def _now_s(self) -> float:
        return self.clock() - self._began_s

    def _set(self, at: int, entry: Entry) -> None:
        entries = list(self.suite.entries)
        entries[at] = entry
        self._keep(replace(self.suite, entries=tuple(entries)))

    def _keep(self, suite: Suite) -> None:
        self.suite = replace(suite, took_s=round(self._spent_s + self._now_s(), 3))
        with suppress(OSError):  # a full disk: what is on it is resumable, and the runs' own verdicts count
            file.write(self.directory, self.suite)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
