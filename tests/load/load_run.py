"""Run a load with the real generator and real worker processes, and read what it wrote to disk."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import anyio
import pyarrow as pa

from harness.clock import Clock
from harness.load.generator import Load, running
from harness.model import HealthSample, LiveCounts, LoadPlan, Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@dataclass
class LoadResult:
    """Everything known about a load that has ended."""

    hits: list[dict[str, Any]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    counts: LiveCounts = field(default_factory=LiveCounts)
    health: list[HealthSample] = field(default_factory=list)
    lost: tuple[int, ...] = ()
    samples: dict[str, str] = field(default_factory=dict)
    backed_off: int = 0

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(hit["outcome"] for hit in self.hits)

    @property
    def failed(self) -> int:
        """Counted from the rows; the workers' own count is in `counts`."""
        bad = [hit for hit in self.hits if hit["outcome"] != "response" or not 200 <= hit["status"] < 300]
        return sum(hit["outcome"] != "cut_at_deadline" for hit in bad)

    def of_target(self, index: int) -> list[dict[str, Any]]:
        return [hit for hit in self.hits if hit["target"] == index]

    def only(self, outcome: str) -> list[dict[str, Any]]:
        return [hit for hit in self.hits if hit["outcome"] == outcome]


def plan_for(url: str, concurrency: int = 4, *, target: Target | None = None, **changes: Any) -> LoadPlan:
    """A plan with a short timeout. Pass `target` to change more than its URL."""
    plan = LoadPlan((target or Target(url),), concurrency, timeout_ns=20_000_000_000)
    return replace(plan, **changes)


def run_load(
    plan: LoadPlan,
    directory: Path,
    *,
    until: Callable[[Load], bool] | None = None,
    seconds: float = 30,
    drain_ns: int = 5_000_000_000,
) -> LoadResult:
    """Run the load until a condition is true, or for this many seconds; then read back what it wrote."""
    result = LoadResult()

    async def main() -> None:
        async with running(plan, Clock.start(), directory) as load:
            with anyio.move_on_after(seconds):
                await wait_until(lambda: until is not None and until(load))
            await finish_load(load, result, drain_ns)

    anyio.run(main)
    read(directory, result)
    return result


async def finish_load(load: Load, result: LoadResult, drain_ns: int = 5_000_000_000) -> None:
    await load.finish(drain_ns)
    result.counts, result.lost = load.counts, load.lost
    result.samples, result.backed_off = load.error_samples, load.backed_off
    result.health = [sample async for sample in load.samples]


async def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  another process makes it true
        await anyio.sleep(0.02)


def completed(count: int) -> Callable[[Load], bool]:
    return lambda load: load.counts.completed >= count


def read(directory: Path, result: LoadResult) -> None:
    for folder, rows in (("hits", result.hits), ("connections", result.connections)):
        for path in sorted((directory / folder).glob("*.arrow")):
            rows.extend(read_stream(path))


def read_stream(path: Path) -> list[dict[str, Any]]:
    """Read batch by batch: the file may be cut off anywhere."""
    rows: list[dict[str, Any]] = []
    try:
        with pa.ipc.open_stream(path) as reader:
            worker = int(reader.schema.metadata[b"worker"])
            while True:
                rows += [{**row, "worker": worker} for row in reader.read_next_batch().to_pylist()]
    except (StopIteration, pa.ArrowInvalid, OSError):
        return rows


@asynccontextmanager
async def running_load(plan: LoadPlan, directory: Path) -> AsyncIterator[Load]:
    """A running load that has completed its first hit."""
    async with running(plan, Clock.start(), directory) as load:
        with anyio.fail_after(30):
            await wait_until(lambda: load.counts.completed > 0)
        yield load
