"""The table of an experiment that `zdtest ablate` left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import show
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def is_ablation(path: Path) -> bool:
    """Whether a folder is that of an ablation. Raises RecordingError if it is a damaged experiment's."""
    return file.is_experiment(path) and file.read(path).kind == "ablate"


def show_table(directory: Path, form: str, judged: Mapping[Path, Judgement] | None = None) -> None:
    """Print the table, as "text", "markdown" or "json"; runs that are not among those `judged` are judged again.

    Raises RecordingError if a run cannot be read.
    """
    from harness.judge.verdict.judgement import judge  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415
    from harness.report.ablation import Row, json_of, markdown, text  # noqa: PLC0415

    found = file.read(directory)
    about = {arm.name: arm.about for arm in found.arms}
    known = judged or {}
    rows = []
    for step in found.order:
        if step.run:
            path = directory / step.run
            judgement = known.get(path) or judge(Recording.open(path))
            rows.append(Row.of(step.arm, about[step.arm], judgement))
    if rows:
        show({"text": text, "markdown": markdown, "json": json_of}[form](rows))
