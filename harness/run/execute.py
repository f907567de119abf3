"""One run from beginning to end: one task group ties the load and the watch to the recording."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.clock import NS, Clock
from harness.cluster.watching.reduce import manifest
from harness.errors import RecordingError, UsageError, no_room, unwrap
from harness.model import NEVER
from harness.recording.folder import make_private
from harness.recording.write import RunDirectory
from harness.run.announcing import announce, expected_ns
from harness.run.conductor import Conductor
from harness.run.holding import Hold, held
from harness.run.keeping import keep_events, keep_health, keep_server_clock
from harness.run.log import Log, first_record
from harness.run.planning import ignored_proxies, load_plan, origin
from harness.run.preflight.asking import Answers, ask
from harness.run.preflight.targets import keep_targets, opened, wanted
from harness.run.sending import sent_from_pods
from harness.run.stopping import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness.cluster.client.api import Api
    from harness.cluster.targets.polling import Polled
    from harness.load.interface import RunningLoad
    from harness.load.prestarted import PrestartedWorkers
    from harness.model import LabEndpoint, LoadPlan
    from harness.run.change.change import Change
    from harness.run.observing import RunObserver
    from harness.run.preflight.workload import Subject
    from harness.scenario.resolve import Resolved


@dataclass(frozen=True, slots=True)
class _Tested:
    """What is tested: a URL, and an API server where there is a rollout."""

    url: str
    ca_file: str | None
    api: Api | None  # of the rollout
    notes: tuple[str, ...] = ()
    of_the_pods: Api | None = None  # that send the load, if any do


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab that several runs share, and the folder with its logs."""

    endpoint: LabEndpoint
    home: Path


async def execute(
    resolved: Resolved,
    observer: RunObserver,
    prestarted: PrestartedWorkers | None = None,
    lab: RunningLab | None = None,
) -> Path:
    """Carry out one run and return its directory. Raises UsageError when it cannot begin: nothing is left then.

    `prestarted` are load workers that are already running. A scenario of the lab starts one, unless `lab` is given.
    """
    observer.say(f"target from {resolved.source}")
    try:
        directory = RunDirectory.create(resolved.output, resolved.name(), datetime.now(UTC))
    except RecordingError as error:
        raise UsageError(str(error)) from None
    observer.began(directory.path)
    with directory:
        try:
            async with _tested(resolved, directory.path, observer, lab) as tested:
                await _run(resolved, tested, directory, observer, prestarted)
        except BaseException as error:
            full, begun = no_room(error), any((directory.path / "hits").iterdir())
            cause = full or unwrap(error)
            if full and begun:  # what there is can be judged
                observer.say(f"{directory.path}: {full.strerror}: the recording ends early")
                return directory.path
            if isinstance(cause, UsageError) or not begun:
                shutil.rmtree(directory.path, ignore_errors=True)  # the load never began
            if full:
                where = full.filename or directory.path
                raise UsageError(f"cannot write {where}: {full.strerror}; make room there") from None
            if cause is error:
                raise
            raise cause from None
    return directory.path


@asynccontextmanager
async def _tested(
    resolved: Resolved, directory: Path, observer: RunObserver, shared: RunningLab | None
) -> AsyncIterator[_Tested]:
    """Start the lab if it is wanted; else connect to what the scenario names."""
    scenario = resolved.scenario
    if not resolved.use_lab:
        api = None
        if resolved.rollout_wanted or scenario.load.pods:
            api = await anyio.to_thread.run_sync(
                _connect, scenario.cluster.kubeconfig, scenario.cluster.context
            )
        yield _Tested(resolved.url, None, api if resolved.rollout_wanted else None, of_the_pods=api)
        return
    if shared:
        yield await _in_the_lab(resolved, shared.endpoint)
        _keep_lab_files(shared.home, directory, observer)
        return
    from harness.lab import lab  # noqa: PLC0415  a run on a real cluster needs none of it

    observer.say("starting the lab: an API server, a balancer and the pods, as processes on this machine")
    with tempfile.TemporaryDirectory(prefix="zdtest-lab-") as home:
        async with lab.running(resolved.lab_plan(), Path(home)) as endpoint:
            yield await _in_the_lab(resolved, endpoint)
        _keep_lab_files(Path(home), directory, observer)


