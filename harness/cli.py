"""The front door: parse, call, print, exit code. The only signal handler, and the only exit."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import __version__
from harness.errors import HarnessError, RecordingError, UsageError, unwrap
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.judge.verdict import Judgement
    from harness.scenario.resolve import Request, Resolved

EPILOG = """Exit codes: 0 PASS, 1 FAIL (requests were lost), 2 usage or configuration (nothing was touched),
3 INCONCLUSIVE (nothing lost that was seen, but the run proves nothing), 4 a crash of zdtest itself,
130 interrupted (what was recorded is kept and reported)."""

_Decorator = Any


def main() -> int:
    """Run the command line and return the exit code. Every error of the user's is one line."""
    try:
        code = root.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _complain(" ".join(error.format_message().split()) + "; see --help")
    except click.Abort:
        return ExitCode.INTERRUPTED
    except (UsageError, RecordingError) as error:
        return _complain(str(error))
    except BrokenPipeError:
        return ExitCode.INTERRUPTED
    return int(code or 0)


def _complain(line: str) -> int:
    click.echo(f"zdtest: {line}", err=True)
    return ExitCode.USAGE


@click.group(
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="zdtest")
def root() -> None:
    """Prove that a Kubernetes rollout loses no request; when it does, say which, why, and what mends it."""


def _scenario_options(command: _Decorator) -> _Decorator:
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
            "--trigger-after",
            help="Roll out this long after the warm-up.  [a third of the duration, at most 60s]",
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
    "trigger_after": "rollout.trigger_after", "settle": "rollout.settle", "max_time": "rollout.max_time",
    "max_baseline_failures": "max_baseline_failures",
}  # fmt: skip


def _flags(url: str | None, options: dict[str, Any]) -> dict[str, Any]:
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
    if options["insecure"]:
        flags["target.insecure"] = True
    if options["path_proven"]:
        flags["path_proven"] = True
    if options["error_backoff"] is not None:
        flags["load.error_backoff"] = options["error_backoff"] == "1"
    return flags


@root.command(epilog=EPILOG)
@click.argument("url", required=False)
@_scenario_options
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    metavar="SCENARIO",
    help="Scenario: a file, or a folder with a zdtest.yaml.",
)
@click.option("--lab", is_flag=True, help="Run on the embedded lab, a small cluster in plain processes.")
@click.option("-l", "--latencies", is_flag=True, help="Print the latency distribution.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    metavar="DIR",
    help="Where runs land.  [results]",
)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Delete older runs of the same name; keep N."
)
@click.option("--no-rollout", is_flag=True, help="A plain load test, judged whole.")
@click.option("--dry-run", is_flag=True, help="Do everything up to the patch.")
@click.option(
    "--allow",
    metavar="CONTEXT/NAMESPACE/NAME",
    help="Go on with a workload whose name looks like production.",
)
@click.option("--exit-zero", is_flag=True, help="End with 0 whatever the verdict: for jobs that only report.")
def run(url: str | None, **options: Any) -> int:
    """Hold a load on URL while a workload is restarted, and judge what was lost.

    Without a URL the target comes from -f SCENARIO, else from zdtest.yaml in this folder.
    """
    from harness.scenario.resolve import Request, resolve  # noqa: PLC0415

    request: Request = Request(
        flags=_flags(url, options),
        file=options["file"],
        lab=options["lab"],
        no_rollout=options["no_rollout"],
        dry_run=options["dry_run"],
        allow=options["allow"],
        output=options["output"],
        keep=options["keep"],
        interactive=sys.stdin is not None and sys.stdin.isatty(),
    )
    resolved = resolve(request, Path.cwd())
    path = _guarded(lambda: _carry_out(resolved), resolved.output)
    if isinstance(path, int):
        return path
    judgement = _report(path, latencies=options["latencies"])
    _prune(resolved)
    return _exit_code(judgement, exit_zero=options["exit_zero"])


def _carry_out(resolved: Resolved) -> Path:
    """Run the event loop; the first Ctrl-C ends the load, a second one ends everything."""
    import signal  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from harness.progress import LiveLine  # noqa: PLC0415
    from harness.run.conductor import Follower  # noqa: PLC0415
    from harness.run.execute import execute  # noqa: PLC0415

    line = LiveLine()
    asked = 0

    async def listen(scope: anyio.CancelScope) -> None:
        nonlocal asked
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                asked += 1
                if asked > 1 or not line.shown:
                    scope.cancel()
                else:
                    line.say(
                        "interrupted: ending the load; what was recorded is kept (again to leave at once)"
                    )

    async def whole() -> Path | None:
        path = None
        async with anyio.create_task_group() as group:
            group.start_soon(listen, group.cancel_scope)
            follower = Follower(say=line.say, show=line.show, interrupted=lambda: asked > 0, command=sys.argv)
            path = await execute(resolved, follower)
            group.cancel_scope.cancel()
        return path

    with line:
        path = anyio.run(whole)
    if path is None:
        raise click.Abort
    return path


