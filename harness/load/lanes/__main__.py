"""The process of all lanes: one event loop for the load on many services. It ends when its parent does.

Commands are JSON lines on standard input: {"do": "add", "lane", "assignment", "keep_ns"}, "remove" {lane},
"rate" {lane, rate}, "keep" {lane, recording, directory, from_ns}, "end" {lane, recording, end_ns} and "stop". It says
{"ready"}, for each lane {"lane", "counts"}, once a second with "health", "samples" and "worn", {"closed": recording},
and {"ended"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from harness.load.eventloop import report_failure

if TYPE_CHECKING:
    from harness.load.lanes.lane import Lane

_TICK_S = 0.25
_TICKS_A_SECOND = 4


class Lanes:
    """All lanes of this process."""

    def __init__(self) -> None:
        from harness.load.worker.timers import Lag  # noqa: PLC0415  after pandas is hidden

        self._lanes: dict[int, Lane] = {}
        self._lag = Lag()
        self._rest = b""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Carry out commands until there are no more. Raises what went wrong inside."""
        loop = asyncio.get_running_loop()

        def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if not self._over.done():
                self._over.set_exception(context.get("exception") or RuntimeError(context["message"]))

        loop.set_exception_handler(fail)
        loop.add_reader(0, self._read)
        loop.add_reader(self._lag.fileno(), self._lag.take_sample)
        self._lag.start()
        _send({"ready": os.getpid()})
        upkeep = loop.create_task(self._keep_up())
        upkeep.add_done_callback(report_failure)
        try:
            await self._over
        finally:
            upkeep.cancel()
            for lane in self._lanes.values():
                _say_closed(lane.stop())
        _send({"ended": True})

    def _read(self) -> None:
        piece = os.read(0, 1 << 16)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._do(json.loads(line))
        if not piece:  # the parent has gone
            self._stop()

    def _do(self, command: dict[str, Any]) -> None:
        number = command.get("lane", -1)
        match command["do"]:
            case "add":
                self._add(number, command)
            case "remove":
                _say_closed(self._lanes.pop(number).stop())
            case "rate":
                self._lanes[number].change_rate(command["rate"])
            case "keep":
                try:
                    self._lanes[number].keep(
                        command["recording"], Path(command["directory"]), command["from_ns"]
                    )
                except OSError:  # nothing can be written there; the load goes on
                    _say_closed([command["recording"]])
            case "end":
                self._lanes[number].end(command["recording"], command["end_ns"])
            case "stop":
                self._stop()

    def _add(self, number: int, command: dict[str, Any]) -> None:
        from harness.load import messages  # noqa: PLC0415
        from harness.load.lanes.lane import Lane  # noqa: PLC0415

        assignment = messages.decode(command["assignment"])
        lane = self._lanes[number] = Lane(assignment.plan, assignment.clock, command["keep_ns"])
        lane.start()

    def _stop(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def _keep_up(self) -> None:
        ticks, cpu_ns = 0, time.process_time_ns()
        due_s = time.monotonic() + _TICK_S
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s = max(due_s + _TICK_S, time.monotonic())
            ticks += 1
            whole = ticks % _TICKS_A_SECOND == 0
            lag, used_ns = (self._lag.take(), time.process_time_ns() - cpu_ns) if whole else ((0, 0), 0)
            cpu_ns += used_ns
            for number, lane in self._lanes.items():
                lane.sweep()
                if whole:
                    _send({"lane": number, **lane.second(lag, used_ns)})
                elif lane.recording:
                    _send({"lane": number, **lane.counts()})
                _say_closed(lane.ended())


def _say_closed(recordings: list[int]) -> None:
    for recording in recordings:
        _send({"closed": recording})


def _send(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent has gone; standard input ends then, too
        rest = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        while rest:
            rest = rest[os.write(1, rest) :]


def main() -> None:
    """Run all lanes. Exits with 1 and a traceback if we have a bug, and with 0 otherwise."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent says when it is over
    from harness.load.worker.__main__ import NoPandas  # noqa: PLC0415

    sys.meta_path.insert(0, NoPandas())
    import harness.load.lanes.lane  # noqa: F401, PLC0415  it takes a while: before `ready`

    gc.collect()
    gc.freeze()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def work() -> None:
        await Lanes().run()

    uvloop.run(work())


if __name__ == "__main__":
    main()
