"""`zdtest show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import root, show, warn
from harness.cli.runname import run_argument
from harness.errors import RecordingError
from harness.model import ExitCode
from harness.recording import folder

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 64 * folder.MIB


@root.command("show")
@run_argument()
def show_(directory: Path) -> int:
    """Print the summary of RUN as it stands. Nothing is written, and nothing is judged again if it was judged.

    RUN is the folder of a run, or its name: see `zdtest report --help`.
    """
    show(_summary(directory), nl=True)
    return ExitCode.PASS


def _summary(path: Path) -> str:
    """Return summary.txt, or make it from verdict.json, or judge the run if it has neither."""
    try:
        return folder.read(path, "summary.txt", _MOST).decode(errors="backslashreplace").rstrip("\n")
    except FileNotFoundError:
        pass
    from harness.judge.verdict.judgement import from_json, judge  # noqa: PLC0415  brings pandas
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report import text  # noqa: PLC0415

    try:
        judgement = from_json(folder.read(path, "verdict.json", _MOST))
    except FileNotFoundError:
        judgement = judge(Recording.open(path))
    except RecordingError as error:
        warn(f"zdtest: {error}; judged again")
        judgement = judge(Recording.open(path))
    return text.render(judgement, latencies=True)
