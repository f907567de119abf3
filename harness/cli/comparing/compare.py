"""`zdtest compare`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.comparing.ablation import is_ablation, show_table
from harness.cli.comparing.comparepage import DEFAULT, with_page
from harness.cli.numberrange import NumberRange
from harness.cli.root import root, show
from harness.errors import UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.cli.comparing.arms import Placed
    from harness.judge.comparison.record import Comparison
    from harness.judge.comparison.sides import Side

FORMATS = ("text", "json", "markdown")
EPILOG = """Exit codes: 0 AFTER is better, no worse, or it cannot be told; 1 AFTER loses more requests, beyond chance;
2 wrong usage (a side without runs, a side that is a single INCONCLUSIVE run); 3 the sides cannot be compared."""


def _offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    from harness.history.names import completions  # noqa: PLC0415  keeps `--help` light

    return completions(incomplete)


@root.command(epilog=EPILOG)
@click.argument("sides", nargs=-1, metavar="[BEFORE AFTER | EXPERIMENT]", shell_complete=_offered)
@click.option(
    "--before", "befores", multiple=True, metavar="RUNS", help="Runs of BEFORE. May be given several times."
)
@click.option(
    "--after", "afters", multiple=True, metavar="RUNS", help="Runs of AFTER. May be given several times."
)
@click.option("--level", type=NumberRange(0, 0.5, min_open=True), default=None, metavar="P",
              help="How often equals may be called different.  [0.05, or the experiment's]")  # fmt: skip
@click.option("--margin", type=NumberRange(min=0), metavar="N",
              help="AFTER is no worse if it surely loses at most N requests more in each rollout.  "
                   "[a fifth of what BEFORE loses]")  # fmt: skip
@click.option("--html", "page", type=click.Path(path_type=Path), is_flag=False, flag_value=Path(DEFAULT),
              metavar="[FILE]", help="Also write a page with pictures, which opens offline.  "
                                     f"[without FILE: {DEFAULT}; then give it last]")  # fmt: skip
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="What to print.  [text]")
def compare(
    sides: tuple[str, ...],
    *,
    befores: tuple[str, ...],
    afters: tuple[str, ...],
    level: float | None,
    margin: float | None,
    page: Path | None,
    form: str,
) -> int:
    """Compare two sides: does AFTER lose more requests than BEFORE, or fewer, beyond chance?

    Each side is a run, a folder of runs, or a pattern such as 'results/*-nightly'; several of these are given with
    --before and --after. A run is its folder, or its name: see `zdtest report --help`. EXPERIMENT is a folder that
    `zdtest ab` left, whose two arms are compared, or `zdtest ablate`, whose table is printed again.

    The unit is the rollout, never the request, so it takes at least four rollouts on each side. A run of several
    rollouts (`run --rollouts N`) brings each of them. Nothing is written but the page of --html.
    """
    if len(sides) == 1 and not befores and not afters and is_ablation(Path(sides[0])):
        given = {"--html": page, "--level": level, "--margin": margin}
        if wrong := next((option for option, value in given.items() if value is not None), None):
            raise UsageError(
                f"{wrong} does not go with an ablation, of which the table is printed; leave it out"
            )
        show_table(Path(sides[0]), form)
        return ExitCode.PASS
    made = partial(compared, sides, befores, afters, level, margin)
    return report(made() if page is None else with_page(page, made), form)


def compared(
    sides: tuple[str, ...],
    befores: tuple[str, ...],
    afters: tuple[str, ...],
    level: float | None,
    margin: float | None,
    side: Callable[[str, Placed], Side] | None = None,
) -> Comparison:
    """Compare what the command line names. Raises UsageError or RecordingError, one line.

    `side` makes a side of its name and its runs; if it is not given, they are judged, and nothing is kept to be drawn.
    """
    from harness.cli.comparing.arms import arms_of, is_experiment  # noqa: PLC0415
    from harness.cli.comparing.sides import runs_of  # noqa: PLC0415
    from harness.judge.comparison.comparison import compare as of  # noqa: PLC0415  brings pandas
    from harness.judge.comparison.significance.exact import LEVEL  # noqa: PLC0415

    names = ("before", "after")
    placed: tuple[Placed, Placed]
    if len(sides) == 1 and not befores and not afters:
        path = Path(sides[0])
        if not is_experiment(path):
            raise UsageError(
                f"{path} is no experiment of zdtest ab; give two sides: zdtest compare BEFORE AFTER"
            )
        (first, one), (second, two), stated = arms_of(path)
        names, placed = (first, second), (one, two)
        level = level or stated
    else:
        words = _words(sides, befores, afters)
        one, two = (
            tuple((run, 0) for run in runs_of(side, name))
            for side, name in zip(words, ("BEFORE", "AFTER"), strict=True)
        )
        if both := {run.resolve() for run, _ in one} & {run.resolve() for run, _ in two}:
            raise UsageError(f"{min(both).name} is on both sides; give each run to one of them")
        placed = one, two
    made = side or _side
    first_side, second_side = (made(name, runs) for name, runs in zip(names, placed, strict=True))
    return of(first_side, second_side, level=level or LEVEL, margin=margin)


def _side(name: str, placed: Placed) -> Side:
    from harness.judge.comparison.sides import judged_run, side_of  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415

    return side_of(name, [judged_run(Recording.open(run), block) for run, block in placed])


def report(comparison: Comparison, form: str) -> int:
    """Print a comparison in one of FORMATS, and return the exit code."""
    from harness.judge.comparison.record import Conclusion  # noqa: PLC0415
    from harness.report.comparison import document, markdown, text  # noqa: PLC0415

    made = {"text": text.render, "json": document.render, "markdown": markdown.render}
    show(made[form](comparison))
    codes = {Conclusion.WORSE: ExitCode.FAIL, Conclusion.NOT_COMPARABLE: ExitCode.INCONCLUSIVE}
    return codes.get(comparison.conclusion, ExitCode.PASS)


def _words(
    sides: tuple[str, ...], befores: tuple[str, ...], afters: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if befores or afters:
        if sides:
            raise UsageError(f"{sides[0]}: with --before and --after, every run is given by one of them")
        if not (befores and afters):
            raise UsageError(
                f"{'AFTER' if befores else 'BEFORE'} has no run; give it with --before RUNS --after RUNS"
            )
        return befores, afters
    if len(sides) > 2:
        raise UsageError(
            f"{len(sides)} runs without a side; give those of each with --before and --after, or a folder or a pattern "
            "for each side, in quotes"
        )
    if len(sides) < 2:
        raise UsageError("give two sides: zdtest compare BEFORE AFTER, each a run or a folder of runs")
    return (sides[0],), (sides[1],)
