"""Options that lay themselves over a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.errors import UsageError
from harness.model import BALANCERS

_Decorator = Any

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    metavar="DIR",
    help="Where runs land.  [results]",
)


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
            "-r",
            "--rate",
            type=float,
            metavar="R",
            help="Requests a second, due by the clock and timed from when they were due (an open loop, -c at a time at most).  "
            "[each connection sends when it has been answered]",
        ),
        click.option("--ramp", metavar="TIME", help="Let the rate rise to R over this long.  [0s]"),
        click.option(
            "--lull",
            metavar="TIME",
            help="Before the trigger (with --no-rollout: after the warm-up), send one request a second for so long: connections that rest age, as at a quiet hour.  [0s]",
        ),
        click.option(
            "--mix",
            metavar="METHOD:N,…",
            help="Methods in this proportion, as GET:9,POST:1; the body goes with POST, PUT and PATCH.",
        ),
        click.option(
            "--targets",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Requests to send in turn, in vegeta's http or JSON format; URL then says where the paths in it go.",
        ),
        click.option("--disable-keepalive", is_flag=True, help="A new connection for each request."),
        click.option(
            "--conn-max-hits",
            type=int,
            metavar="N",
            help="Close a connection after N requests at most, each after its own number between N/2 and N.",
        ),
        click.option(
            "--conn-max-age",
            metavar="TIME",
            help="Close a connection after this long at most (and half as long at least), once its request is answered.",
        ),
        click.option(
            "--resolve",
            multiple=True,
            metavar="HOST:PORT:ADDRESS",
            help="Connect to this address instead of asking the resolver, as in curl; ADDRESS,ADDRESS are used in turn.",
        ),
        click.option(
            "--cacert", type=click.Path(dir_okay=False), help="CA file (PEM) to verify the server with."
        ),
        click.option("--cert", type=click.Path(dir_okay=False), help="Client certificate (PEM)."),
        click.option("--key", type=click.Path(dir_okay=False), help="Its key.  [in the certificate's file]"),
        click.option(
            "--servername", metavar="NAME", help="Name for SNI and in the certificate.  [the URL's host]"
        ),
        click.option("--tls-min", type=click.Choice(["1.2", "1.3"]), help="Oldest TLS version.  [1.2]"),
        click.option(
            "--http2",
            is_flag=True,
            help="Speak HTTP/2 (on http:// with prior knowledge), one request at a time on each connection. Slower than HTTP/1.1.",
        ),
        click.option(
            "--pod-header",
            metavar="NAME",
            help="Response header that names the pod.  [X-Pod, X-Pod-Name, X-Served-By]",
        ),
        click.option(
            "--no-trace-headers",
            is_flag=True,
            help="Send no X-Request-ID and no X-Amzn-Trace-Id, by which a balancer's log tells the requests.",
        ),
        click.option(
            "--trigger",
            metavar="CHANGE",
            help="What starts the rollout: restart, 'apply FILE', 'set-image CONTAINER=IMAGE', 'scale N', 'delete-pod [NAME]', "
            "'evict-pod [NAME]', 'command COMMAND…', or observe (somebody else's change is waited for).  [restart]",
        ),
        click.option(
            "--rollouts",
            type=int,
            metavar="N",
            help="Make the change N times, each once the one before has settled; each is judged by itself, and all together.  [1]",
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
            "May be given several times. It adds to the default, requests failed because of the rollout; "
            "a bound on 'failed', 'failed_share' or 'lost' replaces it.",
        ),
        click.option(
            "--path-proven",
            is_flag=True,
            help="Assert that the URL reaches the workload, where zdtest cannot prove it.",
        ),
        click.option(
            "--balancer",
            type=click.Choice(BALANCERS),
            help="Who stands in front of the pods, where answers do not tell: what a 502 or 503 means depends on it.  [as answers show]",
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
    "servername": "target.servername", "tls_min": "target.tls_min",
    "rate": "load.rate", "ramp": "load.ramp", "conn_max_hits": "load.conn_max_hits", "conn_max_age": "load.conn_max_age", "pod_header": "target.pod_header",
    "trigger": "rollout.trigger", "rollouts": "rollout.rollouts",
    "field_manager": "rollout.field_manager",
    "trigger_after": "rollout.trigger_after", "settle": "rollout.settle", "max_time": "rollout.max_time",
    "max_baseline_failures": "max_baseline_failures", "balancer": "balancer", "time_scale": "lab.time_scale",
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
    flags.update(_connections(options))
    if options["insecure"]:
        flags["target.insecure"] = True
    if options["fail_on"]:
        flags["fail_on"] = list(options["fail_on"])
    if options["path_proven"]:
        flags["path_proven"] = True
    if options["error_backoff"] is not None:
        flags["load.error_backoff"] = options["error_backoff"] == "1"
    return flags


def _connections(options: dict[str, Any]) -> dict[str, Any]:
    """Turn the options about connections and what is sent on them into scenario fields."""
    flags: dict[str, Any] = {
        f"target.{name}": str(Path(options[name]).absolute())
        for name in ("cacert", "cert", "key")
        if options[name] is not None
    }
    if options["resolve"]:
        flags["target.resolve"] = list(options["resolve"])
    if options["mix"] is not None:
        flags |= {"load.targets": None, "load.mix": options["mix"]}  # instead of what a file says of it
    if options["targets"] is not None:
        path = str(Path(options["targets"]).absolute())
        flags |= {"load.mix": flags.get("load.mix", ()), "load.targets": path}
    if options["lull"] is not None:
        flags["load.lull"] = options["lull"]
    if options["http2"]:
        flags["target.http2"] = True
    if options["disable_keepalive"]:
        flags["load.keepalive"] = False
    if options["no_trace_headers"]:
        flags["load.trace_headers"] = False
    return flags
