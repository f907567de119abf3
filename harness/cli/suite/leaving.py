"""Leaves what a suite found: its page and its table, and what CI systems asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from harness.cli.ci.leaving import annotate, append_to_summary, attempt, publish_made
from harness.cli.root import show, warn
from harness.cli.runs.listing import width
from harness.recording import folder
from harness.report.suite import junit, markdown, page, table
from harness.suite.ending import headline

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cli.ci.outputs import Outputs
    from harness.recording.series.suite import Suite

PAGE = "suite.html"


def leave(directory: Path, suite: Suite, outputs: Outputs) -> None:
    """Write the page, print the table, write what was asked for. What fails is one line, and changes no verdict."""
    said = headline([entry.result for entry in suite.entries])
    path = directory / PAGE
    attempt(f"write {path}", lambda: folder.write_text(path, page.render(suite, said)))
    attempt("print the table", lambda: show(table.render(suite, said, width())))
    made = {
        "junit": lambda: junit.render(suite, outputs.link),
        "markdown": lambda: markdown.render(suite, said, outputs.link),
    }
    for name, file in outputs.files.items():
        attempt(f"write --{name} {file}", partial(publish_made, file, made[name]))
    if outputs.step_summary is not None:
        attempt(
            "write GitHub's step summary", partial(append_to_summary, outputs.step_summary, made["markdown"])
        )
    if outputs.annotations:
        attempt("print GitHub's annotations", lambda: annotate(markdown.of_github(suite)))
    warn(f"zdtest: wrote {path}")
