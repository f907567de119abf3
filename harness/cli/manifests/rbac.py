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
    help="The workload to roll out: NAME of a Deployment, or KIND/NAME.",
)
@click.option("--watch", is_flag=True, help="What `zdtest watch` needs instead: to look, and nothing else.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Its namespace.")
@click.option("--trigger", help="What starts the rollout, as for `run`.  [restart]")
@click.option("--endpoints", is_flag=True, help="For an API server without EndpointSlices (before 1.17).")
@click.option("--pods", is_flag=True, help="For runs that send from pods, with `run --pods`.")
def rbac(
    *, workload: str | None, watch: bool, namespace: str, trigger: str | None, endpoints: bool, pods: bool
) -> int:
    """Print the smallest Role that a run needs, and its RoleBinding to the ServiceAccount `zdtest`.

    With --watch: what a watch of the namespace needs, for the ServiceAccount `zdtest-watch`.
    """
    from harness.cluster.permission.rbac import as_yaml, needs, needs_of_a_watch, role_of  # noqa: PLC0415
    from harness.scenario.trigger import parse  # noqa: PLC0415  keeps `--help` light
    from harness.scenario.values import kind_and_name  # noqa: PLC0415

    slices = "endpoints" if endpoints else "endpointslices"
    if watch:
        if workload or trigger or pods:
            raise UsageError(
                "--watch is for all workloads of the namespace; drop --deployment, --trigger and --pods"
            )
        show(as_yaml(role_of(namespace, "zdtest-watch", needs_of_a_watch(slices))), nl=False)
        return ExitCode.PASS
    if not workload:
        raise UsageError("which workload is rolled out? Add --deployment NAME; or --watch for zdtest watch")
    try:
        kind, name = kind_and_name(workload)
        wanted = parse(trigger or "restart")
    except ValueError as error:
        raise UsageError(str(error)) from None
    show(as_yaml(role_of(namespace, "zdtest", needs(kind, name, wanted, slices, pods=pods))), nl=False)
    return ExitCode.PASS