async def _in_the_lab(resolved: Resolved, endpoint: LabEndpoint) -> _Tested:
    api = await anyio.to_thread.run_sync(_connect, endpoint.kubeconfig, endpoint.context)
    url = endpoint.url.rstrip("/") + resolved.scenario.target.path
    notes = tuple(f"the lab: {note}" for note in endpoint.notes)
    return _Tested(url, endpoint.ca_file, api if resolved.rollout_wanted else None, notes)


def _keep_lab_files(home: Path, directory: Path, observer: RunObserver) -> None:
    try:
        _copy_lab_files(home, directory)
    except OSError:  # shutil.Error is one; the recording is whole without
        observer.say(f"note: the logs of the lab's pods could not be copied to {directory}")


def _copy_lab_files(home: Path, directory: Path) -> None:
    logs, kept = home / "pods", [home / name for name in ("truth.jsonl", "access.log")]
    if logs.is_dir():
        shutil.copytree(logs, directory / "pods", dirs_exist_ok=True)
        make_private(directory / "pods")
    for file in kept:  # the known answers, for tests and never for the judge; the balancer's access log
        if file.is_file():
            (directory / "lab").mkdir(exist_ok=True)
            shutil.copy(file, directory / "lab")
            make_private(directory / "lab")


def _connect(kubeconfig: str | None, context: str | None) -> Api:
    from harness.cluster.client.api import Api  # noqa: PLC0415  0.2 s, which a run without a cluster need not wait for

    return Api.connect(kubeconfig, context)


async def _run(
    resolved: Resolved,
    tested: _Tested,
    directory: RunDirectory,
    observer: RunObserver,
    prestarted: PrestartedWorkers | None,
) -> None:
    from harness.load import generator  # noqa: PLC0415  keeps `--help` light
    from harness.load.feasibility import warnings  # noqa: PLC0415

    plan = load_plan(resolved, resolved.targets(tested.url), tested.ca_file)
    plan, answers = await _answers(plan, resolved)
    subject = None
    if tested.api:
        from harness.cluster.watching.streaming import watching  # noqa: PLC0415  these bring kubernetes too
        from harness.run.preflight.workload import inspect  # noqa: PLC0415

        api = tested.api
        subject = await anyio.to_thread.run_sync(
            lambda: inspect(api, resolved, answers.pods, lab=resolved.use_lab)
        )
    clock = Clock.start()
    record = first_record(resolved, plan.targets, clock, observer.command, Path.cwd())
    log = Log(directory, replace(record, grpc=plan.grpc))
    notes = (*resolved.notes, *tested.notes, *answers.notes, *ignored_proxies(os.environ), *warnings(plan))
    context = tested.api.context if tested.api else None
    log.update(
        notes=notes, load_from=origin(os.environ, context, from_pods=bool(resolved.scenario.load.pods))
    )
    _introduced(resolved, subject, directory, log, observer)
    polled = await anyio.to_thread.run_sync(_target_groups, resolved, subject, log)
    change = _change(resolved, tested, subject, clock, directory, log, observer)
    limits = _limits(resolved, subject)
    async with AsyncExitStack() as stack:
        hold = Hold()
        if tested.api and subject and not resolved.dry_run:
            hold = await stack.enter_async_context(
                held(tested.api, subject, f"{directory.path.name} on {log.record.host['name']}")
            )
        conductor = Conductor(resolved, change, clock, log, observer, limits, hold)
        events = None
        if tested.api and subject:
            events = await stack.enter_async_context(
                watching(tested.api, subject.watches, clock, rest=directory.keep)
            )
        load: RunningLoad
        if resolved.scenario.load.pods and tested.of_the_pods:
            load = await stack.enter_async_context(
                sent_from_pods(
                    tested.of_the_pods, resolved, subject, plan, clock, directory.path, observer.say
                )
            )
        else:
            load = await stack.enter_async_context(generator.running(plan, clock, directory.path, prestarted))
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(keep_health, load, directory)
        group.start_soon(keep_targets, polled, clock, directory.event, log.note)
        if events is not None and change and tested.api:
            group.start_soon(keep_events, events, directory, conductor.see)
            group.start_soon(keep_server_clock, tested.api, log)
        try:
            await conductor.conduct(load, group)
        except BaseException:
            asked = observer.interrupted()
            conductor.leave("interrupted" if asked else "crash")
            if asked:
                observer.say(
                    f"left at once; what was recorded is in {directory.path}: zdtest report {directory.path}"
                )
                observer.kept(directory.path)
            raise
        group.cancel_scope.cancel()
    log.update(state="interrupted" if log.record.ended_by == "interrupted" else "complete")


