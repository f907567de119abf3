"""The root of the command line, and what all commands share: exit codes, crashes, one-line errors."""

from __future__ import annotations

import contextlib
import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import __version__, masking
from harness.errors import HarnessError, unwrap
from harness.escaping import for_line, for_log, for_terminal
from harness.interrupts import wrapped
from harness.model import ExitCode
from harness.recording.folder import write_text

if TYPE_CHECKING:
    from collections.abc import Callable

EPILOG = """Exit codes: 0 PASS, 1 FAIL (requests were lost), 2 wrong usage or configuration (nothing was touched),
3 INCONCLUSIVE (no loss was seen, but the run does not prove that there was none), 4 zdtest itself crashed,
130 interrupted (what was recorded is kept and reported)."""

_READ_ALONG = ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")  # Gitea and Forgejo set the first


@click.group(
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="zdtest")
def root() -> None:
    """Prove that a Kubernetes rollout loses no requests. If it does lose some, say which, why, and what fixes it."""


class LeftAtOnce(click.Abort):
    """A run was left in the middle; what it leaves behind has been printed."""


def warn(line: str) -> None:
    """Print one line on standard error. If that fails, too, only the exit code is left."""
    with contextlib.suppress(OSError):
        click.echo(_in_a_log(for_line(line)), err=True)


def order(line: str) -> None:
    """Print a command to the CI system that reads the job's log."""
    with contextlib.suppress(OSError):
        click.echo(for_line(line), err=True)


def _in_a_log(text: str) -> str:
    """Return text that gives no commands to the CI system, where one reads along."""
    return for_log(text) if any(os.environ.get(name) for name in _READ_ALONG) else text


def show(text: str, *, nl: bool = True, orders: bool = False) -> None:
    """Print text on standard output, escaped for a terminal. Everything that is printed comes through here.

    With `orders` it is commands to the CI system that reads the job's log.
    """
    text = for_terminal(text) if orders else _in_a_log(for_terminal(text))
    try:
        click.echo(text, nl=nl)
    except BrokenPipeError:
        raise
    except UnicodeEncodeError as error:  # a character that this terminal cannot encode
        click.echo(text.encode(error.encoding, "backslashreplace").decode(error.encoding), nl=nl)
    except OSError as error:  # standard output is a file on a full disk, or a terminal that has gone
        warn(f"zdtest: cannot print to standard output: {error.strerror}")


def complain(line: str) -> int:
    """Print one line about bad input, with secrets masked, and return its exit code."""
    warn(f"zdtest: {masking.prose(line)}")
    return ExitCode.USAGE


def guarded(work: Callable[[], Path], output: Path) -> Path | int:
    """Do the work; a bug of ours becomes one line, and its traceback goes to crash.txt."""
    try:
        return work()
    except LeftAtOnce:
        return ExitCode.INTERRUPTED
    except (click.Abort, KeyboardInterrupt):
        warn("zdtest: interrupted before the load began; nothing was touched")
        return ExitCode.INTERRUPTED
    except BaseException as error:  # noqa: BLE001  the last resort
        cause = unwrap(error)
        if wrapped(cause):
            warn("zdtest: interrupted before the load began; nothing was touched")
            return ExitCode.INTERRUPTED
        if isinstance(cause, HarnessError):
            return complain(str(cause))
        return crashed(error, output if output.is_dir() else Path.cwd())


def crashed(error: BaseException, folder: Path) -> int:
    """Say in one line that this is a bug of ours, and write the traceback to a file."""
    cause, crash = unwrap(error), folder / "crash.txt"
    text = masking.prose("".join(traceback.format_exception(error)))
    where = f"please report {crash}"
    try:
        write_text(crash, text)
    except OSError as refused:
        where = f"and crash.txt cannot be written there ({refused.strerror})"
    warn(
        f"zdtest: crashed: {type(cause).__name__}: {masking.prose(str(cause))}; this is a bug in zdtest, {where}"
    )
    return ExitCode.CRASH
