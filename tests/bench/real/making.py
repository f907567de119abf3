"""Recordings of cells on the real cluster: several at a time, of which one is measured.

To set a cell up and to take it down takes longer than to measure it, nearly all of it waiting. So others are set up and
taken down while one is measured.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.bench import real_runs
from tests.bench.score_bench import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.bench.cells import Row

    Job = Callable[[int, AbstractContextManager[object]], Path | None]


def make(row: Row, proxy: str, out: Path) -> Job:
    """Return what records one cell into `out`, when it is given a port and its turn."""

    def job(port: int, turn: AbstractContextManager[object]) -> Path:
        with row.opened() as folder:
            return record(row, proxy, folder, out, port, turn)

    return job


def record(
    row: Row, proxy: str, folder: Path, out: Path, port: int, turn: AbstractContextManager[object]
) -> Path:
    """Record a cell with the scenario in `folder`: its own, or the same with its fault fixed."""
    return real_runs.record(
        folder, out, *row.load, *row.options,
        kind=row.kind, proxy=proxy, lag_s=row.lag_s, port=port, turn=turn,
    )  # fmt: skip


def make_all(jobs: Iterable[tuple[Path, Job]], at_once: int = 1) -> None:
    """Run the jobs, each given with the folder that it fills; one that cannot be made is said, and left to be made
    again. `at_once` of them are measured at a time.
    """
    turn = threading.Semaphore(at_once)
    workers = 2 * at_once
    ports = queue.SimpleQueue[int]()
    for port in range(real_runs.PORT, real_runs.PORT + workers):
        ports.put(port)

    def one(named: tuple[Path, Job]) -> None:
        out, job = named
        if recorded(out):
            return
        port, began = ports.get(), time.monotonic()
        try:
            job(port, turn)
            found = recorded(out)
            said = (found / "summary.txt").read_text().partition("\n")[0] if found else "no recording"
        except (Exception, SystemExit) as error:  # noqa: BLE001  the others are made all the same
            said = f"not made: {error}"
        finally:
            ports.put(port)
        name = f"{out.parent.name}/{out.name}"
        print(f"{name} in {time.monotonic() - began:.0f} s: {said}", file=sys.stderr, flush=True)  # noqa: T201

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, jobs))
