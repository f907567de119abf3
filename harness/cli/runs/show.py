"""`zdtest show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import root, show
from harness.cli.runname import run_argument
from harness.cli.runs.standing import MOST, standing
from harness.model import ExitCode
from harness.recording import folder

if TYPE_CHECKING:
    from pathlib import Path


@root.command("show")
@run_argument()
def show_(directory: Path) -> int:
    """Print the summary of RUN as it stands. Nothing is written, and nothing is judged again if it was judged.

    RUN is a run's folder or a name, such as last: see `zdtest report --help`.
    """
    show(_summary(directory), nl=True)
    return ExitCode.PASS


def _summary(path: Path) -> str:
    """Return summary.txt, or make it from verdict.json, or judge the run if it has neither."""
    try:
        return folder.read(path, "summary.txt", MOST).decode(errors="backslashreplace").rstrip("\n")
    except FileNotFoundError:
        pass
    from harness.report import text  # noqa: PLC0415

    return text.render(standing(path), latencies=True)
