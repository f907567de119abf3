"""What runs below a process, and whether it still does."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path


def descendants(pid: int) -> set[tuple[int, str]]:
    """All processes below this one, each as (pid, start time): a pid alone may be taken again."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = (int(fields[1]), fields[19])
    found: set[tuple[int, str]] = set()
    wave = {pid}
    while wave:
        wave = {child for child, (parent, _) in parents.items() if parent in wave}
        found |= {(child, parents[child][1]) for child in wave}
    return found


def alive(processes: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those of these processes that still run."""
    there = set()
    for pid, started in processes:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[19] == started and fields[0] != "Z":
                there.add((pid, started))
    return there


def ended_within(processes: set[tuple[int, str]], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(processes)
