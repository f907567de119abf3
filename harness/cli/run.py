"""`zdtest run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.baselines import LEVEL, Wanted, keep_for, wanted
from harness.cli.ci.outputs import ci_options, outputs_of
from harness.cli.numberrange import NumberRange
from harness.cli.options import flags_of, scenario_options
from harness.cli.origin import check_pods, defaults_for, from_option
from harness.cli.reports import FORMATS, exit_code, report_on, take_in
from harness.cli.root import EPILOG, LeftAtOnce, guarded, root, warn
from harness.cli.storing import Storing, run_output_option, storing
from harness.errors import HarnessError, UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.cli.ci.outputs import Outputs
    from harness.interrupts import Asked
    from harness.run.execute import RunningLab
    from harness.scenario.resolve import Request, Resolved
    from harness.suite.handover import Handed


@root.command(epilog=EPILOG)
@click.argument("url", required=False)
@scenario_options
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    metavar="SCENARIO",
    help="Scenario: a file, a folder with a zdtest.yaml, or a name that `zdtest scenarios` lists.",
)
@click.option("--lab", is_flag=True, help="Run on the embedded lab, a small cluster in plain processes.")
@click.option("-l", "--latencies", is_flag=True, help="Print the latency distribution.")
@from_option
@run_output_option
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the latest N runs of this name, and delete older ones.",
)
@click.option(
    "--no-rollout",
    is_flag=True,
    help="Change nothing: a plain load test, in which any failed request is a FAIL.",
)
@click.option("--dry-run", is_flag=True, help="Do everything but the change itself.")
@click.option(
    "--allow",
    metavar="CONTEXT/NAMESPACE/NAME",
    help="Allow a rollout of this workload although a name looks like production.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    help="What to print at the end: the summary, verdict.json, or what bombardier -o json prints.  [text]",
)
@ci_options
@click.option(
    "--baseline",
    metavar="RUN|DIR|last-pass",
    help="FAIL, too, if this run is worse than earlier ones beyond chance: RUN, the latest PASS (last-pass), or the "
    "PASS runs in DIR of the same name, workload and load. Losses, p99, reach and time of the rollout are compared.",
)
@click.option(
    "--baseline-level",
    type=NumberRange(0.0001, 0.2),
    default=None,
    metavar="P",
    help="How many nights on which nothing changed may fail by --baseline.  [0.01]",
)
@click.option(
    "--exit-zero", is_flag=True, help="Exit with 0 whatever the verdict, for jobs that only report."
)
@click.option("--of-suite", type=int, hidden=True)
def run(url: str | None, **options: Any) -> int:
    """Hold a load on URL while a workload is restarted, and judge what was lost.

    Without a URL the target comes from -f SCENARIO, else from zdtest.yaml in this folder.
    """
    from harness.scenario.resolve import Request, resolve  # noqa: PLC0415

    handed = _handed(options["of_suite"])
    outputs = outputs_of(options)
    request: Request = Request(
        flags={**flags_of(url, options), **handed.fields},
        defaults=defaults_for(options["load_from"], os.environ, handed.defaults),
        file=options["file"],
        lab=options["lab"],
        no_rollout=options["no_rollout"],
        dry_run=options["dry_run"],
        allow=options["allow"],
        output=options["output"].folder,
        keep=options["keep"],
        interactive=handed.interactive or (sys.stdin is not None and sys.stdin.isatty()),
    )
    resolved = resolve(request, Path.cwd())
    if resolved.scenario.stream is not None and options["form"] == "bombardier-json":
        raise UsageError("bombardier counts requests, and this run holds streams; use --format json or text")
    check_pods(options["load_from"], resolved.scenario.load.pods)
    asked_for = _baseline(options, Path(handed.earlier) if handed.earlier else resolved.output)
    with storing(options["output"].address) as stored:
        return _recorded_and_judged(resolved, options, outputs, asked_for, stored)


def _recorded_and_judged(
    resolved: Resolved, options: dict[str, Any], outputs: Outputs, asked_for: Wanted | None, stored: Storing
) -> int:
    path: Path | int | None = None
    try:
        with PROGRAM.heard() as asked:
            path = guarded(lambda: carry_out(resolved, asked, began=stored.begin), resolved.output)
        if isinstance(path, int):
            stored.left = path == ExitCode.INTERRUPTED
            return path
        if asked_for is not None:
            keep_for(path, asked_for)
        _prune(resolved)  # before the reports: it may free the space that they need
        judgement = report_on(path, latencies=options["latencies"], form=options["form"])
        outputs.leave([(path, judgement)])
    except KeyboardInterrupt:
        stored.left = True
        if isinstance(path, Path):
            warn(f"zdtest: interrupted before the report was made: zdtest report {path}")
        return ExitCode.INTERRUPTED
    # A signal after the end of the load is an interruption, too.
    return ExitCode.INTERRUPTED if asked.count else exit_code(judgement, exit_zero=options["exit_zero"])


def _handed(descriptor: int | None) -> Handed:
    """Take what a suite tells this run, if it is one of a suite. Raises UsageError."""
    from harness.suite.handover import Handed, taken  # noqa: PLC0415

    return Handed() if descriptor is None else taken(descriptor)


def _baseline(options: dict[str, Any], earlier: Path) -> Wanted | None:
    """Read --baseline; `earlier` is the folder in which last-pass is looked up. Raises UsageError."""
    word, level = options["baseline"], options["baseline_level"]
    if word is None:
        if level is not None:
            raise UsageError("--baseline-level goes with --baseline: add --baseline, or leave it out")
        return None
    if options["no_rollout"]:
        raise UsageError(
            "--baseline compares rollouts, and with --no-rollout there is none; drop one of them"
        )
    return wanted(word, level or LEVEL, earlier)


def carry_out(
    resolved: Resolved,
    asked: Asked,
    lab: RunningLab | None = None,
    began: Callable[[Path], None] | None = None,
) -> Path:
    """Run the event loop. The first Ctrl-C ends the load, a second one everything; more change nothing.

    `lab` is one that is running already, for a scenario of the lab. `began` is told the run's folder once there is one.
    """
    import anyio  # noqa: PLC0415
    import anyio.to_thread  # noqa: PLC0415

    from harness.load.prestarted import prestart  # noqa: PLC0415
    from harness.progress.live import LiveView  # noqa: PLC0415

    line = LiveView()
    kept: list[Path] = []  # the recording, if the run is left in the middle
    sent = resolved.scenario.load
    workers = 0 if sent.pods else min(sent.workers, sent.concurrency)

    async def listen(scope: anyio.CancelScope) -> None:
        async for count in asked.each():
            if count > 1 or not line.shown:
                scope.cancel()  # of the work alone: this goes on listening until the load, then the lab have ended
            else:
                line.say("interrupted: ending the load; what was recorded is kept (again to leave at once)")

    async def whole() -> Path | None:
        path = None
        async with anyio.create_task_group() as group:
            work = anyio.CancelScope()
            group.start_soon(listen, work)
            with work:
                async with prestart(workers) as prestarted:
                    # Importing what a run needs takes about as long here as in the workers: do both at the same time.
                    observing, execute = await anyio.to_thread.run_sync(_machinery)
                    observer = observing.RunObserver(
                        say=line.say,
                        show=line.show,
                        interrupted=lambda: asked.count > 0,
                        command=sys.argv,
                        kept=kept.append,
                        began=began or (lambda _: None),
                    )
                    path = await execute.execute(resolved, observer, prestarted, lab)
            group.cancel_scope.cancel()
        return path

    with line:
        path = anyio.run(whole)
    if path is None:
        raise LeftAtOnce if kept else click.Abort
    if resolved.use_lab:
        _ask_the_labs_log(path)
    return path


def _ask_the_labs_log(path: Path) -> None:
    """Read the lab's balancer's access log of failed requests, as `report --access-log` does."""
    log = path / "lab" / "access.log"
    if not log.is_file():  # nothing failed, or its profile writes none
        return
    try:
        take_in(path, [log], strict=False)
    except HarnessError as error:  # the recording is complete without it
        warn(f"zdtest: {error}")


def _machinery() -> Any:
    from harness.run import execute, observing  # noqa: PLC0415

    return observing, execute


def _prune(resolved: Resolved) -> None:
    if resolved.keep is not None:
        from harness.history.clearing import prune  # noqa: PLC0415

        try:
            for gone in prune(resolved.output, resolved.name(), resolved.keep):
                warn(f"deleted {gone} (--keep {resolved.keep})")
        except OSError as error:
            warn(f"zdtest: cannot delete {error.filename} (--keep): {error.strerror}")
