"""Options that lay themselves over a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.errors import UsageError

_Decorator = Any


def scenario_options(command: _Decorator) -> _Decorator:
    """Add the options that lay themselves over a scenario file."""
    options = [
        click.option(
            "-c",
            "--concurrency",
            "--connections",
            type=int,
            help="Connections, one request in flight each.  [50]",
        ),
        click.option(
            "-d",
            "--duration",
            help="How long the load lasts at least; it goes on until the rollout is over and settled.  [60s]",
        ),
        click.option("-n", "--namespace", help="Namespace of the workload.  [the context's]"),
        click.option("--context", help="Context of the kubeconfig.  [the current one]"),
        click.option(
            "--kubeconfig",
            help="Kubeconfig file.  [KUBECONFIG, ~/.kube/config, or the pod's own credentials]",
        ),
        click.option(
            "--deployment", "workload", metavar="NAME", help="What to roll out: NAME, or kind/NAME."
        ),
        click.option("--method", help="HTTP method.  [GET]"),
        click.option(
            "-H",
            "--header",
            "headers",
            multiple=True,
            metavar="'NAME: VALUE'",
            help="Request header; ${VAR} is taken from the environment.",
        ),
        click.option("--body", help="Request body."),
        click.option("--body-file", type=click.Path(dir_okay=False), help="File with the request body."),
        click.option("-t", "--timeout", help="From sending to the last byte.  [65s]"),
        click.option("--expect", help="Statuses that are good.  [200-299]"),
        click.option("-k", "--insecure", is_flag=True, help="Do not verify the certificate."),
        click.option("--workers", type=int, help="Processes that send.  [1]"),
        click.option(
            "--trigger",
            metavar="CHANGE",
            help="What starts the rollout: restart, 'apply FILE', 'set-image CONTAINER=IMAGE', 'scale N', 'delete-pod [NAME]', "
            "'evict-pod [NAME]', 'command COMMAND…', or observe (somebody else's change is waited for).  [restart]",
        ),
        click.option(
            "--field-manager",
            help="Name under which the change is made.  [kubectl-rollout; zdtest for apply]",
        ),
        click.option(
            "--trigger-after",
            help="Roll out this long after the warm-up.  [a third of the duration, at most 60s]",
        ),
        click.option(
            "--time-scale",
            type=float,
            metavar="X",
            help="Multiply the waits of the lab's balancer: lag, timeouts, health checks, registration.  [1]",
        ),
        click.option("--settle", help="Go on this long after the last sign of the rollout.  [30s]"),
        click.option("--drain", help="How long requests in flight may finish at the end.  [15s]"),
        click.option("--max-time", help="End everything after this.  [45m]"),
        click.option(
            "--max-baseline-failures",
            type=float,
            help="Share of failures before the trigger that calls the run off.  [0.001]",
        ),
        click.option(
            "--fail-on",
            multiple=True,
            metavar="CONDITION",
            help="FAIL when this is true: 'failed>0', 'p99>250ms', 'p99{during}>1s', 'outage>100ms', 'bad_seconds>1', … "
            "May be given several times.  [requests failed because of the rollout]",
        ),
        click.option(
            "--path-proven",
            is_flag=True,
            help="Assert that the URL reaches the workload, where zdtest cannot prove it.",
        ),
        click.option(
            "--error-backoff",
            type=click.Choice(["0", "1"]),
            help="0: send again at once after a failure, as bombardier does.  [1]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_FIELDS = {
    "concurrency": "load.concurrency", "duration": "load.duration", "workers": "load.workers", "drain": "load.drain",
    "namespace": "namespace", "context": "cluster.context", "kubeconfig": "cluster.kubeconfig", "workload": "workload",
    "method": "target.method", "body": "target.body", "timeout": "target.timeout", "expect": "target.expect",
    "trigger": "rollout.trigger",
    "field_manager": "rollout.field_manager",
    "trigger_after": "rollout.trigger_after", "settle": "rollout.settle", "max_time": "rollout.max_time",
    "max_baseline_failures": "max_baseline_failures", "time_scale": "lab.time_scale",
}  # fmt: skip


def flags_of(url: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Turn given options into scenario fields. What was not given takes no part."""
    from harness.scenario.reading import parse_headers  # noqa: PLC0415  keeps `--help` light

    flags = {field: options[name] for name, field in _FIELDS.items() if options[name] is not None}
    if url is not None:
        flags["target.url"] = url if "://" in url else f"http://{url}"
    if options["headers"]:
        flags["target.headers"] = parse_headers(options["headers"])
    if options["body_file"] is not None:
        if options["body"] is not None:
            raise UsageError("--body and --body-file exclude each other; drop one of them")
        flags["target.body_file"] = str(Path(options["body_file"]).absolute())
    if (options["trigger"] or "").startswith("apply "):
        # A file on the command line is relative to here, not to the scenario's folder.
        flags["rollout.trigger"] = f"apply {Path(options['trigger'][6:].strip()).absolute()}"
    if options["insecure"]:
        flags["target.insecure"] = True
    if options["fail_on"]:
        flags["fail_on"] = list(options["fail_on"])
    if options["path_proven"]:
        flags["path_proven"] = True
    if options["error_backoff"] is not None:
        flags["load.error_backoff"] = options["error_backoff"] == "1"
    return flags
