"""`zdtest compare`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.root import root, show
from harness.model import ExitCode


@root.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(before: Path, after: Path) -> int:
    """Compare two runs: what each lost, how long it took, and which manifest fields differ."""
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
