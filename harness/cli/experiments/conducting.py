"""Begins, resumes and ends an experiment: what is the same for `zdtest ab` and `zdtest ablate`."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.cli.experiments.running import Runs, connected, kept_request, request_again
from harness.cli.root import warn
from harness.errors import ClusterError, HarnessError, RecordingError, UsageError
from harness.interrupts import PROGRAM
from harness.model import IN_CLUSTER, ExitCode
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.cluster.client.api import Api
    from harness.experiment.conduct import Conductor
    from harness.experiment.place import Place
    from harness.interrupts import Asked
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.series.experiment import Experiment, Look
    from harness.run.execute import RunningLab
    from harness.scenario.resolve import Request, Resolved

Object = dict[str, Any]

LIVE = "live"  # the source of a version that is what runs now
_PARTS = (file.RUNS, file.SWITCHES)
_CLAIM_S = 100.0  # longer than the claim of a killed run lasts


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

    resolved = _resolved(request)
    with PROGRAM.heard() as asked, connected(resolved) as (api, lab), ExitStack() as stack:
        request = _pinned(request, resolved, api)
        resolved = _resolved(request)
        place = _place(resolved, api, lab)
        live = place.live()
        _check(live, resolved, api, lab)
        versions = plan(live)
        specs = {version.arm.name: place.rehearsed(version.document, live) for version in versions}
        experiment = replace(
            design(versions),
            workload=f"{live['kind']} {_namespace(resolved, api)}/{live['metadata']['name']}",
            began=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            request=kept_request(request, Path.cwd()),
        )
        name = f"{experiment.kind}-{resolved.name()}"
        try:
            directory = new_folder(request.output, name, datetime.now(UTC))
            if not lab:  # the lab ends with this process, and what was there with it
                places.keep(directory, place.original())
            file.write(directory, experiment)
        except (RecordingError, OSError) as error:
            raise UsageError(str(error)) from None
        stack.enter_context(file.mine(directory))
        warn(f"experiment {directory}; if it is cut off: zdtest {experiment.kind} --resume {directory}")
        files = {version.arm.name: version.file for version in versions}
        runs = Runs(request, asked, lab)
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
    resolved = _resolved(request)
    with file.mine(directory), PROGRAM.heard() as asked, connected(resolved) as (api, lab):
        place = _place(resolved, api, lab)
        original = places.kept(directory)
        if original is None and not lab and experiment.next < len(experiment.order):
            places.keep(
                directory, place.original()
            )  # it was put back; what is there now is what to put back later
        live = {**place.live(), **({"spec": original.spec} if original else {})}
        versions = plan(experiment, live)
        specs = {version.arm.name: place.rehearsed(version.document, live) for version in versions}
        files = {version.arm.name: version.file for version in versions}
        over = experiment.state == "stopped_early"
        experiment = replace(experiment, state=experiment.state if over else "running", restored="")
        file.write(directory, experiment)
        runs = Runs(request, asked, lab)
        conductor = _conductor(directory, experiment, place, specs, files, runs, differ, asked)
        _wait_for_the_dead(place, directory, asked)
        return _conducted(conductor, runs, lab)


def restore(directory: Path, given: Mapping[str, Any]) -> int:
    """Only put back what was there before an experiment. Raises UsageError, RecordingError."""
    from harness.experiment.place import kept  # noqa: PLC0415

    experiment = file.read(directory)
    if kept(directory) is None:
        warn(f"nothing to restore: {experiment.restored or 'the experiment changed nothing'}")
        return ExitCode.PASS
    request = request_again(experiment, given)
    resolved = _resolved(request)
    with file.mine(directory), PROGRAM.heard() as asked, connected(resolved) as (api, lab):
        place = _place(resolved, api, lab)
        _wait_for_the_dead(place, directory, asked)
        left = place.live()["spec"]  # whoever asks for it knows what is there now
        conductor = _conductor(
            directory, experiment, place, {}, {}, Runs(request, asked, lab), lambda _path, _look: "", asked
        )
        conductor.left = left
        return ExitCode.PASS if conductor.restore() else ExitCode.FAIL


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
            warn(f"put it back with: zdtest {conductor.experiment.kind} --restore {conductor.directory}")
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


def _resolved(request: Request) -> Resolved:
    from harness.scenario.resolve import resolve  # noqa: PLC0415

    resolved = resolve(request, Path.cwd())
    if not resolved.scenario.workload:
        raise UsageError("no workload to try versions of; add --deployment NAME")
    return resolved


def _pinned(request: Request, resolved: Resolved, api: Api) -> Request:
    """Name context and namespace for all runs: the current ones may be others by tomorrow."""
    if resolved.use_lab:
        return request
    pinned: dict[str, Any] = {"namespace": _namespace(resolved, api)}
    if api.context != IN_CLUSTER:
        pinned["cluster.context"] = api.context
    return replace(request, flags={**request.flags, **pinned})


def _namespace(resolved: Resolved, api: Api) -> str:
    return resolved.scenario.namespace or api.namespace


def _place(resolved: Resolved, api: Api, lab: RunningLab | None) -> Place:
    from harness.cluster.permission.guard import refusal  # noqa: PLC0415
    from harness.experiment.place import Place  # noqa: PLC0415

    assert resolved.scenario.workload  # noqa: S101  _resolved() has seen to it
    kind, name = resolved.scenario.workload
    namespace = _namespace(resolved, api)
    denied = None if lab else refusal(api.context, namespace, name, resolved.allow)
    if denied:
        raise UsageError(denied)
    place = Place(api, kind, namespace, name)
    try:
        place.live()
    except ClusterError as error:
        raise UsageError(f"{place.shown} in namespace {namespace} cannot be read: {error}") from None
    return place


def _check(live: Object, resolved: Resolved, api: Api, lab: RunningLab | None) -> None:
    """Refuse a workload that something else would put back. Raises UsageError."""
    from harness.cluster.permission.gitops import objection, tracked_by  # noqa: PLC0415

    refused = "" if lab else objection(tracked_by(live), "replace")
    if refused:
        raise UsageError(refused)
    warn(
        f"server {api.server}, context {api.context}, namespace {_namespace(resolved, api)}: will put versions of"
        f" {live['kind'].lower()}/{live['metadata']['name']} there one after the other, restart each, and put back"
        " what is there now"
    )


def _wait_for_the_dead(place: Place, directory: Path, asked: Asked) -> None:
    """Wait until a killed run's claim on the workload has run out, and its rollout has ended.

    A claim of this experiment's own run need not run out: this process has the experiment, so that run is dead.
    """
    from harness.experiment.conduct import PATIENCE_S  # noqa: PLC0415

    until = time.monotonic() + _CLAIM_S
    said = False
    while (held := place.claimed_by()) and time.monotonic() < until and not asked.count:
        run, _, host = held.partition(" (until ")[0].partition(" on ")
        if host == socket.gethostname() and any((directory / part / run).is_dir() for part in _PARTS):
            place.unclaim()
            break
        if not said:
            warn(f"waiting for the claim of {held}")
            said = True
        time.sleep(1.0)
    place.wait(PATIENCE_S, lambda: asked.count > 0)
