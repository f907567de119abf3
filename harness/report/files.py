"""Writes the reports of a judged run into its directory."""

from __future__ import annotations

import logging
import warnings
from functools import cache, partial
from typing import TYPE_CHECKING

from harness.errors import RecordingError, in_one_line
from harness.escaping import everywhere, for_picture
from harness.recording.folder import remove_below, replacing, write_below
from harness.report import markdown, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement

PICTURES = ("timeline.png", "timeline-dark.png", "timeline.svg")


def write_all(judgement: Judgement, directory: Path, picture: Picture | None = None) -> None:
    """Write verdict.json, summary.txt, summary.md and, with a picture, report.html and timeline.png, each in one step.

    The timeline is also written for dark pages (timeline-dark.png), and as timeline.svg. A run of several rollouts also
    gets rollouts/1/summary.txt, rollouts/1/timeline.png and so on; report.html shows them side by side. If one of them
    fails, the others are still written. Raises RecordingError, one line, that names the missing ones and the reason.
    """
    from harness.judge.verdict import judgement as judging  # noqa: PLC0415  brings pandas, which `--help` must not

    made: dict[str, Callable[[], str]] = {
        "verdict.json": lambda: judging.to_json(judgement),
        "summary.txt": partial(_summary, judgement),
        "summary.md": lambda: markdown.render(judgement),
    }
    if picture is not None:
        made["report.html"] = partial(_page, judgement, picture)
    for number, one in enumerate(judgement.rollouts, 1):
        made[f"rollouts/{number}/summary.txt"] = partial(_summary, one)
    files: dict[str, Callable[[], None]] = {
        name: partial(_write, directory, name, make) for name, make in made.items()
    }
    if picture is not None:
        # Escaped once for all pictures, where the first of them is drawn: it may fail, too.
        shown = cache(lambda: (everywhere(judgement, for_picture), everywhere(picture, for_picture)))
        files |= {name: partial(_draw, directory, name, shown) for name in PICTURES}
        for number in range(1, min(len(judgement.rollouts), len(picture.rollouts)) + 1):
            name = f"rollouts/{number}/timeline.png"
            files[name] = partial(_draw, directory, name, shown, number)
    else:  # what an earlier verdict's looked like must not stand beside this one
        drawn = (
            "report.html",
            *PICTURES,
            *(f"rollouts/{n}/timeline.png" for n in range(1, len(judgement.rollouts) + 1)),
        )
        files |= {name: partial(remove_below, directory, name) for name in drawn}
    failed: dict[str, str] = {}
    for name, write in files.items():
        try:
            write()
        # The verdict is worth more than any report: whatever made this one fail, the others are written.
        except Exception as error:  # noqa: BLE001
            failed[name] = in_one_line(error)
    if failed:
        reasons = ", ".join(dict.fromkeys(failed.values()))
        raise RecordingError(f"cannot write the report to {directory} ({', '.join(failed)}): {reasons}")


def _summary(judgement: Judgement) -> str:
    return text.render(judgement, latencies=True) + "\n"


def _page(judgement: Judgement, picture: Picture) -> str:
    from harness.report.page import page  # noqa: PLC0415  reads its scripts and styles, which `--help` does not need

    return page.render(judgement, picture)


def _write(directory: Path, name: str, make: Callable[[], str]) -> None:
    write_below(directory, name, make())


def _draw(
    directory: Path, name: str, shown: Callable[[], tuple[Judgement, Picture]], rollout: int = 0
) -> None:
    # matplotlib warns if it has no home for its cache, or if its font lacks a character. Neither spoils the picture.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from harness.report.drawing import draw, theme  # noqa: PLC0415  matplotlib, which `--help` must not wait for

        looks = theme.DARK if name.endswith("-dark.png") else theme.LIGHT
        judgement, picture = shown()
        if rollout:
            judgement, picture = judgement.rollouts[rollout - 1], picture.rollouts[rollout - 1]
        with replacing(directory, name) as file:
            draw.draw(judgement, picture, file, theme=looks, form=name.rpartition(".")[2])
