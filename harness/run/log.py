"""run.json as it grows: one record, written anew at each step, so that a run killed at any moment is readable."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import harness
from harness.model import FORMAT, NEVER, OF_A_ROLLOUT, Mark, MarkAt, Round, RunRecord
from harness.scenario.reading import redacted
from harness.scenario.schema import redact_url
from harness.scenario.trigger import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.clock import Clock
    from harness.model import Target
    from harness.recording.write import RunDirectory
    from harness.scenario.resolve import Resolved

_PACKAGES = ("kubernetes", "httptools", "uvloop", "anyio", "pyarrow")
_HEADER_NEXT = re.compile(r"--header|-[A-Za-z]*H")  # -H, and -kH, where flags are written in one word
_HEADER_AT_ONCE = re.compile(r"(-[A-Za-z]*?H)([^\s:]+:.*)", re.DOTALL)  # -HName: value


class Log:
    """Keeps a run's record and its copy on disk the same."""

    def __init__(self, directory: RunDirectory, record: RunRecord) -> None:
        self._directory = directory
        self.record = record
        directory.run(record)

    def update(self, **changes: Any) -> None:
        """Change fields of the record."""
        self.record = replace(self.record, **changes)
        self._directory.run(self.record)

    def mark(self, mark: Mark, t_ns: int) -> None:
        """Mark a moment, once: a second time is ignored."""
        if self.record.mark(mark) == NEVER:
            marks = sorted((*self.record.marks, MarkAt(mark, t_ns)), key=lambda m: m.t_ns)
            self.update(marks=tuple(marks))

    def unmark(self, *marks: Mark) -> None:
        """Take moments back that were marked too early."""
        kept = tuple(m for m in self.record.marks if m.mark not in marks)
        if kept != self.record.marks:
            self.update(marks=kept)

    def next_round(self) -> None:
        """Put the rollout that has settled among the earlier ones, and make place for the next one's moments."""
        record = self.record
        if record.rollout is None:
            raise AssertionError("there is no rollout to follow upon")
        own = tuple(m for m in record.marks if m.mark in OF_A_ROLLOUT)
        self.update(
            earlier=(*record.earlier, Round(own, record.rollout)),
            marks=tuple(m for m in record.marks if m.mark not in OF_A_ROLLOUT),
            rollout=None,
        )

    def note(self, line: str) -> None:
        """Add one line for the summary."""
        self.update(notes=(*self.record.notes, line))


def first_record(
    resolved: Resolved, targets: Sequence[Target], clock: Clock, command: Sequence[str], folder: Path
) -> RunRecord:
    """Make the record of a run that begins now."""
    scenario = resolved.scenario
    return RunRecord(
        format=FORMAT,
        state="running",
        ended_by="",
        name=resolved.name(),
        source=resolved.source,
        command=redacted_command(command),
        versions={
            "zdtest": harness.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _PACKAGES},
            **_git_head(folder),
        },
        host={"name": socket.gethostname(), "system": platform.platform(), "cpus": str(os.cpu_count())},
        wall_ns=clock.wall_ns,
        monotonic_ns=clock.monotonic_ns,
        scenario=redacted(scenario),
        targets=tuple({"method": t.method, "url": redact_url(t.url), "weight": t.weight} for t in targets),
        concurrency=scenario.load.concurrency,
        workers=scenario.load.workers,
        rate=scenario.load.rate,
        ramp_ns=scenario.load.ramp,
        http2=scenario.target.http2,
        expect=scenario.target.expect,
        timeout_ns=scenario.target.timeout,
        stalled_ns=5_000_000_000,
        settle_ns=scenario.rollout.settle,
        max_baseline_failures=scenario.max_baseline_failures,
        rollout_wanted=resolved.rollout_wanted,
        rollouts=scenario.rollout.rollouts,
    )


def redacted_command(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command line without its header values, bodies, URL credentials and a trigger's arguments."""
    shown = ["zdtest"]  # not where it is installed
    awaited = ""  # what the word before announced: header | body
    for word in command[1:]:
        flag, equals, rest = word.partition("=") if word.startswith("--") else (word, "", word)
        at_once = _HEADER_AT_ONCE.fullmatch(word)
        if awaited:
            shown.append("***" if awaited == "body" else _without_value(word))
            awaited = ""
            continue
        if equals and flag in {"--header", "--body"}:
            shown.append(f"{flag}={'***' if flag == '--body' else _without_value(rest)}")
        elif at_once:
            shown.append(at_once[1] + _without_value(at_once[2]))
        elif rest.startswith("command "):
            shown.append(f"{flag}={_trigger(rest)}" if equals else _trigger(rest))
        else:
            shown.append(redact_url(word))
        awaited = "body" if word == "--body" else "header" if _HEADER_NEXT.fullmatch(word) else ""
    return tuple(shown)


def _without_value(header: str) -> str:
    name, colon, _ = header.partition(":")
    return f"{name}: ***" if colon else "***"


def _trigger(text: str) -> str:
    try:
        return parse(text).shown
    except ValueError:
        return "command ***"


def _git_head(folder: Path) -> dict[str, str]:
    """Return the commit of the folder that the run was started in: a manifest's history explains a run."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"],  # noqa: S607  whichever git the user has
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git_head": done.stdout.strip()} if done.returncode == 0 else {}
