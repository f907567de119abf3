"""`zdtest list`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from harness.cli.root import root, show
from harness.model import ExitCode

directory_argument = click.argument(
    "directory", type=click.Path(path_type=Path), default=Path("results"), metavar="[DIR]"
)
format_option = click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", help="What to print.  [text]"
)
_WIDEST = 160


def width() -> int:
    """Return the width to print tables in: the terminal's, or 100 columns where there is none."""
    there = sys.stdout is not None and sys.stdout.isatty()
    return min(shutil.get_terminal_size((100, 24)).columns, _WIDEST) if there else 100


@root.command("list")
@directory_argument
@format_option
def list_(directory: Path, *, form: str) -> int:
    """List the runs in DIR (default: results), newest first: when, what, verdict, losses, causes.

    Nothing is judged again. What is no run, or none that can be read, is named and skipped.
    """
    from harness.history import runs, table  # noqa: PLC0415  keeps `--help` light
    from harness.history.listing import listed  # noqa: PLC0415

    found = listed(directory)
    if form == "json":
        rows = [{**runs.to_json(run), "verdict": run.verdict} for run in found.runs]
        skipped = [{"folder": one.folder, "why": one.why} for one in found.skipped]
        show(json.dumps({"format": 1, "runs": rows, "skipped": skipped}, indent=1))
    else:
        show(table.render(found, str(directory), width()))
    return ExitCode.PASS
