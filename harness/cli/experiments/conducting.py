"""Begins, resumes and ends an experiment: what is the same for `zdtest ab` and `zdtest ablate`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.cli.experiments.running import Runs, connected, folder_again, kept_request, request_again
from harness.cli.experiments.workload import (
    announce,
    named,
    pinned,
    place_of,
    resolved_in,
    wait_for_the_dead,
)
from harness.cli.root import warn
from harness.errors import HarnessError, RecordingError, UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.experiment.conduct import Conductor
    from harness.experiment.place import Original, Place
    from harness.interrupts import Asked
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.series.experiment import Experiment, Look
    from harness.run.execute import RunningLab
    from harness.scenario.resolve import Request

Object = dict[str, Any]

_GONE = "nothing to put back: it ran on the embedded lab"


@dataclass(frozen=True, slots=True)
class Version:
    """One version to try, as its manifest has it. `file` is what the runs' trigger reads."""

    arm: file.Arm
    file: Path
    document: Object


@dataclass(frozen=True, slots=True)
class Done:
    """An experiment that has ended, or was left: its folder, its record, and the runs judged in this process."""

    directory: Path
    experiment: Experiment
    judgements: Mapping[Path, Judgement]
    code: int  # 0 when it is complete and everything is as it was


def begin(
    request: Request,
    plan: Callable[[Object], Sequence[Version]],
    design: Callable[[Sequence[Version]], Experiment],
    differ: Callable[[Path, Look], str],
) -> Done:
    """Make a new experiment. `plan` returns its versions of the live workload, `design` the order to try them in.

    Raises UsageError while nothing has been touched.
    """
    from harness.experiment import place as places  # noqa: PLC0415
    from harness.recording.folder import new_folder  # noqa: PLC0415

    here = Path.cwd()
    resolved = resolved_in(request, here)
    with PROGRAM.heard() as asked, connected(resolved) as (api, lab), ExitStack() as stack:
        request = pinned(request, resolved, api)
        resolved = resolved_in(request, here)
        place = place_of(resolved, api, lab)
        live = place.live()
        announce(live, resolved, api, lab)
        versions = plan(live)
        specs = {version.arm.name: place.rehearsed(version.document, live) for version in versions}
        experiment = replace(
            design(versions),
            workload=named(live, resolved, api),
            began=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            request=kept_request(request, here),
            restored=_GONE if lab else "",
        )
        name = f"{experiment.kind}-{resolved.name()}"
        try:
            directory = new_folder(request.output, name, datetime.now(UTC))
            if not lab:  # the lab ends with this process, and what was there with it
                places.keep(directory, places.as_original(live))
            file.write(directory, experiment)
        except (RecordingError, OSError) as error:
            raise UsageError(str(error)) from None
        stack.enter_context(file.mine(directory))
        warn(f"experiment {directory}; if it is cut off: zdtest {experiment.kind} --resume {directory}")
        files = {version.arm.name: version.file for version in versions}
        runs = Runs(request, asked, lab, here)
        conductor = _conductor(directory, experiment, place, specs, files, runs, differ, asked)
        return _conducted(conductor, runs, lab)


