"""One worker process: one event loop and its share of the slots. Started by generator.py, ends when its parent does.

Imports neither kubernetes nor pandas: it must start fast and stay small.
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
    """Hides pandas. pyarrow imports it with the first array that is built: 0.4 s and 60 MiB, for nothing here."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Refuse one name, and leave all others to the next finder."""
        if fullname == "pandas":
            raise ModuleNotFoundError("a worker has no use for pandas", name=fullname)


def _read_assignment() -> bytes:
    """Read the order: one line, and until this worker is ready nothing comes after it."""
    pieces: list[bytes] = []
    while not (pieces and pieces[-1].endswith(b"\n")):
        piece = os.read(0, 1 << 20)
        if not piece:
            raise SystemExit(0)
        pieces.append(piece)
    return b"".join(pieces)


def main() -> None:
    """Run one worker. Ends with 1 and a traceback on a bug of ours, and with 0 in all other cases."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.meta_path.insert(0, NoPandas())
    from harness.load import messages  # noqa: PLC0415  these bring pyarrow
    from harness.load.worker.run import WorkerRun  # noqa: PLC0415

    assignment = messages.decode(json.loads(_read_assignment()))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def work() -> None:
        await WorkerRun(assignment).run()

    uvloop.run(work())


if __name__ == "__main__":
    main()
