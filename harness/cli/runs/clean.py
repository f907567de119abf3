"""`zdtest clean`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.cli.root import root, show
from harness.cli.runs.listing import directory_argument
from harness.errors import RecordingError
from harness.judge.wording import count
from harness.model import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


@root.command("clean")
@directory_argument
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="Keep the latest N runs of each name.",
)
@click.option(
    "--keep-failed", type=click.IntRange(min=0), default=0, metavar="M",
    help="Keep the latest M runs with FAIL of each name, too.  [0]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; without a terminal nothing is asked anyway.")
def clean(directory: Path, *, keep: int, keep_failed: int, dry_run: bool, yes: bool) -> int:
    """Delete the oldest runs in DIR (default: results) beyond the latest N of each name, as `run --keep` does.

    The latest PASS of each name is never deleted: a failed run is compared with it. Nor is what is running, what is no
    run of zdtest, a link, or a folder whose name does not begin with a time, such as one that you renamed.
    """
    from harness.history.clearing import chosen, finished_runs, remove  # noqa: PLC0415  keeps `--help` light
    from harness.history.listing import listed  # noqa: PLC0415

    grades = {run.folder: run.grade for run in listed(directory).runs}
    gone = chosen(finished_runs(directory), grades, keep, keep_failed)
    if dry_run or not gone:
        show("\n".join([*(f"would delete {path}" for path in gone), _said(len(gone), "would be deleted")]))
        return ExitCode.PASS
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        show("\n".join(map(str, gone)))
        if not click.confirm(f"Delete {count(len(gone), 'run')}?", err=True):
            show("nothing was deleted")
            return ExitCode.PASS
    for path in gone:
        try:
            remove(path)
        except OSError as error:
            raise RecordingError(f"cannot delete {error.filename or path}: {error.strerror}") from error
        show(f"deleted {path}")
    show(_said(len(gone), "deleted"))
    return ExitCode.PASS


def _said(gone: int, what: str) -> str:
    return f"{count(gone, 'run')} {what}" if gone else "nothing to delete"
