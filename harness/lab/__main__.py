"""`python -m harness.lab DIRECTORY PRIVATE`: the lab's one process. Its plan is the first line of its standard input.

PRIVATE is an empty folder for its secrets, and is removed. Answers one line on standard output: {"ready": {...}} or {"error": "..."}. Ends, with all it started, when its
standard input ends or on SIGTERM.
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
    """Run a lab until told to stop."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a Ctrl-C at the terminal is for our parent, who ends us in order
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    directory, private = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        _run(directory, private)
    finally:
        shutil.rmtree(private, ignore_errors=True)  # the parent does so too, unless it was killed


def _run(directory: Path, private: Path) -> None:
    plan = json.loads(sys.stdin.buffer.readline() or b"null")
    if plan is None:
        return  # the parent died before it had said anything
    plan["manifests"] = tuple(plan["manifests"])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(supervise(LabPlan(**plan), directory, private, _answer))
    except HarnessError as error:
        logging.getLogger("lab").error("%s", error)  # noqa: TRY400  it is one line for the user, not a fault of ours
        _answer({"error": str(error)})
        sys.exit(1)


def _answer(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