def _guarded(work: Callable[[], Path], output: Path) -> Path | int:
    """Do the work; a fault of our own becomes one line, its traceback goes to crash.txt."""
    try:
        return work()
    except (click.Abort, KeyboardInterrupt):
        click.echo("zdtest: interrupted before the load began; nothing was touched", err=True)
        return ExitCode.INTERRUPTED
    except BaseException as error:  # noqa: BLE001  the one place where all else ends
        cause = unwrap(error)
        if isinstance(cause, HarnessError):
            return _complain(str(cause))
        where = output if output.is_dir() else Path.cwd()
        crash = where / "crash.txt"
        crash.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        click.echo(
            f"zdtest: crashed: {type(cause).__name__}: {cause}; this is our fault, please report {crash}",
            err=True,
        )
        return ExitCode.CRASH


def _report(path: Path, *, latencies: bool) -> Judgement:
    """Judge a recording, leave its reports beside it, print the summary."""
    from harness.judge.verdict import judge  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report import write_all  # noqa: PLC0415
    from harness.report.text import render  # noqa: PLC0415

    judgement = judge(Recording.open(path))
    write_all(judgement, path)
    click.echo(render(judgement, latencies=latencies))
    return judgement


def _exit_code(judgement: Judgement, *, exit_zero: bool) -> int:
    if judgement.ended_by == "interrupted":
        return ExitCode.INTERRUPTED
    if exit_zero or judgement.ended_by == "dry_run":
        return ExitCode.PASS
    return ExitCode[judgement.grade.name]


def _prune(resolved: Resolved) -> None:
    if resolved.keep is not None:
        from harness.recording.write import prune  # noqa: PLC0415

        for gone in prune(resolved.output, resolved.name(), resolved.keep):
            click.echo(f"deleted {gone} (--keep {resolved.keep})", err=True)


@root.command(epilog=EPILOG)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("-l", "--latencies", is_flag=True, help="Print the latency distribution.")
@click.option("--exit-zero", is_flag=True, help="End with 0 whatever the verdict.")
def report(directory: Path, *, latencies: bool, exit_zero: bool) -> int:
    """Make all reports of a run again from its recording alone, with the same verdict."""
    return _exit_code(_report(directory, latencies=latencies), exit_zero=exit_zero)


@root.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(before: Path, after: Path) -> int:
    """Put two runs side by side: what was lost, how long it took, which manifest fields differ."""
    from harness.judge.compare import compare as compared  # noqa: PLC0415
    from harness.judge.verdict import judge  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report.text import render_comparison  # noqa: PLC0415

    first, second = Recording.open(before), Recording.open(after)
    click.echo(
        render_comparison(
            compared(judge(first), judge(second), first.manifests("before"), second.manifests("before"))
        )
    )
    return ExitCode.PASS


@root.group()
def lab() -> None:
    """Start the embedded lab, a small cluster in plain processes."""


@lab.command("up")
@click.argument("scenario", type=click.Path(path_type=Path), required=False)
def lab_up(scenario: Path | None) -> int:
    """Start the lab with SCENARIO's manifests and leave it running until Ctrl-C."""
    from harness.scenario.resolve import Request, resolve  # noqa: PLC0415

    resolved = resolve(Request(file=scenario, lab=True, no_rollout=True), Path.cwd())
    _guarded(lambda: _stay_up(resolved), Path.cwd())
    return ExitCode.PASS


def _stay_up(resolved: Resolved) -> Path:
    import signal  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from harness.lab import lab as embedded  # noqa: PLC0415

    async def stay(home: Path) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with embedded.running(resolved.lab_plan(), home) as up:
                click.echo(f"balancer:    {up.url}" + (f"   (CA: {up.ca_file})" if up.ca_file else ""))
                click.echo(f"API server:  export KUBECONFIG={up.kubeconfig}")
                click.echo("Ctrl-C stops it")
                async for _ in signals:
                    break

    with tempfile.TemporaryDirectory(prefix="zdtest-lab-") as home:
        anyio.run(stay, Path(home))
    return Path()
