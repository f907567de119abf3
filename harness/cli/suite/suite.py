"""`zdtest suite`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import __version__
from harness.cli.baselines import LEVEL, wanted
from harness.cli.ci.outputs import outputs_of, suite_file_options
from harness.cli.numberrange import NumberRange
from harness.cli.options import flags_of, options_of_a_suite, output_option
from harness.cli.root import root, show, warn
from harness.errors import UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode
from harness.recording import folder
from harness.recording.folder import unwritable
from harness.recording.series import suite as file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.cli.suite.planning import Plan
    from harness.recording.series.suite import Suite
    from harness.suite.files import Found
    from harness.suite.jobs import Job

_EPILOG = """Exit codes: 130 if the suite was interrupted; else its worst run's, the worst first: 1 FAIL (requests were
lost), 4 a run crashed, was killed or timed out, 2 a run was refused (wrong configuration), 3 INCONCLUSIVE, 0 all PASS.
2, too, before anything runs: wrong usage, or a scenario that does not load."""
WAIT_S = 600.0
_FEWEST_S = 1.0


@root.command("suite", epilog=_EPILOG)
@click.argument("words", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]...")
@options_of_a_suite
@click.option("-f", "--file", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The same as FILE. May be given several times.")  # fmt: skip
@click.option("--parallel", type=click.IntRange(1, 64), metavar="N",
              help="Run up to N scenarios at a time that share neither workload nor balancer.  [1]")  # fmt: skip
@click.option("--budget", metavar="TIME",
              help="Begin no run that would end later than this. The riskiest come first.  [none]")  # fmt: skip
@click.option("--run-timeout", metavar="TIME",
              help="End a run after this.  [its duration + max-time + drain + 3m]")  # fmt: skip
@click.option(
    "--wait", metavar="TIME", help="How long a run waits for a workload that another run holds.  [10m]"
)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Run this scenario only. May be given several times."
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the latest N suites of this name with their runs, and delete older ones.",
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR",
              help="Go on with the suite in DIR: run what has no verdict.")  # fmt: skip
@click.option("--dry-run", is_flag=True,
              help="Check all scenarios, print their order, how long they take and what they share.")  # fmt: skip
@click.option("--allow", "allowed", multiple=True, metavar="CONTEXT/NAMESPACE/NAME",
              help="Allow rollouts of this workload although a name looks like production.")  # fmt: skip
@click.option("--baseline", metavar="RUN|DIR|last-pass", help="As of `zdtest run`, for each run.")
@click.option("--baseline-level", type=NumberRange(0.0001, 0.2), default=None, metavar="P",
              help="As of `zdtest run`, for each run.")  # fmt: skip
@suite_file_options
@output_option
def suite_(words: tuple[Path, ...], **options: Any) -> int:
    """Run many scenarios in one night, each as a process of its own, and judge them together.

    FILE is a scenario, or a suite file that lists scenarios. FOLDER is all scenarios in it, by name. The runs, the
    table and the page suite.html go to a folder below --output.
    """
    from harness.cli.suite import resuming  # noqa: PLC0415  keeps `--help` light
    from harness.cli.suite.planning import planned  # noqa: PLC0415

    outputs = outputs_of(options)
    given = (*words, *options["files"])
    if options["resume"]:
        return resuming.resume(options["resume"], given, options, outputs)
    flags, here = flags_of(None, options), Path.cwd()
    results: Path = options["output"]
    check(options, results)
    found = found_in(given, options)
    jobs = jobs_in(found, flags, options, here)
    parallel, budget_s = found.parallel or 1, _maybe_s(found.budget_ns)
    plan = planned(jobs, results, parallel, budget_s)
    if budget_s is not None and plan.forecast.begins_s.count(None) == len(plan.jobs):
        shortest = min(turn.expected_s for turn in plan.turns)
        raise UsageError(
            f"no scenario fits into the budget of {budget_s:.0f} s: the shortest takes about {shortest:.0f} s"
        )
    suite = _suite(found, plan, budget_s, resuming.kept(given, flags, options, here))
    if options["dry_run"]:
        return rehearsed(suite, plan)
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(results, error) from None
    with file.mine(results), PROGRAM.heard() as asked:
        directory = _new_folder(results, suite)
        warn(
            f"suite {directory}: {_said(plan, parallel)}; if it is cut off: zdtest suite --resume {directory}"
        )
        return resuming.carry_out(directory, suite, plan.jobs, here, options, outputs, asked)


def check(options: Mapping[str, Any], results: Path) -> None:
    """Look at options that only runs would look at otherwise. Raises UsageError."""
    wait_s(options)
    if options["baseline"] is not None:
        wanted(options["baseline"], options["baseline_level"] or LEVEL, results)
    elif options["baseline_level"] is not None:
        raise UsageError("--baseline-level goes with --baseline: add --baseline, or leave it out")


def rehearsed(suite: Suite, plan: Plan) -> int:
    """Print what would run, and run nothing."""
    from harness.report.suite import table  # noqa: PLC0415

    show(table.plan(suite, plan.forecast.begins_s, plan.forecast.ends_s))
    return ExitCode.PASS


def found_in(given: Sequence[Path], options: dict[str, Any]) -> Found:
    """Find the scenarios; options outrank what a suite file says. Raises UsageError."""
    from harness.suite.files import find_all  # noqa: PLC0415

    found = find_all(given)
    budget, limit = (
        _duration(options[name], f"--{name.replace('_', '-')}") for name in ("budget", "run_timeout")
    )
    return replace(
        found,
        parallel=options["parallel"] or found.parallel,
        budget_ns=found.budget_ns if budget is None else budget,
        run_timeout_ns=found.run_timeout_ns if limit is None else limit,
    )


def jobs_in(found: Found, flags: dict[str, Any], options: dict[str, Any], here: Path) -> tuple[Job, ...]:
    """Check all scenarios; return those to run. Raises UsageError."""
    from harness.suite.jobs import chosen, jobs_of  # noqa: PLC0415

    jobs = jobs_of(
        found,
        flags,
        options["allowed"],
        here,
        interactive=interactive(),
        limit=_maybe_s(found.run_timeout_ns),
    )
    return chosen(jobs, options["only"])


def interactive() -> bool:
    """Whether somebody can see which cluster it is."""
    return sys.stdin is not None and sys.stdin.isatty()


def _duration(text: str | None, option: str) -> int | None:
    """Read a duration in ns. Raises UsageError."""
    from harness.scenario.values import duration_ns  # noqa: PLC0415

    if text is None:
        return None
    try:
        found = duration_ns(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if found < _FEWEST_S * 1e9:
        raise UsageError(f"{option}: {text} is too short; give at least 1s")
    return found


def wait_s(options: Mapping[str, Any]) -> float:
    """Return how long a run waits for a workload. Raises UsageError."""
    found = _duration(options["wait"], "--wait")
    return WAIT_S if found is None else found / 1e9


def _maybe_s(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / 1e9


def _suite(found: Found, plan: Plan, budget_s: float | None, request: dict[str, Any]) -> Suite:
    return file.Suite(
        name=found.name,
        entries=tuple(job.entry for job in plan.jobs),
        parallel=found.parallel or 1,
        budget_s=budget_s,
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        request=request,
        version=__version__,
    )


def _new_folder(results: Path, suite: Suite) -> Path:
    directory = folder.new_folder(results, f"suite-{suite.name}", datetime.now(UTC))
    try:
        for room in (file.RUNS, file.LOGS):
            (directory / room).mkdir(mode=folder.FOLDER_MODE)
        file.write(directory, suite)
    except OSError as error:
        raise unwritable(results, error) from None
    return directory


def _said(plan: Plan, parallel: int) -> str:
    from harness.report.suite.words import length  # noqa: PLC0415

    left_out = plan.forecast.begins_s.count(None)
    runs = len(plan.jobs) - left_out
    return (
        f"{runs} scenario{'s' * (runs != 1)}"
        + (f", up to {parallel} at a time" if parallel > 1 else "")
        + f", about {length(plan.forecast.ends_s)}"
        + (f"; {left_out} will probably not fit into the budget" if left_out else "")
    )
