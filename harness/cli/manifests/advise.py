"""`zdtest advise`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.root import root, show
from harness.model import ExitCode


@root.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="RUN")
def advise(directory: Path) -> int:
    """Print a patch that fixes what RUN lost, as `kubectl patch --patch-file` takes it.

    Each value is computed from what the run measured; comments above the patch give the reasons. An empty patch is
    `{}`.
    """
    from harness.judge.verdict.judgement import judge  # noqa: PLC0415  brings pandas
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report.patch import render  # noqa: PLC0415

    show(render(judge(Recording.open(directory))))
    return ExitCode.PASS
