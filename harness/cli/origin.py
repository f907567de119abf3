"""`--from`: which network path is to be tested, said in advance, so that a night does not quietly test the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

from_option = click.option(
    "--from",
    "load_from",
    type=click.Choice(("local", "cluster")),
    help="Where the load has to come from: local (outside of the cluster) or cluster (a pod in it). A run that would "
    "send from the other place is refused.  [where zdtest runs]",
)


def check_origin(asked: str | None, environ: Mapping[str, str]) -> None:
    """Raise UsageError if this process is not in the place that was asked for."""
    from harness.run.planning import origin  # noqa: PLC0415  keeps `--help` light

    here = origin(environ, None)
    if asked is None or asked == here:
        return
    if asked == "cluster":
        raise UsageError(
            "--from cluster: zdtest runs outside of the cluster here; start it in a pod, such as the chart's Job"
        )
    raise UsageError("--from local: zdtest runs in a pod here; start it outside of the cluster")
