"""What a run leaves for CI systems, monitoring and chat: the options, checked before the run begins."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import typedpaths
from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.verdict.judgement import Judgement

_FILES = {
    "junit": "JUnit XML: each objective and each rollout is a test case.",
    "markdown": "Markdown with the picture as text, the causes and the fix. In GitHub Actions the job's summary "
    "gets it without this option.",
}
_OF_A_SUITE = {
    "junit": "JUnit XML: each scenario is a test case.",
    "markdown": "Markdown with a row for each scenario, the causes and the fixes. In GitHub Actions the job's summary "
    "gets it without this option.",
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for on the command line and by the CI system's environment."""

    files: dict[str, Path]  # by name of the option
    link: str = ""
    step_summary: Path | None = None
    annotations: bool = False
    pushgateway: str = field(default="", repr=False)  # it may hold a password
    webhook: str = field(default="", repr=False)  # all of it is a secret
    webhook_on: str = "all"  # or "loss"

    def leave(self, runs: Sequence[tuple[Path, Judgement]]) -> None:
        """Write and send all of it for these runs, each with its folder."""
        from harness.cli.ci.leaving import leave  # noqa: PLC0415  keeps `--help` light

        leave(self, runs)


def annotations_option(command: Any) -> Any:
    """Add --annotations."""
    return click.option(
        "--annotations/--no-annotations",
        default=None,
        help="Print GitHub's annotations, at the lines of manifests, on standard error.  [in GitHub Actions]",
    )(command)


def file_options(command: Any) -> Any:
    """Add the options that name files, and --link."""
    return _file_options(command, _FILES)


def suite_file_options(command: Any) -> Any:
    """Add the same for a suite, whose test cases are scenarios."""
    return _file_options(command, _FILES | _OF_A_SUITE)


def _file_options(command: Any, files: dict[str, str]) -> Any:
    command = annotations_option(command)
    command = click.option(
        "--link",
        metavar="URL",
        help="The address of this run for people, shown in all of these.  [the CI job's, if it has one]",
    )(command)
    for name, text in reversed(files.items()):
        command = click.option(
            f"--{name}",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"Write the result to FILE as {text}",
        )(command)
    return command


def ci_options(command: Any) -> Any:
    """Add all options of outputs: the files, the metrics and the webhook."""
    options = [
        click.option(
            "--openmetrics",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write the result to FILE as OpenMetrics; to FILE.prom in Prometheus' text format, for the node "
            "exporter's textfile collector.",
        ),
        click.option(
            "--pushgateway",
            metavar="URL",
            help="Send the same metrics to a Prometheus Pushgateway, as job zdtest.",
        ),
        click.option(
            "--webhook",
            metavar="URL",
            envvar="ZDTEST_WEBHOOK",
            help="Post the result to URL as JSON, with a text that Slack shows. The address is a secret: better in "
            "the environment as ZDTEST_WEBHOOK.",
        ),
        click.option(
            "--webhook-on",
            type=click.Choice(("all", "loss")),
            default="all",
            help="Post every result, or only those with lost requests.  [all]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return file_options(command)


def outputs_of(options: dict[str, Any]) -> Outputs:
    """Take the options of outputs out of all options. Raises UsageError for a file that cannot be written."""
    from harness.report.ci.link import host_of, link  # noqa: PLC0415  keeps `--help` light

    files = {
        name: path
        for name in (*_FILES, "openmetrics", "sarif")
        if (path := options.pop(name, None)) is not None
    }
    for name, path in files.items():
        made = options.get("output")  # of `run`: where recordings go, which may be stored elsewhere, too
        _check_file(name, path, getattr(made, "folder", made))
    _check_each_has_its_own(files)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    addresses = {name: options.pop(name, None) or "" for name in ("pushgateway", "webhook")}
    for name, address in addresses.items():
        if address and not host_of(address):
            raise UsageError(f"--{name}: its address must begin with http:// or https://, and have a host")
    webhook_on = options.pop("webhook_on", None) or "all"
    given = options.pop("link", None)
    if given and not link(given, {}):
        raise UsageError("--link: it must begin with http:// or https://, and hold no space")
    annotated = options.pop("annotations", None)
    return Outputs(
        files=files,
        link=link(given, os.environ),
        step_summary=Path(summary) if summary else None,
        annotations=os.environ.get("GITHUB_ACTIONS") == "true" if annotated is None else annotated,
        webhook_on=webhook_on,
        **addresses,
    )


def _check_file(option: str, path: Path, made: Path | None) -> None:
    """Refuse a file that cannot be written. `made` is the folder that the run makes where it is missing."""
    inside = made is not None and _real(path.parent) == _real(made)
    if not typedpaths.is_dir(path.parent) and not inside:
        raise UsageError(
            f"--{option} {path}: there is no folder {path.parent}; create it, or name another file"
        )
    if typedpaths.is_dir(path):
        raise UsageError(f"--{option} {path}: this is a folder; name a file in it")
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"--{option} {path}: {error.strerror}; name another file") from None


def _check_each_has_its_own(files: dict[str, Path]) -> None:
    """Refuse two outputs to one file, of which the last alone would be left. A device takes them all."""
    taken: dict[str, str] = {}
    for option, path in files.items():
        if typedpaths.exists(path) and not typedpaths.is_file(path):
            continue
        first = taken.setdefault(_real(path), option)
        if first != option:
            raise UsageError(
                f"--{option} {path}: --{first} goes to the same file; give each a file of its own"
            )


def _real(path: Path) -> str:
    """Return the path without links; unlike Path.resolve, it takes a name that is too long, too."""
    return os.path.realpath(path)
