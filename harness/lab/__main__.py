"""`python -m harness.lab DIRECTORY PRIVATE`: the lab's main process. Its plan is the first line of standard input.

PRIVATE is an empty folder for the lab's secrets; it is removed at the end. The process answers with one line on
standard output, {"ready": {...}} or {"error": "..."}. When standard input ends, or on SIGTERM, it ends with
everything it started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import signal
import sys
from pathlib import Path

import uvloop

from harness.errors import HarnessError
from harness.lab.supervisor import supervise
from harness.model import LabPlan


def main() -> None:
    """Run a lab until it is asked to stop."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C at the terminal is handled by the parent, which then shuts this process down
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    directory, private = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        _run(directory, private)
    finally:
        shutil.rmtree(private, ignore_errors=True)  # the parent does this too, unless it was killed


def _run(directory: Path, private: Path) -> None:
    plan = json.loads(sys.stdin.buffer.readline() or b"null")
    if plan is None:
        return  # the parent died before it sent a plan
    plan["manifests"] = tuple(plan["manifests"])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(supervise(LabPlan(**plan), directory, private, _answer))
    except HarnessError as error:
        logging.getLogger("lab").error("%s", error)  # noqa: TRY400  one line for the user; a traceback would not help
        _answer({"error": str(error)})
        sys.exit(1)


def _answer(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
