"""A worker process: one event loop and its share of the slots. Started by the generator; ends when its parent does.

Imports neither kubernetes nor pandas, to start fast and stay small.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from importlib.abc import MetaPathFinder

import uvloop


class NoPandas(MetaPathFinder):
    """Hides pandas. pyarrow would import it for its first array, which costs 0.4 s and 60 MiB and is of no use here."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Refuse pandas, and leave all other names to the next finder."""
        if fullname == "pandas":
            raise ModuleNotFoundError("a worker does not use pandas", name=fullname)


def _read_assignment() -> bytes:
    """Read the assignment: one line. Nothing follows it until this worker is ready."""
    pieces: list[bytes] = []
    while not (pieces and pieces[-1].endswith(b"\n")):
        piece = os.read(0, 1 << 20)
        if not piece:
            raise SystemExit(0)
        pieces.append(piece)
    return b"".join(pieces)


def main() -> None:
    """Run one worker. Exits with 1 and a traceback if we have a bug, and with 0 otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.meta_path.insert(0, NoPandas())
    from harness.load import messages  # noqa: PLC0415  these import pyarrow
    from harness.load.worker.run import WorkerRun  # noqa: PLC0415

    assignment = messages.decode(json.loads(_read_assignment()))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def work() -> None:
        await WorkerRun(assignment).run()

    uvloop.run(work())


if __name__ == "__main__":
    main()
