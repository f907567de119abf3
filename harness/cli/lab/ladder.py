"""`zdtest ladder`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import typedpaths
from harness.cli.ci.outputs import file_options, outputs_of
from harness.cli.options import output_option
from harness.cli.reports import exit_code, judged, leave_reports
from harness.cli.root import EPILOG, guarded, root, show, warn
from harness.cli.run import carry_out
from harness.errors import UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode

if TYPE_CHECKING:
    from harness.judge.verdict.judgement import Judgement
    from harness.scenario.catalogue import Entry

_OPTIONS = {"concurrency": "load.concurrency", "duration": "load.duration"}


@root.command(epilog=EPILOG)
@click.argument("directory", required=False)
@click.option("--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Runs of each step.  [1]")
@click.option("-c", "--concurrency", type=int, help="Connections.  [each step's own]")
@click.option("-d", "--duration", help="Minimum length of each load.  [each step's own]")
@output_option
@file_options
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever the verdicts.")
def ladder(directory: str | None, *, repeat: int, output: Path, exit_zero: bool, **options: Any) -> int:
    """Run the scenarios in DIRECTORY's subfolders one after the other, and show the results in one table.

    Without DIRECTORY, run the four shipped steps, from a Deployment without a probe to a clean rollout, on the
    embedded lab. With --repeat N, run all steps N times; the table then shows medians and ranges. The exit code is
    that of the last step.
    """
    from harness.report.ladder import Row, cells, row, table  # noqa: PLC0415

    outputs = outputs_of(options)
    steps = _steps(directory)
    flags = {field: options[name] for name, field in _OPTIONS.items() if options[name] is not None}
    rows: dict[str, list[Row]] = {step.name: [] for step in steps}
    done: list[tuple[Path, Judgement]] = []
    codes: list[int] = []
    for n in range(repeat):
        for step in steps:
            warn(f"--- {step.name}{f', run {n + 1} of {repeat}' if repeat > 1 else ''}")
            judged, ended = _run(step, flags, output)
            if judged is not None:
                done.append((output / judged.about.folder, judged))
                rows[step.name].append(row(judged))
            if judged is None or ended:
                _show(rows, cells, table)
                outputs.leave(done)
                return ended
            if step is steps[-1]:
                codes.append(exit_code(judged, exit_zero=exit_zero))
    _show(rows, cells, table)
    outputs.leave(done)
    return _worst(codes)


def _show(rows: dict[str, Any], cells: Any, table: Any) -> None:
    done = [cells(name, runs) for name, runs in rows.items() if runs]
    if done:
        show(table(done))


def _worst(codes: list[int]) -> int:
    order = (ExitCode.FAIL, ExitCode.INCONCLUSIVE, ExitCode.PASS)
    return next((code for code in order if code in codes), ExitCode.PASS)


def _steps(directory: str | None) -> tuple[Entry, ...]:
    from harness.scenario.catalogue import steps  # noqa: PLC0415
    from harness.scenario.resolve import shipped  # noqa: PLC0415

    folder = Path(directory) if directory else shipped() / "seed"
    if not typedpaths.is_dir(folder) and directory and typedpaths.is_dir(shipped() / directory):
        folder = shipped() / directory
    found = steps(folder) if typedpaths.is_dir(folder) else ()
    if not found:
        raise UsageError(f"nothing to run in {folder}: none of its sub-folders has a zdtest.yaml")
    return found


def _run(step: Entry, flags: dict[str, Any], output: Path) -> tuple[Judgement | None, int]:
    """Run and judge one step, and leave its reports with the recording.

    Returns the judgement, if there is a recording, and the exit code that ends the ladder, or 0. An interrupted step
    may have both.
    """
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.scenario.resolve import Request, resolve  # noqa: PLC0415

    resolved = resolve(
        Request(flags=dict(flags), file=step.path, output=output, interactive=False), Path.cwd()
    )
    with PROGRAM.heard() as asked:
        path = guarded(lambda: carry_out(resolved, asked), output)
    if isinstance(path, int):
        return None, path
    judgement, picture = judged(Recording.open(path))
    missing = leave_reports(judgement, path, picture)
    if missing:
        warn(f"zdtest: {missing}")
    warn(f"    {judgement.grade.value}: {path}")
    return judgement, ExitCode.INTERRUPTED if asked.count else 0
