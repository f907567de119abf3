"""One run of a suite: its command line, its log, and what is read back of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from harness.errors import RecordingError, in_one_line
from harness.history import reading
from harness.recording import folder
from harness.recording.series.suite import LOGS, RUNS, Cause, Result
from harness.suite import ending
from harness.suite.handover import Handed, line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.history.runs import Run
    from harness.recording.series.suite import Entry
    from harness.suite.child import Child
    from harness.suite.ending import Ended
    from harness.suite.jobs import Job

_LOG_END = 1 << 14  # bytes in which the last line is looked for
_MOST_LOG = 1 << 40
_LONGEST = 500
_MOST_CAUSES = 20
_MOST_VERDICT = 64 * folder.MIB


@dataclass(slots=True)
class Runs:
    """Makes the runs of one suite."""

    directory: Path
    jobs: Mapping[str, Job]  # by name
    here: Path  # what is relative in scenarios and flags is relative to that
    earlier: Path  # where last-pass is looked up
    interactive: bool
    words: tuple[str, ...] = ()  # of every run's command line
    seen: set[str] = field(default_factory=set)  # folders of runs that were there before, or are known

    async def __call__(self, child: Child, entry: Entry) -> tuple[Ended, dict[str, Any]]:
        """Carry out one try at a scenario, and read back what became of it."""
        job = self.jobs[entry.name]
        handed = Handed(
            fields=dict(job.fields),
            defaults=dict(job.listed.defaults),
            interactive=self.interactive,
            earlier=str(self.earlier.absolute()),
        )
        words = [
            "run",
            "-f",
            str(job.listed.file),
            "-o",
            str((self.directory / RUNS).absolute()),
            *self.words,
        ]
        if job.listed.allow:
            words += ["--allow", job.listed.allow]
        log = f"{LOGS}/{entry.name}.log" if entry.tries < 2 else f"{LOGS}/{entry.name}-{entry.tries}.log"
        with folder.append(self.directory / log) as file:
            ended = await child.carry_out(words, line(handed), file, entry.limit_s, self.here)
        return ended, await anyio.to_thread.run_sync(self._told, entry, log, ended)

    def _told(self, entry: Entry, log: str, ended: Ended) -> dict[str, Any]:
        """Return the fields of an entry that a run's end changes. A folder that cannot be read is no verdict."""
        try:
            run = self._found(entry.name)
            result, said = ending.result(
                ended,
                run.grade if run else "",
                _last_line(self.directory, log),
                run.headline if run else "",
                entry.limit_s,
            )
            fields: dict[str, Any] = {"result": result, "said": said[:_LONGEST], "log": log}
            if run:
                fields |= {"run": f"{RUNS}/{run.folder}", "requests": run.requests, "lost": run.lost}
                fields["causes"] = causes_of(self.directory / RUNS / run.folder) if run.lost else ()
        except Exception as error:  # noqa: BLE001  one run costs only itself
            return {
                "result": Result.CRASHED,
                "said": f"its verdict cannot be read: {in_one_line(error)}",
                "log": log,
            }
        return fields

    def _found(self, name: str) -> Run | None:
        """Return the newest run of this name that was not there before."""
        rooms = self.directory / RUNS
        for one in reversed([one for one in folder.names(self.directory, RUNS) if one not in self.seen]):
            try:
                run = reading.read(rooms, one)
            except reading.NoRunError:
                continue
            if run.name == name:
                self.seen.add(one)
                return run
        return None


def causes_of(path: Path) -> tuple[Cause, ...]:
    """Return the causes that count against the rollout of a run, the largest first, with what fixes each."""
    from harness.judge.verdict.judgement import from_json  # noqa: PLC0415  brings pandas
    from harness.judge.wording import cause_in_words  # noqa: PLC0415
    from harness.report.summary.sentences import new_fixes  # noqa: PLC0415

    try:
        judgement = from_json(folder.read(path, "verdict.json", _MOST_VERDICT))
    except (FileNotFoundError, RecordingError):
        return ()
    made: list[Cause] = []
    told: list[str] = []  # a fix is told once
    for cause in [cause for cause in judgement.causes if cause.the_rollouts][:_MOST_CAUSES]:
        fixes = new_fixes(cause, told)
        told += fixes
        made.append(Cause(tuple(cause.ids), cause_in_words(cause.name, cause.ids), cause.hits, tuple(fixes)))
    return tuple(made)


def _last_line(directory: Path, log: str) -> str:
    with folder.opened(directory, log, _MOST_LOG) as file:
        file.seek(max(0, file.seek(0, 2) - _LOG_END))
        lines = file.read().decode(errors="replace").splitlines()
    return next((one for one in map(str.strip, reversed(lines)) if one), "")