def resume(
    directory: Path,
    given: Mapping[str, Any],
    plan: Callable[[Experiment, Object], Sequence[Version]],
    differ: Callable[[Path, Look], str],
) -> Done:
    """Go on with an experiment that was cut off. Raises UsageError, RecordingError."""
    from harness.experiment import place as places  # noqa: PLC0415
    from harness.experiment.arms import unchanged  # noqa: PLC0415

    experiment = file.read(directory)
    request = request_again(experiment, given)
    unchanged(experiment.arms)
    here = folder_again(experiment)
    resolved = resolved_in(request, here)
    with file.mine(directory), PROGRAM.heard() as asked, connected(resolved) as (api, lab):
        place = place_of(resolved, api, lab)
        live = place.live()
        original = None if lab else _original(directory, experiment)
        if not lab and named(live, resolved, api) != experiment.workload:
            raise UsageError(
                f"the experiment is about {experiment.workload}, not {named(live, resolved, api)}; drop what names"
                " another one"
            )
        if original and original.uid != live["metadata"]["uid"]:
            raise UsageError(
                f"{place.shown} is not the one that the experiment began with: it was made anew since, or this is"
                " another cluster; begin a new experiment"
            )
        over = experiment.state == "stopped_early" or experiment.next == len(experiment.order)
        if original:
            live = {**live, "spec": original.spec}
        elif not lab and not over:
            # It was put back; what is there now is what to put back later.
            places.keep(directory, places.as_original(live))
        versions = plan(experiment, live)
        specs = {version.arm.name: place.rehearsed(version.document, live) for version in versions}
        files = {version.arm.name: version.file for version in versions}
        if not over:
            experiment = replace(experiment, state="running", restored=_GONE if lab else "")
        file.write(directory, experiment)
        runs = Runs(request, asked, lab, here)
        conductor = _conductor(directory, experiment, place, specs, files, runs, differ, asked)
        wait_for_the_dead(place, directory, asked)
        return _conducted(conductor, runs, lab)


def restore(directory: Path, given: Mapping[str, Any]) -> int:
    """Only put back what was there before an experiment. Raises UsageError, RecordingError."""
    experiment = file.read(directory)
    if _original(directory, experiment) is None:
        warn(f"nothing to restore: {experiment.restored}")
        return ExitCode.PASS
    request = request_again(experiment, given, for_runs=False)
    here = folder_again(experiment)
    resolved = resolved_in(request, here)
    with file.mine(directory), PROGRAM.heard() as asked, connected(resolved) as (api, lab):
        place = place_of(resolved, api, lab)
        wait_for_the_dead(place, directory, asked)
        left = place.live()["spec"]  # whoever asks for it knows what is there now
        conductor = _conductor(
            directory,
            experiment,
            place,
            {},
            {},
            Runs(request, asked, lab, here),
            lambda _path, _look: "",
            asked,
        )
        conductor.left = left
        return ExitCode.PASS if conductor.restore() else ExitCode.FAIL


def _original(directory: Path, experiment: Experiment) -> Original | None:
    """Return what is still to be put back; None if nothing is. Raises RecordingError if it is lost."""
    from harness.experiment.place import kept  # noqa: PLC0415

    found = kept(directory)
    if found is None and (not experiment.restored or experiment.restored.startswith("not restored")):
        raise RecordingError(
            f"{directory / file.ORIGINAL} is missing: what ran before the experiment is not known; apply its manifest"
            f" or use `kubectl rollout undo`, and begin a new experiment"
        )
    return found


def _conducted(conductor: Conductor, runs: Runs, lab: RunningLab | None) -> Done:
    code: int = ExitCode.CRASH
    try:
        code = conductor.conduct()
    except HarnessError as error:
        code = ExitCode.INCONCLUSIVE
        warn(f"zdtest: the experiment ends here: {error}")
        conductor.note(state="interrupted", note=str(error))
    finally:
        # Also after an error of ours: the workload is somebody's.
        restored = lab is not None or conductor.restore()
        if not restored:
            warn(
                "to put back what was there before, whatever is there now: zdtest"
                f" {conductor.experiment.kind} --restore {conductor.directory}"
            )
    if not restored:
        code = ExitCode.FAIL
    return Done(conductor.directory, conductor.experiment, runs.judgements, code)


def _conductor(
    directory: Path,
    experiment: Experiment,
    place: Place,
    specs: Mapping[str, Object],
    files: Mapping[str, Path],
    runs: Runs,
    differ: Callable[[Path, Look], str],
    asked: Asked,
) -> Conductor:
    from harness.experiment.conduct import Conductor  # noqa: PLC0415

    return Conductor(
        directory=directory,
        experiment=experiment,
        place=place,
        specs=specs,
        files=files,
        run=runs.make,
        differ=lambda look: differ(directory, look),
        say=lambda line: warn(f"--- {line}"),
        leave=lambda: asked.count > 0,
        needs_rollout=experiment.kind == "ab",
        record_switches=experiment.kind == "ab",
    )
