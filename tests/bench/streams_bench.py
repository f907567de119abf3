"""What it costs to hold streams: CPU for 1,000 idle ones, and memory for each. `python -m tests.bench.streams_bench`.

The server is the sample app, whose streams are silent; on WebSockets only pings go back and forth, every 20 s. CPU is
the worker's own over the last seconds, memory is what its resident size grows by.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from harness.clock import Clock
from harness.load.generator import Load, running
from harness.model import LoadPlan, Target

MEASURED_S = 10
KINDS = {"WebSocket": ("ws", "/ws", True), "event stream": ("http", "/events", False)}


def main() -> None:
    """Print a row for each kind and number of streams."""
    print("| | streams | CPU for 1,000 | memory each |\n|---|---|---|---|")  # noqa: T201
    for kind, (scheme, path, websocket) in KINDS.items():
        _, least = measured(scheme, path, 1, websocket=websocket)
        for number in (1000, 4000):
            cpu, rss = measured(scheme, path, number, websocket=websocket)
            each = (rss - least) / number
            print(f"| {kind} | {number:,} | {100 * cpu * 1000 / number:.2f} % | {each / 1024:.1f} KiB |")  # noqa: T201


def measured(scheme: str, path: str, number: int, *, websocket: bool) -> tuple[float, int]:
    """Return the share of a CPU that the worker uses for so many streams, and its resident bytes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    silent = {"STREAM_EVERY_MS": "1000000000", "STARTUP_DELAY": "0", "BIND_PORT": str(port)}
    server = subprocess.Popen(
        [sys.executable, "-m", "harness.lab.app"],
        env=os.environ | silent | {"BIND_ADDRESS": "127.0.0.1", "LAB_LIFELINE": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout
    server.stdout.readline()
    plan = LoadPlan(
        (Target(f"{scheme}://127.0.0.1:{port}{path}"),), number, stream=True, websocket=websocket,
        expect=((101, 101),) if websocket else ((200, 299),),
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as folder:
            return anyio.run(_hold, plan, Path(folder))
    finally:
        server.kill()
        server.wait()


async def _hold(plan: LoadPlan, folder: Path) -> tuple[float, int]:
    async with running(plan, Clock.start(), folder) as load:
        with anyio.fail_after(120):
            while load.counts.completed < plan.concurrency:  # noqa: ASYNC110  another process makes it true
                await anyio.sleep(0.1)
        await anyio.sleep(3)
        await _seconds(load, 1)
        used = await _seconds(load, MEASURED_S)
        pid = load._workers[0].process.pid
        return used / MEASURED_S / 1e9, _resident(pid)


async def _seconds(load: Load, number: int) -> int:
    """Return the CPU time of the next so many whole seconds."""
    while load.samples.statistics().current_buffer_used:
        load.samples.receive_nowait()
    return sum([(await load.samples.receive()).cpu_ns for _ in range(number)])


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
