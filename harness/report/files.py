"""What a judged run leaves in its directory."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from harness.errors import RecordingError
from harness.escaping import everywhere, for_picture
from harness.report import markdown, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.judge.verdict import Judgement


def write_all(judgement: Judgement, directory: Path) -> None:
    """Write verdict.json, summary.txt, summary.md and timeline.png, each in one step.

    A run of several rollouts also gets rollouts/1/summary.txt, rollouts/1/timeline.png and so on. Raises RecordingError,
    which names the files that could not be written, when all others have been.
    """
    from harness.judge import verdict  # noqa: PLC0415  brings pandas, which `--help` must not wait for
    from harness.recording.write import write_text  # noqa: PLC0415  the same: pyarrow brings pandas

    def summary(of: Judgement, folder: Path) -> None:
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        write_text(folder / "summary.txt", text.render(of, latencies=True) + "\n")

    files: dict[str, Callable[[], None]] = {
        "verdict.json": lambda: write_text(directory / "verdict.json", verdict.to_json(judgement)),
        "summary.txt": lambda: write_text(
            directory / "summary.txt", text.render(judgement, latencies=True) + "\n"
        ),
        "summary.md": lambda: write_text(directory / "summary.md", markdown.render(judgement)),
        "timeline.png": lambda: _draw(judgement, directory),
    }
    for number, one in enumerate(judgement.rollouts, 1):
        name = f"rollouts/{number}"
        files[f"{name}/summary.txt"] = partial(summary, one, directory / name)
        files[f"{name}/timeline.png"] = partial(_draw, one, directory / name)
    failed: dict[str, str] = {}
    for name, write in files.items():
        try:
            write()
        except OSError as error:
            failed[name] = error.strerror or str(error)
    if failed:
        reasons = ", ".join(dict.fromkeys(failed.values()))
        raise RecordingError(f"cannot write the report to {directory} ({', '.join(failed)}): {reasons}")


def _draw(judgement: Judgement, directory: Path) -> None:
    # It warns where it has no home to keep a cache in, which is its own affair; ours is the picture.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from harness.report import plot  # noqa: PLC0415  brings matplotlib, which `--help` must not wait for

    scratch = directory / f".timeline.{os.getpid()}.png"
    try:
        plot.draw(everywhere(judgement, for_picture), scratch)
        scratch.chmod(0o600)
        scratch.replace(directory / "timeline.png")
    finally:
        scratch.unlink(missing_ok=True)
