"""The command `zdtest`: signals first, then the command line."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from harness.interrupts import PROGRAM, wrapped

INTERRUPTED = 130  # ExitCode's, which would have to be imported first


def main() -> int:
    """Run the command line and return the exit code. Once that is set no signal changes it."""
    try:
        PROGRAM.catch()
        from harness.cli import main as command_line  # noqa: PLC0415  what it imports takes a while

        code = command_line()
        PROGRAM.hold()
    except (KeyboardInterrupt, RuntimeError) as error:
        if not (isinstance(error, KeyboardInterrupt) or wrapped(error)):
            raise
        PROGRAM.hold()
        with suppress(OSError):  # nobody may be there to read it
            os.write(2, b"zdtest: interrupted\n")
        code = INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
