"""What runs below a process, and whether it still does."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import Callable


def descendants(pid: int) -> set[tuple[int, str]]:
    """All processes below this one, each as (pid, start time): a pid alone may be reused."""
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


def signalled_until_it_ends(
    process: subprocess.Popen[str], *numbers: signal.Signals, every_s: float = 0.01, patience_s: float = 60
) -> tuple[str, str]:
    """Send these signals in turn until the process has ended; return what it printed. No moment is left out."""
    printed: list[tuple[str, str]] = []
    reader = threading.Thread(target=lambda: printed.append(process.communicate()))
    reader.start()
    until = time.monotonic() + patience_s
    for number in itertools.cycle(numbers):
        process.send_signal(number)
        reader.join(every_s)
        if not reader.is_alive():
            break
        if time.monotonic() > until:
            process.kill()
    reader.join()
    return printed[0]


def caught(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    return _in_mask(pid, "SigCgt", number)


def ignored(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal."""
    return _in_mask(pid, "SigIgn", number)


def _in_mask(pid: int, mask: str, number: signal.Signals) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{mask}:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def come_true(condition: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)
    return condition()
