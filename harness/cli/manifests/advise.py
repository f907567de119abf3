"""`zdtest advise`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import root, show
from harness.cli.runname import run_argument
from harness.model import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


@root.command()
@run_argument()
def advise(directory: Path) -> int:
    """Print a patch that fixes what RUN lost, as `kubectl patch --patch-file` takes it.

    Each value is computed from what the run measured; comments above the patch give the reasons. An empty patch is
    `{}`. RUN is a run's folder or a name, such as last: see `zdtest report --help`.
    """
    from harness.judge.verdict.judgement import judge  # noqa: PLC0415  brings pandas
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report.patch import render  # noqa: PLC0415

    show(render(judge(Recording.open(directory))))
    return ExitCode.PASS
