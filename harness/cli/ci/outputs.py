"""What a run leaves for CI systems, monitoring and chat: the options, and the writing after the judgement.

No output changes the verdict or the exit code: what could not be written or sent is one line on standard error. Only
what is known to be impossible before the run begins is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.root import warn
from harness.errors import UsageError, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.judge.verdict.judgement import Judgement

_FILES = {
    "junit": "JUnit XML: each objective and each rollout is a test case.",
    "markdown": "Markdown with the picture as text, the causes and the fix. In GitHub Actions the job's summary "
    "gets it without this option.",
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for on the command line and by the CI system's environment."""

    files: dict[str, Path]  # by name of the option
    link: str = ""
    step_summary: Path | None = None


def file_options(command: Any) -> Any:
    """Add the options that name files, and --link."""
    command = click.option(
        "--link",
        metavar="URL",
        help="The address of this run for people, shown in all of these.  [the CI job's, if it has one]",
    )(command)
    for name, text in reversed(_FILES.items()):
        command = click.option(
            f"--{name}",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"Write the result to FILE as {text}",
        )(command)
    return command


def outputs_of(options: dict[str, Any]) -> Outputs:
    """Take the options of outputs out of all options. Raises UsageError for a file that cannot be written."""
    from harness.report.ci.link import link  # noqa: PLC0415  keeps `--help` light

    files = {name: path for name in _FILES if (path := options.pop(name, None)) is not None}
    for name, path in files.items():
        _check_file(name, path)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    return Outputs(files, link(options.pop("link", None), os.environ), Path(summary) if summary else None)


def _check_file(option: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(
            f"--{option} {path}: there is no folder {path.parent}; create it, or name another file"
        )
    if path.is_dir():
        raise UsageError(f"--{option} {path}: this is a folder; name a file in it")


def leave(outputs: Outputs, judgements: Sequence[Judgement]) -> None:
    """Write and send everything that was asked for, whatever becomes of the rest."""
    if not judgements:  # a ladder that was left in its first step
        return
    from harness.report.ci import document, junit  # noqa: PLC0415

    made: dict[str, Callable[[], str]] = {
        "junit": lambda: junit.render(judgements, outputs.link),
        "markdown": lambda: document.render(judgements, outputs.link),
    }
    for name, path in outputs.files.items():
        _attempt(f"write --{name} {path}", partial(_publish, path, made[name]))
    if outputs.step_summary is not None:
        _attempt("write GitHub's step summary", partial(_append, outputs.step_summary, made["markdown"]))


def _attempt(what: str, act: Callable[[], None]) -> None:
    try:
        act()
    except Exception as error:  # noqa: BLE001  the verdict is worth more than any report of it
        warn(f"zdtest: cannot {what}: {in_one_line(error)}")


def _publish(path: Path, make: Callable[[], str]) -> None:
    from harness.recording.folder import publish  # noqa: PLC0415

    publish(path, make())


def _append(path: Path, make: Callable[[], str]) -> None:
    """Append to the summary of this step, which other programs write to as well."""
    from harness.recording.folder import append  # noqa: PLC0415
    from harness.report.ci.document import MIB, fitting  # noqa: PLC0415

    with append(path) as file:
        used = os.fstat(file.fileno()).st_size
        text = fitting(make(), MIB - used)
        if not text:
            raise UsageError(f"{path.name} is full already: GitHub takes 1 MiB")
        file.write(text.encode(errors="backslashreplace"))
