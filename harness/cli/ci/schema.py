"""`zdtest schema`."""

from __future__ import annotations

import click

from harness.cli.root import root, show
from harness.model import ExitCode


@root.command()
@click.argument("what", type=click.Choice(["verdict"]), default="verdict", metavar="[verdict]")
def schema(what: str) -> int:  # noqa: ARG001  there is one so far
    """Print the JSON Schema of verdict.json, which is what --format json prints, too."""
    from harness.report.ci.schema import published  # noqa: PLC0415  keeps `--help` light

    show(published().removesuffix("\n"))
    return ExitCode.PASS
