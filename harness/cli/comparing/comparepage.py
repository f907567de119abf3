"""`zdtest compare --html FILE`: the same comparison, and a page of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import warn
from harness.cli.runs.outfile import replaced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.cli.comparing.arms import Placed
    from harness.judge.comparison.picture import Key, Seen
    from harness.judge.comparison.record import Comparison
    from harness.judge.comparison.sides import Side

DEFAULT = "compare.html"


def with_page(file: Path, compared: Callable[[Callable[[str, Placed], Side]], Comparison]) -> Comparison:
    """Compare, and write the page of it; `compared` is handed what makes a side of its runs.

    Raises UsageError, one line, if the file cannot be written, before anything is judged.
    """
    from harness.judge.comparison.picture import judged_with_pictures, overlay  # noqa: PLC0415  brings pandas
    from harness.judge.comparison.sides import side_of  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report.comparison.page.page import render  # noqa: PLC0415

    seen: list[dict[Key, Seen]] = []

    def side(name: str, placed: Placed) -> Side:
        runs, its = [], dict["Key", "Seen"]()
        for path, block in placed:
            run, drawn = judged_with_pictures(Recording.open(path), block)
            runs.append(run)
            its |= drawn
        seen.append(its)
        return side_of(name, runs)

    with replaced(file) as out:
        comparison = compared(side)
        its, others = seen
        out.write(
            render(comparison, overlay(comparison.before, comparison.after, its, others)).encode(
                errors="backslashreplace"
            )
        )
    warn(f"zdtest: wrote {file}")
    return comparison
