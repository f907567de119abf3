"""`zdtest rbac`."""

from __future__ import annotations

import click

from harness.cli.root import root, show
from harness.errors import UsageError
from harness.model import ExitCode


@root.command()
@click.option(
    "--deployment",
    "workload",
    metavar="NAME",
    required=True,
    help="The workload to roll out: NAME of a Deployment, or KIND/NAME.",
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Its namespace.")
@click.option(
    "--trigger", default="restart", show_default=True, help="What starts the rollout, as for `run`."
)
@click.option("--endpoints", is_flag=True, help="For an API server without EndpointSlices (before 1.17).")
@click.option("--pods", is_flag=True, help="For runs that send from pods, with `run --pods`.")
def rbac(*, workload: str, namespace: str, trigger: str, endpoints: bool, pods: bool) -> int:
    """Print the smallest Role that a run needs, and its RoleBinding to the ServiceAccount `zdtest`."""
    from harness.cluster.permission.rbac import as_yaml, role  # noqa: PLC0415  keeps `--help` light
    from harness.scenario.trigger import parse  # noqa: PLC0415
    from harness.scenario.values import kind_and_name  # noqa: PLC0415

    try:
        kind, name = kind_and_name(workload)
        wanted = parse(trigger)
    except ValueError as error:
        raise UsageError(str(error)) from None
    slices = "endpoints" if endpoints else "endpointslices"
    show(as_yaml(role(namespace, kind, name, wanted, slices, pods=pods)), nl=False)
    return ExitCode.PASS
