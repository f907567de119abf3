"""Options that override fields of a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.grpcoptions import grpc_flags, grpc_options
from harness.cli.streamoptions import stream_flags, stream_options
from harness.errors import UsageError
from harness.model import BALANCERS

_Decorator = Any


class FolderType(click.Path):
    """A folder for runs. Raises UsageError for the address of an object storage, which only some commands take."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        if "://" in str(value):
            raise UsageError(
                "this command keeps its runs in a folder: give one with -o, then store each with zdtest upload RUN URL"
            )
        return super().convert(value, param, ctx)


output_option = click.option(
    "-o",
    "--output",
    type=FolderType(path_type=Path),
    default=Path("results"),
    metavar="DIR",
    help="Folder for the runs.  [results]",
)


def scenario_options(command: _Decorator) -> _Decorator:
    """Add the options that override fields of a scenario file."""
    return _added(command, ())


def options_of_a_load(command: _Decorator) -> _Decorator:
    """Add the same but for those about the change, for commands that make changes of their own."""
    return _added(command, ("--trigger", "--rollouts", "--rollout"))


def options_of_a_suite(command: _Decorator) -> _Decorator:
    """Add the same but for those that can only be about one workload."""
    return _added(command, ("--deployment", "--trigger", "--targets", "--balancer"))


