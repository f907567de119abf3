"""`zdtest compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import root, show
from harness.cli.runname import run_argument
from harness.model import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


@root.command()
@run_argument("before", "RUN")
@run_argument("after", "RUN")
def compare(before: Path, after: Path) -> int:
    """Compare two runs: what each lost, how long it took, and which manifest fields differ.

    Each RUN is the folder of a run, or its name: see `zdtest report --help`.
    """
    from harness.judge.verdict.compare import compare as compared  # noqa: PLC0415
    from harness.judge.verdict.judgement import judge  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report.text import render_comparison  # noqa: PLC0415

    first, second = Recording.open(before), Recording.open(after)
    show(
        render_comparison(
            compared(judge(first), judge(second), first.manifests("before"), second.manifests("before"))
        )
    )
    return ExitCode.PASS
