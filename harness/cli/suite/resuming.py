"""Carries a suite out, from its first run or from where it was left, and leaves its reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.experiments.running import kept_request
from harness.cli.options import flags_of
from harness.cli.root import crashed, warn
from harness.errors import RecordingError, UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode
from harness.recording import folder
from harness.recording.series import suite as file
from harness.recording.series.suite import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.cli.ci.outputs import Outputs
    from harness.interrupts import Asked
    from harness.recording.series.suite import Entry, Suite
    from harness.suite.jobs import Job

_KEPT = ("baseline", "baseline_level", "run_timeout", "wait", "keep")  # options that hold after --resume, too
_LISTS = ("allowed", "only")


def kept(
    given: Sequence[Path], flags: dict[str, Any], options: Mapping[str, Any], here: Path
) -> dict[str, Any]:
    """Return what of the command line is written down, for a later --resume: all but what may be secret."""
    from harness.scenario.resolve import Request  # noqa: PLC0415

    return {
        **kept_request(Request(flags=flags), here),
        "files": [str(path.absolute()) if path.exists() else str(path) for path in given],
        **{name: options[name] for name in _KEPT},
        **{name: list(options[name]) for name in _LISTS},
    }


def resume(directory: Path, given: Sequence[Path], options: dict[str, Any], outputs: Outputs) -> int:
    """Go on with what has no verdict. Raises UsageError, RecordingError."""
    from harness.cli.suite.planning import planned  # noqa: PLC0415
    from harness.cli.suite.suite import check, found_in, jobs_in, rehearsed  # noqa: PLC0415

    if given or options["only"]:
        raise UsageError(
            f"--resume takes everything from the suite; drop {'the files' if given else '--only'}"
        )
    results = directory.absolute().parent
    with file.mine(results):
        suite = file.read(directory)
        _check(directory, suite.request)
        options = {**options, **_again(suite, options)}
        check(options, results)
        here = Path(suite.request.get("folder") or Path.cwd())
        flags = _flags(suite, options)
        open_ones = {entry.name: entry for entry in suite.entries if not entry.judged}
        if open_ones:
            found = found_in([Path(path) for path in suite.request.get("files", ())], options)
            jobs = [job for job in jobs_in(found, flags, options, here) if job.entry.name in open_ones]
            if gone := open_ones.keys() - {job.entry.name for job in jobs}:
                raise UsageError(
                    f"{min(gone)} has no verdict yet, and no scenario has this name any more; begin a new suite"
                )
            budget_s = None if found.budget_ns is None else found.budget_ns / 1e9
            suite = replace(suite, budget_s=budget_s, parallel=found.parallel or 1)
            plan = planned(jobs, results, suite.parallel, budget_s)
            if options["dry_run"]:
                return rehearsed(replace(suite, entries=tuple(job.entry for job in plan.jobs)), plan)
            again = tuple(_afresh(job.entry, open_ones[job.entry.name]) for job in plan.jobs)
            suite = replace(suite, entries=(*(entry for entry in suite.entries if entry.judged), *again))
            for room in (file.RUNS, file.LOGS):
                (directory / room).mkdir(mode=folder.FOLDER_MODE, exist_ok=True)
            warn(f"suite {directory}: {len(again)} of {len(suite.entries)} have no verdict yet")
        else:
            jobs = []
            warn(f"suite {directory}: every scenario has a verdict")
            if options["dry_run"]:
                return ExitCode.PASS
        with PROGRAM.heard() as asked:
            return carry_out(directory, replace(suite, state="running"), jobs, here, options, outputs, asked)


def _check(directory: Path, request: Mapping[str, Any]) -> None:
    """Refuse what no suite writes down of its command line. Raises RecordingError."""
    lists = [request.get(name, []) for name in ("files", "withheld", *_LISTS)]
    keep = request.get("keep")
    fine = (
        all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists),
        isinstance(request.get("flags", {}), dict),
        isinstance(request.get("folder", ""), str),
        keep is None or (isinstance(keep, int) and keep > 0),
    )
    if not all(fine):
        raise RecordingError(
            f"{directory / file.FILE} cannot be understood: its request is not as zdtest writes it"
        )


def _again(suite: Suite, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the suite began with, where today's command line says nothing else."""
    old = suite.request
    found = {name: old.get(name) for name in _KEPT if options[name] is None}
    found |= {name: tuple(old.get(name) or ()) for name in _LISTS if not options[name]}
    return found | {"parallel": options["parallel"] or suite.parallel}


def _flags(suite: Suite, options: dict[str, Any]) -> dict[str, Any]:
    given = flags_of(None, options)
    if missing := [name for name in suite.request.get("withheld", ()) if name not in given]:
        words = {"target.headers": "-H", "target.body": "--body"}
        named = " and ".join(words.get(name, name) for name in missing)
        raise UsageError(f"give {named} again: what it said may be secret and was not kept")
    return {**suite.request.get("flags", {}), **given}


def _afresh(entry: Entry, old: Entry) -> Entry:
    """Return an entry of today's plan that remembers how often it was tried."""
    return replace(entry, tries=old.tries, result=Result.NOT_RUN)


def carry_out(
    directory: Path,
    suite: Suite,
    jobs: Sequence[Job],
    here: Path,
    options: Mapping[str, Any],
    outputs: Outputs,
    asked: Asked,
) -> int:
    """Run what has no verdict, and leave the reports of all of it; return the exit code."""
    import anyio  # noqa: PLC0415

    from harness.cli.suite.leaving import leave  # noqa: PLC0415
    from harness.cli.suite.running import Runs  # noqa: PLC0415
    from harness.cli.suite.showing import Lines  # noqa: PLC0415
    from harness.cli.suite.suite import interactive, wait_s  # noqa: PLC0415
    from harness.suite.conduct import Conductor  # noqa: PLC0415
    from harness.suite.turns import Turn  # noqa: PLC0415

    words = ["--no-annotations"]
    for name in ("baseline", "baseline_level"):
        if options[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    conductor = Conductor(
        directory=directory,
        suite=suite,
        turns=tuple(Turn(entry.expected_s, frozenset(entry.shares)) for entry in suite.entries),
        run=Runs(
            directory=directory,
            jobs={job.entry.name: job for job in jobs},
            here=here,
            earlier=directory.absolute().parent,
            interactive=interactive(),
            words=tuple(words),
            seen=set(folder.names(directory, file.RUNS)),
        ),
        shown=Lines(sum(not entry.judged for entry in suite.entries)),
        asked=asked,
        wait_s=wait_s(options),
    )
    try:
        anyio.run(conductor.conduct)
    except Exception as error:  # noqa: BLE001  what ran has its verdict, and the suite can be resumed
        code = crashed(error, directory)
        leave(directory, conductor.suite, outputs)
        return code
    _prune(directory, conductor.suite, options["keep"])  # before the page: it may free the space for it
    leave(directory, conductor.suite, outputs)
    return conductor.suite.exit_code or 0


def _prune(directory: Path, suite: Suite, keep: int | None) -> None:
    from harness.history.clearing import prune_suites  # noqa: PLC0415

    if keep is None:
        return
    try:
        for gone in prune_suites(directory.absolute().parent, suite.name, keep, directory):
            warn(f"deleted {gone} (--keep {keep})")
    except OSError as error:
        warn(f"zdtest: cannot delete {error.filename} (--keep): {error.strerror}")