def _added(command: _Decorator, without: tuple[str, ...]) -> _Decorator:
    options = [
        click.option(
            "-c",
            "--concurrency",
            "--connections",
            type=int,
            help="Connections, each with one request in flight.  [50]",
        ),
        click.option(
            "-d",
            "--duration",
            help="Minimum length of the load; it goes on until the rollout is over and settled.  [60s]",
        ),
        click.option("-n", "--namespace", help="Namespace of the workload.  [the context's]"),
        click.option("--context", help="Kubeconfig context.  [the current one]"),
        click.option(
            "--kubeconfig",
            help="Kubeconfig file.  [KUBECONFIG, ~/.kube/config, or the pod's own credentials]",
        ),
        click.option(
            "--deployment",
            "workload",
            metavar="NAME",
            help="The workload to roll out: NAME of a Deployment, or KIND/NAME.",
        ),
        click.option(
            "--rollout",
            "argo_rollout",
            metavar="NAME",
            help="The Argo Rollout to roll out: short for --deployment rollout/NAME.",
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
        click.option("-t", "--timeout", help="Longest time from sending a request to its last byte.  [65s]"),
        click.option("--expect", help="Status codes that count as good.  [200-299]"),
        click.option("-k", "--insecure", is_flag=True, help="Do not verify the certificate."),
        click.option("--workers", type=int, help="Number of processes that send the load.  [1]"),
        click.option(
            "--pods",
            type=int,
            metavar="N",
            help="Send from N pods of one Job in the workload's namespace; -c and --rate are for all of them together, "
            "--workers for each.  [from here]",
        ),
        click.option("--worker-image", metavar="IMAGE", help="With --pods: their image.  [zdtest's own]"),
        click.option(
            "--pod-template",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="With --pods: parts of a pod template (YAML) that are laid over theirs.",
        ),
        click.option(
            "--pods-reach",
            type=click.Choice(["auto", "direct", "port-forward"]),
            help="With --pods: reach them at their addresses, or through the API server.  [auto: whichever works]",
        ),
        click.option(
            "-r",
            "--rate",
            type=float,
            metavar="R",
            help="Open loop: R requests a second, sent by the clock and timed from when "
            "they were due, at most -c at a time.  "
            "[closed loop: each connection sends its next request when the last one is answered]",
        ),
        click.option("--ramp", metavar="TIME", help="With --rate: raise the rate to R over this time.  [0s]"),
        click.option(
            "--lull",
            metavar="TIME",
            help=(
                "Send only one request a second for this long before the trigger (with --no-rollout: after the "
                "warm-up), so that connections lie idle as in a quiet hour.  [0s]"
            ),
        ),
        click.option(
            "--mix",
            metavar="METHOD:N,…",
            help="Send these methods in this proportion, such as GET:9,POST:1. The body goes with POST, PUT and PATCH.",
        ),
        click.option(
            "--targets",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help=(
                "Send the requests in FILE in turn (vegeta's http or JSON format). If "
                "they are paths, URL says where they go."
            ),
        ),
        click.option("--disable-keepalive", is_flag=True, help="Open a new connection for each request."),
        click.option(
            "--conn-max-hits",
            type=int,
            metavar="N",
            help="Close each connection after a random number of requests between N/2 and N.",
        ),
        click.option(
            "--conn-max-age",
            metavar="TIME",
            help=(
                "Close each connection at a random age between half of this and all "
                "of it, once its request is answered."
            ),
        ),
        click.option(
            "--resolve",
            multiple=True,
            metavar="HOST:PORT:ADDRESS",
            help="Connect to ADDRESS instead of resolving HOST, as in curl. ADDRESS,ADDRESS are used in turn.",
        ),
        click.option(
            "--cacert", type=click.Path(dir_okay=False), help="CA file (PEM) that verifies the server."
        ),
        click.option("--cert", type=click.Path(dir_okay=False), help="Client certificate (PEM)."),
        click.option(
            "--key",
            type=click.Path(dir_okay=False),
            help="Key of the client certificate (PEM).  [in the certificate's file]",
        ),
        click.option(
            "--servername",
            metavar="NAME",
            help="Name for SNI and for checking the certificate.  [the URL's host]",
        ),
        click.option("--tls-min", type=click.Choice(["1.2", "1.3"]), help="Lowest TLS version.  [1.2]"),
        click.option(
            "--http2",
            is_flag=True,
            help=(
                "Use HTTP/2 (on http:// with prior knowledge), one request at a time on "
                "each connection, or --streams."
            ),
        ),
        *stream_options(),
        *grpc_options(),
        click.option(
            "--streams",
            type=int,
            metavar="M",
            help="With --http2: requests in flight on each connection.  [1]",
        ),
        click.option(
            "--pod-header",
            metavar="NAME",
            help="Response header that names the pod.  [X-Pod, X-Pod-Name, X-Served-By]",
        ),
        click.option(
            "--no-trace-headers",
            is_flag=True,
            help="Do not send X-Request-ID and X-Amzn-Trace-Id, which identify each request in a balancer's log.",
        ),
        click.option(
            "--trigger",
            metavar="CHANGE",
            help="What starts the rollout: restart, 'apply FILE', 'replace FILE', "
            "'set-image CONTAINER=IMAGE', 'scale N', 'delete-pod [NAME]', "
            "'evict-pod [NAME]', 'command COMMAND…', or observe (wait for a change "
            "that someone else makes).  [restart]",
        ),
        click.option(
            "--rollouts",
            type=int,
            metavar="N",
            help=(
                "Make N rollouts, each after the one before has settled. Each is "
                "judged by itself, then all together.  [1]"
            ),
        ),
        click.option(
            "--field-manager",
            help="Field manager of the change.  [kubectl-rollout; zdtest for apply]",
        ),
        click.option(
            "--trigger-after",
            help="Time from the warm-up to the trigger: the baseline.  [a third of the duration, at most 60s]",
        ),
        click.option(
            "--time-scale",
            type=float,
            metavar="X",
            help="Lab only: multiply the balancer's waits (lag, timeouts, health checks, registration) by X.  [1]",
        ),
        click.option("--settle", help="Keep up the load for this long after the rollout is over.  [30s]"),
        click.option("--drain", help="Time for requests in flight to finish at the end.  [15s]"),
        click.option("--max-time", help="End the run after this, whatever its state.  [45m]"),
        click.option(
            "--max-baseline-failures",
            type=float,
            help="Do not roll out if a larger share than this fails before the trigger.  [0.001]",
        ),
        click.option(
            "--fail-on",
            multiple=True,
            metavar="CONDITION",
            help="FAIL if this is true: 'failed>0', 'p99>250ms', 'p99{during}>1s', 'outage>100ms', "
            "'bad_seconds>1', … May be given several times. The default (a request failed because of the "
            "rollout) stays in force; only a bound on 'failed', 'failed_share' or 'lost' replaces it.",
        ),
        click.option(
            "--path-proven",
            is_flag=True,
            help="Take your word that the URL reaches the workload, if zdtest cannot prove it.",
        ),
        click.option(
            "--balancer",
            type=click.Choice(BALANCERS),
            help=(
                "The balancer in front of the pods, if its answers do not show it: what a 502 or 503 "
                "means depends on it.  [recognised by its answers]"
            ),
        ),
        click.option(
            "--aws-target-groups",
            multiple=True,
            metavar="ARN|auto",
            help="Record the health of this AWS target group's targets; auto: of those that TargetGroupBindings name.",
        ),
        click.option(
            "--error-backoff",
            type=click.Choice(["0", "1"]),
            help="1: pause a connection after a failed request; 0: send the next one at once, as bombardier does.  [1]",
        ),
    ]
    others = list(getattr(command, "__click_params__", ()))
    for option in reversed(options):
        command = option(command)
    added = command.__click_params__[len(others) :]
    command.__click_params__ = [*others, *(one for one in added if not set(without) & set(one.opts))]
    return command


_FIELDS = {
    "pods": "load.pods", "worker_image": "load.worker_image", "pods_reach": "load.pods_reach",
    "concurrency": "load.concurrency", "duration": "load.duration", "workers": "load.workers", "drain": "load.drain",
    "namespace": "namespace", "context": "cluster.context", "kubeconfig": "cluster.kubeconfig", "workload": "workload",
    "method": "target.method", "body": "target.body", "timeout": "target.timeout", "expect": "target.expect",
    "servername": "target.servername", "tls_min": "target.tls_min",
    "rate": "load.rate", "ramp": "load.ramp", "conn_max_hits": "load.conn_max_hits",
    "conn_max_age": "load.conn_max_age", "pod_header": "target.pod_header", "streams": "target.streams",
    "trigger": "rollout.trigger", "rollouts": "rollout.rollouts",
    "field_manager": "rollout.field_manager",
    "trigger_after": "rollout.trigger_after", "settle": "rollout.settle", "max_time": "rollout.max_time",
    "max_baseline_failures": "max_baseline_failures", "balancer": "balancer", "time_scale": "lab.time_scale",
}  # fmt: skip


def flags_of(url: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Turn options that were given into scenario fields."""
    from harness.scenario.reading import parse_headers  # noqa: PLC0415  keeps `--help` light

    flags = {field: options[name] for name, field in _FIELDS.items() if options.get(name) is not None}
    flags.update(_workload(options))
    if url is not None:
        flags["target.url"] = url if "://" in url else f"http://{url}"
    if options["headers"]:
        flags["target.headers"] = parse_headers(options["headers"])
    if options["body_file"] is not None:
        if options["body"] is not None:
            raise UsageError("--body and --body-file cannot be combined; drop one of them")
        flags["target.body_file"] = str(Path(options["body_file"]).absolute())
    kind, _, file = (options.get("trigger") or "").partition(" ")
    if kind in {"apply", "replace"} and file.strip():
        # A file on the command line is relative to here, not to the scenario's folder.
        flags["rollout.trigger"] = f"{kind} {Path(file.strip()).absolute()}"
    flags.update(_connections(options))
    flags.update(stream_flags(flags.get("target.url", ""), options))
    flags.update(grpc_flags(options))
    if options["fail_on"]:
        flags["fail_on"] = list(options["fail_on"])
    if options["path_proven"]:
        flags["path_proven"] = True
    flags |= {"aws_target_groups": list(options["aws_target_groups"])} if options["aws_target_groups"] else {}
    if options["error_backoff"] is not None:
        flags["load.error_backoff"] = options["error_backoff"] == "1"
    return flags


def _workload(options: dict[str, Any]) -> dict[str, Any]:
    """Return the workload that --rollout names."""
    if options.get("argo_rollout") is None:
        return {}
    if options["workload"] is not None:
        raise UsageError("--rollout and --deployment cannot be combined; drop one of them")
    return {"workload": f"rollout/{options['argo_rollout']}"}


def _connections(options: dict[str, Any]) -> dict[str, Any]:
    """Turn the options about connections and requests into scenario fields."""
    flags: dict[str, Any] = {
        f"target.{name}": str(Path(options[name]).absolute())
        for name in ("cacert", "cert", "key")
        if options[name] is not None
    }
    if options["resolve"]:
        flags["target.resolve"] = list(options["resolve"])
    if options["mix"] is not None:
        flags |= {"load.targets": None, "load.mix": options["mix"]}  # overrides the file's value
    if options.get("targets") is not None:
        path = str(Path(options["targets"]).absolute())
        flags |= {"load.mix": flags.get("load.mix", ()), "load.targets": path}
    if options["pod_template"] is not None:
        flags["load.pod_template"] = str(Path(options["pod_template"]).absolute())
    if options["lull"] is not None:
        flags["load.lull"] = options["lull"]
    flags |= {f"target.{name}": True for name in ("http2", "insecure") if options[name]}
    if options["disable_keepalive"]:
        flags["load.keepalive"] = False
    if options["no_trace_headers"]:
        flags["load.trace_headers"] = False
    return flags
