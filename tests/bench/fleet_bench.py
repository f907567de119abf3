"""What one collector costs: `python -m tests.bench.fleet_bench [PODS …]`. Writes the table of docs/fleet.md to stdout.

Each pod is simulated: it says over the real wire (TLS and all) what a pod says that sends 5,000 requests a second of
which 1 % fail, with the rows that such a pod sends back. The collector is the real one, on one core; the simulator has
the other cores. What counts is the collector's processor time for each second of the simulated load, which does not
depend on how busy the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pyarrow as pa

from harness.clock import NS, Clock
from harness.fleet import frames, keys, link
from harness.fleet.collector import running
from harness.fleet.frames import HEALTH, HITS, Frames, LogName, Piece
from harness.fleet.members import Member, connected
from harness.model import OUTCOMES, LiveCounts, LoadPlan, Target
from harness.recording.write import HIT_SCHEMA, ArrowStream
from tests.fleet.local_pods import free_port

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

RATE, FAILED = 5_000, 50  # requests a second of one pod, and those of them that fail
GOOD = 80  # rows that stand for the good ones: 50 by 20 strata, and their extremes
SECONDS = 12


@dataclass
class Simulated:
    """A host whose pods are all behind one port."""

    port: int
    pods: int

    async def members(self) -> Sequence[Member]:
        return [Member(f"pod-{n}", f"node-{n}", ("127.0.0.1", self.port)) for n in range(self.pods)]

    async def dial(self, member: Member) -> socket.socket:
        return await connected(member.address)

    async def fate(self, _: Member) -> str:
        return ""


def rows(path: Path) -> tuple[bytes, bytes]:
    """Return a log of hits with its first second, and the bytes of each later second."""
    count = FAILED + GOOD
    rng = np.random.default_rng(1)
    moments = np.sort(rng.integers(0, NS, count))
    numbers: dict[str, Any] = {
        "status": np.r_[np.full(FAILED, 503), np.full(GOOD, 200)].astype(np.uint16),
        "stands_for": np.full(count, 60, np.uint32),
        "until_close": pa.array(np.zeros(count, np.bool_)),
    }
    words = {
        "outcome": (np.zeros(count, np.uint8), [one.value for one in OUTCOMES]),
        "peer": (np.ones(count, np.int32), ["", "10.0.0.1:80"]),
        "pod": (
            rng.integers(1, 11, count).astype(np.int32),
            ["", *(f"web-{n:010x}-abcde" for n in range(10))],
        ),
    }
    columns = []
    for field in HIT_SCHEMA:
        if field.name in words:
            codes, known = words[field.name]
            columns.append(pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(known)))
        elif field.name in numbers:
            columns.append(pa.array(numbers[field.name]))
        else:
            values = moments if "_ns" in field.name else np.arange(count)
            columns.append(pa.array(values.astype(field.type.to_pandas_dtype())))
    stream, sizes = ArrowStream(path, HIT_SCHEMA, 0), []
    for _ in range(3):
        stream.append(columns)
        sizes.append(path.stat().st_size)
    whole = path.read_bytes()
    return whole[: sizes[0]], whole[sizes[0] : sizes[1]]


class Pod:
    """One simulated pod: one connection."""

    def __init__(self, first: bytes, later: bytes) -> None:
        self._first, self._later = first, later
        self._sent: dict[LogName, int] = {}
        self._counts = LiveCounts(statuses={200: 1, 503: 1}, latencies={n: n for n in range(320, 420)})
        self._worker, self._seconds = -1, 0
        self._started, self._ending = asyncio.Event(), False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending = asyncio.create_task(self._send(writer))
        received = Frames()
        try:
            writer.write(frames.talk({"done": 0}))
            while content := await reader.read(1 << 16):
                for message in received.feed(content):
                    assert isinstance(message, dict)
                    match message.get("do"):
                        case "assign":
                            self._worker = message["assignments"][0]["worker"]
                            writer.write(frames.talk({"report": self._report()}))
                        case "start":
                            self._started.set()
                        case "finish":
                            self._ending = True
                    if "leave" in message:
                        return
        except (OSError, ssl.SSLError):
            return
        finally:
            sending.cancel()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        await self._started.wait()
        await asyncio.sleep(
            (self._worker * 0.618) % 1
        )  # not all in the same moment: seconds end when pods say so
        while not self._ending:
            self._seconds += 1
            writer.write(frames.talk({"ping": time.monotonic_ns()}))
            health = (
                f'{{"t_ns":{self._seconds * NS},"worker":{self._worker},"started":{RATE},"completed":{RATE},'
                '"failed":50,"in_flight":20,"oldest_in_flight_ns":5000000,"lag_p99_ns":900000,"lag_max_ns":2000000,'
                '"cpu_ns":400000000,"open_files":40,"stalled":false}\n'
            )
            parts = [
                self._piece(HEALTH, health.encode()),
                self._piece(HITS, self._first if self._seconds == 1 else self._later),
            ]
            writer.write(frames.talk({"report": self._report()}) + b"".join(parts))
            await writer.drain()
            await asyncio.sleep(1)
        writer.write(frames.talk({"report": {**self._report(), "finished": True}}))

    def _piece(self, kind: str, content: bytes) -> bytes:
        name = LogName(kind, self._worker)
        offset = self._sent.get(name, 0)
        self._sent[name] = offset + len(content)
        return frames.piece(Piece(name, offset, content))

    def _report(self) -> dict[str, Any]:
        counts = {**asdict(self._counts), "completed": RATE * self._seconds, "t_ns": self._seconds * NS}
        worker = {"counts": counts, "backed_off": 0, "late_ns": 0, "ended": False}
        return {
            "workers": {self._worker: worker}, "lost": {}, "samples": {}, "failures": [], "clock": [0, 100_000],
            "refused": "", "finished": False, "sizes": {str(name): size for name, size in self._sent.items()},
        }  # fmt: skip


async def simulate(folder: Path, port: int) -> None:
    """Be all pods, until the parent ends this process."""
    first, later = rows(folder / "template.arrow")
    tls = keys.of_a_pod(folder)
    server = await asyncio.start_server(
        lambda reader, writer: Pod(first, later).serve(reader, writer),
        "127.0.0.1",
        port,
        ssl=tls,
        backlog=2048,
    )
    async with server:
        await server.serve_forever()


async def collect(folder: Path, port: int, pods: int) -> dict[str, float]:
    """Hold a load of these pods for SECONDS, and measure what it costs."""
    plan = LoadPlan((Target("http://web/"),), concurrency=20 * pods if pods <= 1000 else pods)
    run, seconds, received = folder / f"run-{pods}", 0, 0
    run.mkdir()
    secrets = SECRETS[0]
    begun = time.process_time()
    async with running(plan, Clock.start(), run, Simulated(port, pods), pods, secrets) as load:
        async with anyio.create_task_group() as group:

            async def count() -> None:
                nonlocal seconds
                async for _ in load.samples:
                    seconds += 1

            group.start_soon(count)
            connected, cpu, wall = time.process_time() - begun, time.process_time(), time.monotonic()
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                _ = load.counts  # ten times a second, as the conductor asks
                await anyio.sleep(0.1)
            cpu, wall, told = time.process_time() - cpu, time.monotonic() - wall, seconds
            finishing = time.monotonic()
            await load.finish(0)
            finishing = time.monotonic() - finishing
        assert not load.lost
    received = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    return {
        "pods": pods,
        "cpu": cpu / (told / pods),  # of the collector, for each second of the load
        "connect": connected,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "network": received / seconds * pods / 1e6,
        "finish": finishing,
        "kept_up": told / pods / wall,
    }


SECRETS: list[keys.Keys] = []


def measure(pods: int) -> None:
    """Measure one size, in this process: its memory is then its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cores = sorted(os.sched_getaffinity(0))
    SECRETS.append(keys.issue())
    link.SILENT_S = link.LOST_S = (
        600.0  # a busy machine may hold up the simulator; only processor time counts here
    )
    with tempfile.TemporaryDirectory(prefix="zdtest-bench-") as scratch:
        folder, port = Path(scratch), free_port()
        for name, content in SECRETS[0].secret().items():
            (folder / name).write_bytes(content)
        simulator = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.fleet_bench", "--simulate", scratch, str(port)]
        )
        try:
            os.sched_setaffinity(simulator.pid, cores[1:] or cores)
            os.sched_setaffinity(0, cores[:1])
            time.sleep(3)
            found = anyio.run(collect, folder, port, pods)
        finally:
            simulator.kill()
            simulator.wait()
    print(  # noqa: T201
        f"| {pods:,} | {pods * RATE / 1e6:g} M | {100 * found['cpu']:.0f} % | {found['rss']:.0f} MiB | "
        f"{found['network']:.1f} MB | {found['connect']:.1f} s "
        f"| {found['finish']:.1f} s | {100 * found['kept_up']:.0f} % |",
        flush=True,
    )


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", nargs=2)
    parser.add_argument("--one", type=int)
    parser.add_argument("pods", type=int, nargs="*", default=[10, 100, 300, 1000])
    asked = parser.parse_args()
    if asked.simulate:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        asyncio.run(simulate(Path(asked.simulate[0]), int(asked.simulate[1])))
    elif asked.one:
        measure(asked.one)
    else:
        print(  # noqa: T201
            "| pods | requests/s | collector's CPU | memory | network a second | to connect | to finish | in time |\n"
            "|---|---|---|---|---|---|---|---|",
            flush=True,
        )
        for pods in asked.pods:
            subprocess.run([sys.executable, "-m", "tests.bench.fleet_bench", "--one", str(pods)], check=True)


if __name__ == "__main__":
    main()
