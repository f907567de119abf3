"""The command line: parse, call, print, exit code."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from harness.cli import reports, run
from harness.cli.ci import schema
from harness.cli.comparing import compare, plan
from harness.cli.experiments import ab, ablate
from harness.cli.lab import ladder, scenarios, try_, up
from harness.cli.manifests import advise, lint, rbac
from harness.cli.root import complain, crashed, root, warn
from harness.cli.runs import clean, elsewhere, export, history, listing, opening, show
from harness.cli.suite import suite
from harness.cli.watch import watching
from harness.errors import RecordingError, UsageError
from harness.interrupts import wrapped
from harness.model import ExitCode

# Importing a module adds its commands.
__all__ = [
    "ab", "ablate", "advise", "clean", "compare", "elsewhere", "export", "history", "ladder", "lint", "listing", "main",
    "opening", "plan", "rbac", "reports", "run", "scenarios", "schema", "show", "suite", "try_", "up", "watching",
]  # fmt: skip


def main() -> int:
    """Run the command line and return the exit code. Every user error is one line."""
    code = _answer()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, KeyboardInterrupt) as fault:
            # Otherwise Python would flush again at its end, and set an exit code of its own, or wait forever.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            code = ExitCode.INTERRUPTED if isinstance(fault, KeyboardInterrupt) else code
    return code


def _answer() -> int:
    try:
        return int(root.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, BrokenPipeError) as left:
        if isinstance(left, click.Abort):
            warn("zdtest: interrupted")
    except (UsageError, RecordingError) as error:
        return complain(str(error))
    except click.ClickException as error:
        # The extra words may be the end of an unquoted header.
        said = re.sub(r"(unexpected extra arguments?) \(.*\)", r"\1", error.format_message(), flags=re.DOTALL)
        return complain(" ".join(said.split()).rstrip(".") + "; see --help")
    except Exception as error:  # noqa: BLE001  a traceback shown to a user is a bug of its own
        if not wrapped(error):
            return crashed(error, Path.cwd())
        warn("zdtest: interrupted")
    return ExitCode.INTERRUPTED
