"""Writes and sends what was asked for, after the judgement.

No output changes the verdict or the exit code: what could not be written or sent is one line on standard error.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yaml import YAMLError

from harness.cli.root import order, warn
from harness.errors import UsageError, in_one_line
from harness.recording.folder import append, publish
from harness.recording.read import Recording
from harness.report.ci import chat, document, gateway, junit, metrics, workflow
from harness.report.ci.document import MIB, fitting
from harness.report.ci.link import host_of
from harness.scenario import yamltext
from harness.scenario.places import written
from harness.scenario.sources import manifests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.cli.ci.outputs import Outputs
    from harness.judge.verdict.judgement import Judgement
    from harness.scenario.places import Place, Written


def leave(outputs: Outputs, runs: Sequence[tuple[Path, Judgement]]) -> None:
    """Write and send everything that was asked for, whatever becomes of the rest."""
    judgements = [judgement for _, judgement in runs]
    if not judgements:  # a ladder that was left in its first step
        return
    made: dict[str, Callable[[], str]] = {
        "junit": lambda: junit.render(judgements, outputs.link),
        "markdown": lambda: document.render(judgements, outputs.link),
        "openmetrics": lambda: _metrics(outputs.files["openmetrics"], judgements[0]),
    }
    for name, path in outputs.files.items():
        attempt(f"write --{name} {path}", partial(publish_made, path, made[name]))
    if outputs.step_summary is not None:
        attempt(
            "write GitHub's step summary", partial(append_to_summary, outputs.step_summary, made["markdown"])
        )
    if outputs.annotations:
        for path, judgement in runs:
            attempt("print GitHub's annotations", partial(_annotate, path, judgement))
    if outputs.pushgateway:
        where = f"send metrics to the Pushgateway at {host_of(outputs.pushgateway)}"
        attempt(where, partial(_push, outputs.pushgateway, judgements[0]))
    if outputs.webhook and (outputs.webhook_on == "all" or judgements[0].verdict.lost):
        where = f"post to the webhook at {host_of(outputs.webhook)}"
        attempt(where, partial(_post, outputs.webhook, judgements[0], outputs.link))


def _metrics(path: Path, judgement: Judgement) -> str:
    """Return the metrics in the format that the file's name asks for: the textfile collector reads only *.prom."""
    return metrics.prometheus(judgement) if path.suffix == ".prom" else metrics.openmetrics(judgement)


def _push(base: str, judgement: Judgement) -> None:
    from harness.report.ci.network import send  # noqa: PLC0415  brings httpx

    address = gateway.address(base, metrics.labels_of(judgement))
    send("PUT", address, metrics.prometheus(judgement).encode(), gateway.CONTENT_TYPE)


def _post(address: str, judgement: Judgement, link: str) -> None:
    from harness.report.ci.network import send  # noqa: PLC0415  brings httpx

    send("POST", address, chat.render(judgement, link), "application/json")


def annotate(lines: Sequence[str]) -> None:
    """Print workflow commands. The runner reads them on standard error too, and standard output may be JSON."""
    for line in lines:
        order(line)


def _annotate(path: Path, judgement: Judgement) -> None:
    root = repository()
    objects = [
        one
        for file in manifests_of(Recording.open(path).run, Path.cwd())
        if file.resolve().is_relative_to(root)
        for one in _objects(file, file.resolve().relative_to(root).as_posix())
    ]
    annotate(workflow.render(workflow.of_run(judgement, objects)))


def _objects(file: Path, name: str) -> list[Written]:
    """Read where the objects of a manifest stand; a file that is gone or malformed has none."""
    try:
        return list(written(yamltext.read_text(file), name)) if yamltext.is_file(file) else []
    except (OSError, ValueError, YAMLError):
        return []


def repository() -> Path:
    """Return the folder to which GitHub's paths are relative."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()


def within(root: Path, place: Place, folder: Path) -> Place:
    """Return a place whose file is named relative to `root`; as it is if it lies outside."""
    file = (folder / place.file).resolve()
    return replace(place, file=file.relative_to(root).as_posix()) if file.is_relative_to(root) else place


def attempt(what: str, act: Callable[[], None]) -> None:
    """Do something for an output; if it fails, say so in one line."""
    try:
        act()
    except Exception as error:  # noqa: BLE001  the verdict is worth more than any report of it
        warn(f"zdtest: cannot {what}: {in_one_line(error)}")


def publish_made(path: Path, make: Callable[[], str]) -> None:
    """Write a file that the user named."""
    publish(path, make())


def append_to_summary(path: Path, make: Callable[[], str]) -> None:
    """Append to the summary of this step, which other programs write to as well."""
    with append(path) as file:
        used = os.fstat(file.fileno()).st_size
        text = fitting(make(), MIB - used)
        if not text:
            raise UsageError(f"{path.name} is full already: GitHub takes 1 MiB")
        file.write(text.encode(errors="backslashreplace"))