def _introduced(
    resolved: Resolved, subject: Subject | None, directory: RunDirectory, log: Log, observer: RunObserver
) -> None:
    """Record what is tested, and say it."""
    notes = log.record.notes
    for note in notes:
        observer.say(f"note: {note}")
    if subject:
        log.update(cluster=subject.facts, path=subject.path, notes=(*notes, *subject.notes))
        directory.manifests(
            "before", [manifest(o) for o in (subject.workload, *subject.services, *subject.around)]
        )
    announce(resolved, subject, observer.say)


def _target_groups(resolved: Resolved, subject: Subject | None, log: Log) -> list[Polled]:
    """Open the AWS target groups that are to be recorded. Raises UsageError where the AWS SDK is missing."""
    asked = resolved.scenario.aws_target_groups
    if not asked:
        return []
    arns, notes = wanted(asked, subject.around if subject else ())
    for note in notes:
        log.note(note)
    return opened(arns, log.note)


async def _answers(plan: LoadPlan, resolved: Resolved) -> tuple[LoadPlan, Answers]:
    """Ask the target before the load, and put a gRPC call into the plan, if that is what is sent.

    What does not answer here may answer in the cluster: the baseline will tell.
    """
    part = resolved.scenario.grpc
    if part:
        from harness.run.preflight.grpc.calls import of_calls  # noqa: PLC0415  an extra, and heavy
        from harness.run.preflight.grpc.health import healthy  # noqa: PLC0415

        plan = await of_calls(plan, part, resolved.base)
    try:
        answers = await ask(plan, timeout_s=min(15.0, plan.timeout_ns / NS))
        return plan, await healthy(plan, answers) if part and part.health else answers
    except UsageError as error:
        if not resolved.scenario.load.pods:
            raise
        return plan, Answers(
            (), (), (f"the target could not be asked before the load, which pods send: {error}",)
        )


def _change(
    resolved: Resolved,
    tested: _Tested,
    subject: Subject | None,
    clock: Clock,
    directory: RunDirectory,
    log: Log,
    observer: RunObserver,
) -> Change | None:
    if tested.api is None or subject is None:
        return None
    from harness.run.change.change import Change  # noqa: PLC0415  brings kubernetes
    from harness.run.change.tools import Tools  # noqa: PLC0415

    rollout = resolved.scenario.rollout
    tools = Tools(
        api=tested.api,
        subject=subject,
        clock=clock,
        directory=directory,
        log=log,
        say=observer.say,
        base=resolved.base,
        field_manager=rollout.field_manager,
        dry_run=resolved.dry_run,
        interrupted=observer.interrupted,
    )
    return Change(tools)


def _limits(resolved: Resolved, subject: Subject | None) -> Limits:
    scenario = resolved.scenario
    deadline = (subject.workload.get("spec") or {}).get("progressDeadlineSeconds") if subject else None
    return Limits(
        duration_ns=scenario.load.duration,
        trigger_after_ns=scenario.trigger_after_ns,
        settle_ns=scenario.rollout.settle,
        max_time_ns=scenario.rollout.max_time,
        progress_deadline_ns=int(deadline or 600) * NS,
        rollout_ns=expected_ns(subject) if subject else NEVER,
    )
