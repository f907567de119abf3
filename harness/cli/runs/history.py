"""`zdtest history`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.root import root, show
from harness.cli.runs.listing import directory_argument, format_option, width
from harness.errors import UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.groups import Group
    from harness.history.listing import Listing

_NIGHTS = 20


@root.command("history")
@directory_argument
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page instead, which opens offline.",
)
@click.option(
    "--last", "nights", type=click.IntRange(min=1), default=_NIGHTS, metavar="N",
    help=f"Runs of each group that are printed one by one.  [{_NIGHTS}]",
)  # fmt: skip
@format_option
def history_(directory: Path, *, page: Path | None, nights: int, form: str) -> int:
    """Show how the runs in DIR (default: results) went over time, and what was changed between them.

    Runs of one name on one workload of one cluster are one group. A manifest's change counts if a person made it, as
    in `zdtest compare`. Nothing is judged again.
    """
    from harness.history import text  # noqa: PLC0415  keeps `--help` light
    from harness.history.groups import grouped  # noqa: PLC0415
    from harness.history.listing import listed  # noqa: PLC0415
    from harness.history.reading import compared  # noqa: PLC0415
    from harness.judge.wording import count  # noqa: PLC0415

    if page is not None and form == "json":
        raise UsageError(
            "--html and --format json do not go together: ask for one of them, then for the other"
        )
    found = listed(directory)
    groups = grouped(found.runs, compared(directory))
    if page is not None:
        _write_page(page, directory, groups, found)
        show(f"wrote {page}: {count(len(found.runs), 'run')} in {count(len(groups), 'group')}")
    elif form == "json":
        show(json.dumps(_plain(groups, found), indent=1))
    else:
        encoding = (sys.stdout.encoding if sys.stdout else None) or "ascii"
        show(text.render(groups, str(directory), width(), nights, _bars(encoding)))
        _say_skipped(found)
    return ExitCode.PASS


def _bars(encoding: str) -> str:
    from harness.history import text  # noqa: PLC0415

    try:
        text.BARS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.PLAIN_BARS
    return text.BARS


def _say_skipped(found: Listing) -> None:
    left_out = len(found.skipped) + sum(not run.judged for run in found.runs)
    if left_out:
        show(f"\n{left_out:,} not judged or skipped: zdtest list says why")


def _plain(groups: Sequence[Group], found: Listing) -> dict[str, Any]:
    from harness.history import runs, trend  # noqa: PLC0415

    return {
        "format": 1,
        "groups": [
            {
                "title": group.title,
                "said": trend.said(group),
                "nights": [
                    {
                        "run": {**runs.to_json(night.run), "verdict": night.run.verdict},
                        "changes": [
                            {"kind": one.kind, "what": one.what, "before": one.before, "after": one.after}
                            for one in night.changes
                        ],
                    }
                    for night in group.nights
                ],
            }
            for group in groups
        ],
        "skipped": [{"folder": one.folder, "why": one.why} for one in found.skipped],
    }


def _write_page(page: Path, directory: Path, groups: Sequence[Group], found: Listing) -> None:
    from harness.cli.runs.outfile import replaced  # noqa: PLC0415
    from harness.history.page.links import links  # noqa: PLC0415
    from harness.history.page.page import render  # noqa: PLC0415

    text = render(groups, found.skipped, links(found.runs, directory, page.parent))
    with replaced(page) as file:
        file.write(text.encode(errors="backslashreplace"))
