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
from harness import masking
from harness.clock import NS
from harness.model import FORMAT, NEVER, OF_A_ROLLOUT, Mark, MarkAt, Round, RunRecord
from harness.scenario.reading import redacted
from harness.scenario.trigger import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.clock import Clock
    from harness.model import OtherChange, RolloutFacts, Target
    from harness.recording.write import RunDirectory
    from harness.scenario.resolve import Resolved

_PACKAGES = ("kubernetes", "httptools", "uvloop", "anyio", "pyarrow")
_HEADER_NEXT = re.compile(r"-[A-Za-z]*H")  # -H, and -kH, where flags are written in one word
_HEADER_AT_ONCE = re.compile(r"(-[A-Za-z]*?H)(.+)", re.DOTALL)  # -HName: value
MOST_CHANGES = 200  # a controller at war with another one would write without end
_WITH_SECRETS = frozenset({"--header", "--body", "--data", "--message", "--trigger", "--webhook"})


class Log:
    """Keeps a run's record and its copy on disk the same."""

    def __init__(self, directory: RunDirectory, record: RunRecord) -> None:
        self._directory = directory
        self.record = record
        directory.run(record)

    def update(self, **changes: Any) -> None:
        """Change fields of the record. What somebody else said goes in without what looks like a secret."""
        if "notes" in changes:
            changes["notes"] = tuple(map(masking.prose, changes["notes"]))
        if "error_samples" in changes:
            changes["error_samples"] = {k: masking.prose(v) for k, v in changes["error_samples"].items()}
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

    @property
    def rollout(self) -> RolloutFacts:
        """The rollout under way. Raises AssertionError while there is none."""
        if self.record.rollout is None:
            raise AssertionError("a change without a record of it")
        return self.record.rollout

    def update_rollout(self, **changes: Any) -> None:
        """Change fields of the rollout under way."""
        self.update(rollout=replace(self.rollout, **changes))

    def change(self, change: OtherChange) -> None:
        """Add what somebody else changed."""
        said = replace(change, what=masking.prose(change.what), who=masking.prose(change.who))
        changes = sorted((*self.record.changes, said), key=lambda one: one.at_ns)
        self.update(changes=tuple(changes)[:MOST_CHANGES])

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
        targets=tuple({"method": t.method, "url": masking.url(t.url), "weight": t.weight} for t in targets),
        concurrency=scenario.load.concurrency,
        workers=scenario.load.workers * (scenario.load.pods or 1),
        rate=scenario.load.rate,
        ramp_ns=scenario.load.ramp,
        http2=scenario.target.http2,
        streams=scenario.target.streams,
        expect=scenario.good_statuses,
        timeout_ns=scenario.target.timeout,
        stalled_ns=5 * NS,
        settle_ns=scenario.rollout.settle,
        max_baseline_failures=scenario.max_baseline_failures,
        rollout_wanted=resolved.rollout_wanted,
        rollouts=scenario.rollout.rollouts,
        stream=scenario.stream.kind if scenario.stream else "",
        back_within_ns=scenario.stream.back_within if scenario.stream else 0,
    )


def redacted_command(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command line without header values, bodies, URL credentials, query values, webhooks and a
    trigger's arguments.
    """
    shown = ["zdtest"]  # not where it is installed
    awaited = ""  # the option that the word before was, where this one is its value
    for word in command[1:]:
        if awaited:
            shown.append(_value(awaited, word))
            awaited = ""
        elif _HEADER_NEXT.fullmatch(word):
            shown.append(word)
            awaited = "--header"
        elif word in _WITH_SECRETS:
            shown.append(word)
            awaited = word
        elif word.startswith("--"):
            flag, equals, value = word.partition("=")
            shown.append(f"{flag}={_value(flag, value)}" if equals else word)
        elif at_once := _HEADER_AT_ONCE.fullmatch(word):
            shown.append(at_once[1] + _value("--header", at_once[2]))
        else:
            shown.append(masking.typed_url(word))
    return tuple(shown)


def _value(option: str, value: str) -> str:
    """Return an option's value as it may be written down."""
    if option in {
        "--body",
        "--data",
        "--message",
        "--webhook",
    }:  # a webhook's address is all that it takes to post there
        return masking.HIDDEN
    if option == "--header":
        name, colon, _ = value.partition(":")
        return f"{name}: {masking.HIDDEN}" if colon else masking.HIDDEN
    if option == "--trigger":
        try:
            return parse(value).shown
        except ValueError:
            return masking.HIDDEN
    return masking.typed_url(value)


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
