"""`zdtest plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import typedpaths
from harness.cli.numberrange import NumberRange
from harness.cli.root import root, show
from harness.errors import UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from harness.history.runs import Run
    from harness.judge.comparison.rollouts import OneRollout

_MOST_RUNS = 60  # the latest ones of a service that are read
_DEFAULT = 0.9

if TYPE_CHECKING:
    _FloatType = click.ParamType[float]
else:  # not generic in an older click
    _FloatType = click.ParamType


class ShareType(_FloatType):
    """A share of requests: 1/1000, 0.001 or 0.1%."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ARG002
        """Read it. Raises UsageError unless it lies between 0 and 1."""
        if isinstance(value, float):
            return value
        return share(str(value))


def share(word: str) -> float:
    """Read a share: 1/1000, 0.001 or 0.1%. Raises UsageError unless it lies between 0 and 1."""
    text = word.strip()
    try:
        if "/" in text:
            part, _, whole = text.partition("/")
            found = float(part) / float(whole)
        else:
            found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        found = 0.0
    if not 0 < found < 1:
        raise UsageError(
            f"--loss-rate {word}: give a share of requests between 0 and 1, such as 1/1000 or 0.1%"
        )
    return found


@root.command("plan")
@click.option("--loss-rate", type=ShareType(), required=True, metavar="SHARE",
              help="The difference to be seen: the share of the requests sent while a rollout goes on that one side "
                   "loses and the other does not, such as 1/1000 or 0.1%.")  # fmt: skip
@click.option("--power", type=NumberRange(0.5, 0.99), default=_DEFAULT, metavar="P",
              help="How often such a difference is to be seen.  [0.9]")  # fmt: skip
@click.option("--level", type=NumberRange(0.001, 0.2), default=0.05, metavar="P",
              help="How often equals may be called different.  [0.05]")  # fmt: skip
@click.option(
    "--name", metavar="NAME", help="The service: a run's name or a workload's.  [that of the latest run]"
)
@click.option("--requests", type=click.IntRange(1, 10**9), metavar="N",
              help="Requests sent while a rollout goes on.  [as in the runs of this service]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("results"), metavar="DIR",
              help="The folder of the runs that tell how this service's rollouts go.  [results]")  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", help="What to print.  [text]"
)
def plan_(
    *,
    loss_rate: float,
    power: float,
    level: float,
    name: str | None,
    requests: int | None,
    output: Path,
    form: str,
) -> int:
    """Say how many rollouts per side, and how many minutes, it takes to see a difference of a given size.

    It is computed from the verdicts of this service's runs so far: how many requests a rollout sees, how bursty its
    losses are, how long it takes. What no run tells is assumed, and said.
    """
    from harness.judge.comparison.plan import plan  # noqa: PLC0415  brings numpy
    from harness.report.comparison import planned  # noqa: PLC0415

    history, latest, service = _history(output, name)
    found = plan(history, latest, loss_rate, wanted=power, level=level, requests=requests)
    show(planned.document(found, service) if form == "json" else planned.render(found, service))
    return ExitCode.PASS


def _history(output: Path, name: str | None) -> tuple[dict[str, list[OneRollout]], str, str]:
    """Return a service's rollouts by manifest, the manifest that it has now, and what the service is called."""
    from harness.history.listing import listed  # noqa: PLC0415

    if not typedpaths.is_dir(output):
        if name is not None or output != Path("results"):
            raise UsageError(f"{output}: no such folder; give the folder that holds the runs with -o")
        return {}, "", ""
    runs = [run for run in listed(output).runs if run.judged and run.rollouts]
    if name is not None:
        mine = [run for run in runs if name in {run.name, run.workload, run.workload.rpartition("/")[2]}]
        if not mine:
            known = ", ".join(list(dict.fromkeys(run.name for run in runs))[:3])
            raise UsageError(
                f"--name {name}: no judged run with a rollout in {output} has it"
                + (f"; there are {known}" if known else "")
            )
        runs = mine
    if not runs:
        return {}, "", ""
    newest = runs[0]
    same = [
        run
        for run in runs
        if (run.name, run.workload, run.load) == (newest.name, newest.workload, newest.load)
    ]
    history: dict[str, list[OneRollout]] = {}
    for run in same[:_MOST_RUNS]:
        history.setdefault(run.objects, []).extend(_rollouts(output / run.folder, run))
    where = f"{newest.name} ({newest.workload}, {newest.load})" if newest.workload else newest.name
    return history, newest.objects, where


def _rollouts(path: Path, run: Run) -> list[OneRollout]:
    from harness.errors import RecordingError  # noqa: PLC0415
    from harness.judge.comparison.rollouts import rollouts_of  # noqa: PLC0415
    from harness.judge.verdict.judgement import from_json  # noqa: PLC0415
    from harness.recording import folder  # noqa: PLC0415

    try:
        judgement = from_json(folder.read(path, "verdict.json", 64 * folder.MIB))
    except (FileNotFoundError, RecordingError):  # of a version whose verdicts this one cannot read
        return []
    return [one for one in rollouts_of(judgement, run.began_ns) if one.counts]
