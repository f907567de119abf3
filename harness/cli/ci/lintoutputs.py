"""Where lint's findings go: standard output, a SARIF file, and GitHub's annotations."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.ci.leaving import annotate, attempt, repository, within
from harness.recording.folder import publish
from harness.report import lint as text
from harness.report.ci import sarif, workflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cli.ci.outputs import Outputs
    from harness.report.lint import Placed


def printed(form: str, findings: Sequence[Placed], notes: Sequence[str]) -> str:
    """Return what is printed."""
    if form == "json":
        return text.as_json(findings, notes)
    if form == "sarif":
        return sarif.render(_in_repository(findings)).removesuffix("\n")
    if form == "github":
        return "\n".join(workflow.render(workflow.of_lint(_in_repository(findings))))
    return text.lines(findings, notes)


def leave(outputs: Outputs, form: str, findings: Sequence[Placed]) -> None:
    """Write what was asked for beside it."""
    inside = _in_repository(findings)
    for name, path in outputs.files.items():
        attempt(f"write --{name} {path}", partial(publish, path, sarif.render(inside)))
    if outputs.annotations and form != "github":
        annotate(workflow.render(workflow.of_lint(inside)))


def _in_repository(findings: Sequence[Placed]) -> list[Placed]:
    """Name files as the repository does: GitHub knows no others."""
    root = repository()
    return [one._replace(place=one.place and within(root, one.place, Path.cwd())) for one in findings]
