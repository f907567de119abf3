"""Commands that read recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.baselines import held
from harness.cli.ci.outputs import ci_options, outputs_of
from harness.cli.root import EPILOG, root, show, warn
from harness.cli.runname import run_argument
from harness.errors import RecordingError, in_one_line
from harness.model import BALANCERS, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.read import Recording


FORMATS = ("text", "json", "bombardier-json")


def report_on(path: Path, *, latencies: bool, form: str = "text") -> Judgement:
    """Judge a recording, write its reports beside it, and print one of FORMATS.

    The verdict does not depend on any report: what could not be written or printed is said on standard error.
    """
    from harness.judge.verdict.judgement import to_json  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report import bombardier_json, text  # noqa: PLC0415

    recording = Recording.open(path)
    judgement, picture = held(recording, *judged(recording))
    missing = leave_reports(judgement, path, picture)
    made = {
        "json": lambda: to_json(judgement).removesuffix("\n"),
        "bombardier-json": lambda: bombardier_json.render(judgement, recording, latencies=latencies),
        "text": lambda: text.render(judgement, latencies=latencies),
    }
    try:
        summary = made[form]()
    except Exception as error:  # noqa: BLE001  the verdict is worth more than its report
        warn(f"zdtest: cannot print the summary: {in_one_line(error)}")
        summary = text.headline(judgement) if form == "text" else ""
    if summary:
        show(summary)
    if missing:
        warn(f"zdtest: {missing}")
    return judgement


def judged(recording: Recording) -> tuple[Judgement, Picture | None]:
    """Judge a recording, with what its pictures are drawn from; None, and a line on standard error, where they fail.

    Raises RecordingError if the recording cannot be read.
    """
    from harness.judge.verdict.judgement import judge, judge_with_picture  # noqa: PLC0415

    try:
        return judge_with_picture(recording)
    except RecordingError:
        raise
    # The verdict is worth more than any picture. What keeps it from being given is said by judging once more.
    except Exception as error:  # noqa: BLE001
        judgement = judge(recording)
        warn(f"zdtest: cannot make what report.html and timeline.png are drawn from: {in_one_line(error)}")
        return judgement, None


def leave_reports(judgement: Judgement, path: Path, picture: Picture | None = None) -> str:
    """Write all reports of a run into its folder; return a message about those that failed, else ""."""
    from harness.report import write_all  # noqa: PLC0415

    try:
        write_all(judgement, path, picture)
    except RecordingError as error:
        return str(error)
    return ""


def exit_code(judgement: Judgement, *, exit_zero: bool) -> int:
    """Turn a judgement into the exit code."""
    if judgement.ended_by == "interrupted":
        return ExitCode.INTERRUPTED
    if exit_zero or judgement.ended_by == "dry_run":
        return ExitCode.PASS
    return ExitCode[judgement.grade.name]


def take_in(directory: Path, logs: Sequence[Path], *, strict: bool = True) -> None:
    """Keep what access logs say about a run beside its recording. Raises UsageError; `strict` as in `told_by`."""
    from harness.judge.numbers.accesslog import told_by  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.recording.upstreams import keep  # noqa: PLC0415

    log = told_by(Recording.open(directory), logs, strict=strict)
    keep(directory, log.entries, log.coverage)


@root.command(epilog=EPILOG)
@run_argument()
@click.option("-l", "--latencies", is_flag=True, help="Print the latency distribution.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever the verdict.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="What to print.  [text]")
@click.option("--access-log", "logs", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The balancer's access log (nginx, HAProxy, Envoy, Istio, Caddy, Traefik, ALB; .gz too), which says "
                   "which pod each failed request went to. May be given several times.")  # fmt: skip
@click.option("--balancer", type=click.Choice(BALANCERS),
              help="The balancer in front of the pods, if its answers do not show it; kept in the recording.  "
                   "[recognised by its answers]")  # fmt: skip
@ci_options
def report(
    directory: Path,
    *,
    latencies: bool,
    exit_zero: bool,
    form: str,
    logs: tuple[Path, ...],
    balancer: str | None,
    **options: Any,
) -> int:
    """Judge the recording of RUN again, and rewrite its reports.

    RUN is a run's folder, or a name: last, last-pass, last-fail, a date such as 2026-11-30, or any part of the
    folder's name that only this run has. Names are looked up below results/; write DIR/NAME for another folder.
    """
    outputs = outputs_of(options)
    if balancer:
        from harness.recording.read import Recording  # noqa: PLC0415
        from harness.recording.write import say_balancer  # noqa: PLC0415

        say_balancer(directory, Recording.open(directory).run, balancer)
    if logs:
        take_in(directory, logs)
    judgement = report_on(directory, latencies=latencies, form=form)
    outputs.leave([(directory, judgement)])
    return exit_code(judgement, exit_zero=exit_zero)
