"""`--from`: which network path is to be tested, said in advance, so that a night does not quietly test the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

from_option = click.option(
    "--from",
    "load_from",
    type=click.Choice(("local", "cluster")),
    help="Where the load has to come from: local (outside of the cluster) or cluster (a pod in it; started outside, as "
    "--pods 1).  [where zdtest runs]",
)


def defaults_for(
    asked: str | None, environ: Mapping[str, str], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields that a scenario has if it says nothing else: a pod that sends, where `--from` takes one.

    Raises UsageError if the load is to come from outside, and zdtest is in the cluster.
    """
    inside = "KUBERNETES_SERVICE_HOST" in environ
    if asked == "local" and inside:
        raise UsageError("--from local: zdtest runs in a pod here; start it outside of the cluster")
    if asked != "cluster" or inside:
        return dict(defaults)
    return {**defaults, "load": {"pods": 1, **defaults.get("load", {})}}


def check_pods(asked: str | None, pods: int | None) -> None:
    """Raise UsageError if pods are to send a load that has to come from outside."""
    if asked == "local" and pods:
        raise UsageError("--from local does not go with pods that send the load; drop one of them")
