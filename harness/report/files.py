"""What a judged run leaves in its directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.errors import RecordingError
from harness.report import markdown, text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict import Judgement


def write_all(judgement: Judgement, directory: Path) -> None:
    """Write verdict.json, summary.txt, summary.md and timeline.png, each in one step.

    A run of several rollouts also gets rollouts/1/summary.txt, rollouts/1/timeline.png and so on. Raises RecordingError
    when the directory cannot be written.
    """
    from harness.judge import verdict  # noqa: PLC0415  brings pandas, which `--help` must not wait for
    from harness.recording.write import write_text  # noqa: PLC0415  the same: pyarrow brings pandas

    try:
        write_text(directory / "verdict.json", verdict.to_json(judgement))
        write_text(directory / "summary.txt", text.render(judgement, latencies=True) + "\n")
        write_text(directory / "summary.md", markdown.render(judgement))
        _draw(judgement, directory)
        for number, one in enumerate(judgement.rollouts, 1):
            folder = directory / "rollouts" / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "summary.txt", text.render(one, latencies=True) + "\n")
            _draw(one, folder)
    except OSError as error:
        raise RecordingError(f"cannot write the report to {directory}: {error.strerror}") from error


def _draw(judgement: Judgement, directory: Path) -> None:
    from harness.report import plot  # noqa: PLC0415  brings matplotlib, which `--help` must not wait for

    scratch = directory / f".timeline.{os.getpid()}.png"
    try:
        plot.draw(judgement, scratch)
        scratch.replace(directory / "timeline.png")
    finally:
        scratch.unlink(missing_ok=True)
