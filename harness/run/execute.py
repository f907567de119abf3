"""One run from beginning to end: one task group ties the load and the watch to the recording."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.clock import NS, Clock
from harness.cluster.estimate import rollout_ns
from harness.cluster.lock import ANNOTATION
from harness.cluster.reduce import manifest
from harness.cluster.trigger import RESTARTED_AT
from harness.errors import RecordingError, UsageError, no_room, unwrap
from harness.recording.folder import make_private
from harness.recording.write import RunDirectory
from harness.run.asking import ask
from harness.run.conductor import Conductor, Follower
from harness.run.holding import Hold, held
from harness.run.log import Log, first_record
from harness.run.planning import ignored_proxies, load_plan
from harness.run.stopping import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.streams.memory import MemoryObjectReceiveStream

    from harness.cluster.api import Api
    from harness.cluster.watcher import Item
    from harness.load.generator import Load
    from harness.load.prestarted import PrestartedWorkers
    from harness.run.change import Change
    from harness.run.preflight import Subject
    from harness.scenario.resolve import Resolved


@dataclass(frozen=True, slots=True)
class _Way:
    """The way to what is tested: a URL, and an API server where there is a rollout."""

    url: str
    ca_file: str | None
    api: Api | None
    notes: tuple[str, ...] = ()


async def execute(
    resolved: Resolved, follower: Follower, prestarted: PrestartedWorkers | None = None
) -> Path:
    """Carry out one run and return its directory. Raises UsageError when it cannot begin: nothing is left then.

    `prestarted` are load workers that are already running.
    """
    follower.say(f"target from {resolved.source}")
    try:
        directory = RunDirectory.create(resolved.output, resolved.name(), datetime.now(UTC))
    except RecordingError as error:
        raise UsageError(str(error)) from None
    with directory:
        try:
            async with _way(resolved, directory.path, follower) as way:
                await _run(resolved, way, directory, follower, prestarted)
        except BaseException as error:
            full, begun = no_room(error), any((directory.path / "hits").iterdir())
            cause = full or unwrap(error)
            if full and begun:  # what there is can be judged
                follower.say(f"{directory.path}: {full.strerror}: the recording ends early")
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
async def _way(resolved: Resolved, directory: Path, follower: Follower) -> AsyncIterator[_Way]:
    """Start the lab where it is wanted; else point at what the scenario names."""
    scenario = resolved.scenario
    if not resolved.use_lab:
        api = None
        if resolved.rollout_wanted:
            api = await anyio.to_thread.run_sync(
                _connect, scenario.cluster.kubeconfig, scenario.cluster.context
            )
        yield _Way(resolved.url, None, api)
        return
    from harness.lab import lab  # noqa: PLC0415  a run on a real cluster needs none of it

    follower.say("starting the lab: an API server, a balancer and the pods, as processes on this machine")
    with tempfile.TemporaryDirectory(prefix="zdtest-lab-") as home:
        async with lab.running(resolved.lab_plan(), Path(home)) as endpoint:
            api = await anyio.to_thread.run_sync(_connect, endpoint.kubeconfig, endpoint.context)
            url = endpoint.url.rstrip("/") + scenario.target.path
            notes = tuple(f"the lab: {note}" for note in endpoint.notes)
            yield _Way(url, endpoint.ca_file, api if resolved.rollout_wanted else None, notes)
        try:
            _keep_what_the_lab_tells(Path(home), directory)
        except OSError:  # shutil.Error is one; the recording is whole without
            follower.say(f"note: the logs of the lab's pods could not be copied to {directory}")


def _keep_what_the_lab_tells(home: Path, directory: Path) -> None:
    logs, told = home / "pods", [home / name for name in ("truth.jsonl", "access.log")]
    if logs.is_dir():
        shutil.copytree(logs, directory / "pods", dirs_exist_ok=True)
        make_private(directory / "pods")
    for file in told:  # the known answers, for tests and never for the judge; the balancer's access log
        if file.is_file():
            (directory / "lab").mkdir(exist_ok=True)
            shutil.copy(file, directory / "lab")
            make_private(directory / "lab")


def _connect(kubeconfig: str | None, context: str | None) -> Api:
    from harness.cluster.api import Api  # noqa: PLC0415  0.2 s, which a run without a cluster need not wait for

    return Api.connect(kubeconfig, context)


async def _run(
    resolved: Resolved,
    way: _Way,
    directory: RunDirectory,
    follower: Follower,
    prestarted: PrestartedWorkers | None,
) -> None:
    from harness.load import generator  # noqa: PLC0415  keeps `--help` light
    from harness.load.feasibility import warnings  # noqa: PLC0415

    plan = load_plan(resolved, resolved.targets(way.url), way.ca_file)
    answers = await ask(plan, timeout_s=min(15.0, plan.timeout_ns / NS))
    subject = None
    if way.api:
        from harness.cluster.watcher import watching  # noqa: PLC0415  these bring kubernetes too
        from harness.run.preflight import inspect  # noqa: PLC0415

        api = way.api
        subject = await anyio.to_thread.run_sync(
            lambda: inspect(api, resolved, answers.pods, lab=resolved.use_lab)
        )
    clock = Clock.start()
    log = Log(directory, first_record(resolved, plan.targets, clock, follower.command, Path.cwd()))
    notes = (*resolved.notes, *way.notes, *answers.notes, *ignored_proxies(os.environ), *warnings(plan))
    for note in notes:
        follower.say(f"note: {note}")
    log.update(notes=notes)
    if subject:
        log.update(cluster=subject.facts, path=subject.path, notes=(*notes, *subject.notes))
        directory.manifests(
            "before", [manifest(o) for o in (subject.workload, *subject.services, *subject.around)]
        )
    _announce(resolved, subject, follower)
    change = _change(resolved, way, subject, clock, directory, log, follower)
    limits = _limits(resolved, subject)
    async with AsyncExitStack() as stack:
        hold = Hold()
        if way.api and subject and not resolved.dry_run:
            hold = await stack.enter_async_context(
                held(way.api, subject, f"{directory.path.name} on {log.record.host['name']}")
            )
        conductor = Conductor(resolved, change, clock, log, follower, limits, hold)
        events = None
        if way.api and subject:
            events = await stack.enter_async_context(
                watching(way.api, subject.watches, clock, rest=directory.keep)
            )
        load = await stack.enter_async_context(generator.running(plan, clock, directory.path, prestarted))
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(_keep_health, load, directory)
        if events is not None and change and way.api:
            group.start_soon(_keep_events, events, conductor)
            group.start_soon(_keep_server_clock, way.api, log)
        try:
            await conductor.conduct(load, group)
        except BaseException:
            asked = follower.interrupted()
            conductor.leave("interrupted" if asked else "crash")
            if asked:
                follower.say(
                    f"left at once; what was recorded is in {directory.path}: zdtest report {directory.path}"
                )
                follower.kept(directory.path)
            raise
        group.cancel_scope.cancel()
    log.update(state="interrupted" if log.record.ended_by == "interrupted" else "complete")


def _change(
    resolved: Resolved,
    way: _Way,
    subject: Subject | None,
    clock: Clock,
    directory: RunDirectory,
    log: Log,
    follower: Follower,
) -> Change | None:
    if way.api is None or subject is None:
        return None
    from harness.run.change import Change, Means  # noqa: PLC0415  brings kubernetes

    rollout = resolved.scenario.rollout
    means = Means(
        api=way.api,
        subject=subject,
        clock=clock,
        directory=directory,
        log=log,
        say=follower.say,
        base=resolved.base,
        field_manager=rollout.field_manager,
        dry_run=resolved.dry_run,
        interrupted=follower.interrupted,
    )
    return Change(means)


def _limits(resolved: Resolved, subject: Subject | None) -> Limits:
    scenario = resolved.scenario
    deadline = (subject.workload.get("spec") or {}).get("progressDeadlineSeconds") if subject else None
    return Limits(
        duration_ns=scenario.load.duration,
        trigger_after_ns=scenario.trigger_after_ns,
        settle_ns=scenario.rollout.settle,
        max_time_ns=scenario.rollout.max_time,
        progress_deadline_ns=int(deadline or 600) * NS,
    )


async def _keep_health(load: Load, directory: RunDirectory) -> None:
    async for sample in load.samples:
        directory.health(sample)


async def _keep_events(events: MemoryObjectReceiveStream[Item], conductor: Conductor) -> None:
    async for item in events:
        conductor.take(item)


async def _keep_server_clock(api: Api, log: Log) -> None:
    """Bound the offset of the API server's clock, beside everything else."""
    from harness.run.clocks import measure_offset  # noqa: PLC0415

    offset = await anyio.to_thread.run_sync(measure_offset, api, abandon_on_cancel=True)
    if offset is None:
        log.note("the API server's clock could not be bounded: its answers contradict each other")
    log.update(server_clock_ns=offset)


def _announce(resolved: Resolved, subject: Subject | None, follower: Follower) -> None:
    load = resolved.scenario.load
    if subject is None:
        return
    facts, what = subject.facts, _what(subject)
    follower.say(
        f"server {facts.server} ({facts.version}) as {facts.identity or 'unknown'}, context {facts.context}, namespace {facts.namespace}: "
        f"will {what}{' (dry run: not now)' if resolved.dry_run else ''}, {resolved.scenario.trigger_after_ns / NS:g} s after a warm-up"
    )
    follower.say(f"path {'proven' if subject.path.proven else 'not proven'}: {subject.path.how}")
    for note in subject.notes:
        follower.say(f"note: {note}")
    if not resolved.dry_run and subject.trigger.kind != "observe":
        follower.say(
            f"while it lasts it is held by its own annotation {ANNOTATION}, against a second run at once"
        )
    follower.say(
        f"{_model(load.rate, load.ramp)}, {load.concurrency} connections, one request in flight each, for at least {load.duration / NS:g} s"
    )
    times = resolved.scenario.rollout.rollouts
    if subject.trigger.kind in {"restart", "apply", "set-image"}:
        each = f", and there will be {times}" if times > 1 else ""
        follower.say(
            f"the rollout will take about {rollout_ns(facts.kind, subject.workload) / NS:.0f} s by its manifest; a guess{each}"
        )


def _model(rate: float | None, ramp_ns: int) -> str:
    if rate is None:
        return "closed loop"
    ramp = f" after a ramp of {ramp_ns / NS:g} s" if ramp_ns else ""
    return f"open loop, {rate:g} requests/s{ramp}, due by the clock"


def _what(subject: Subject) -> str:
    """Say what will be changed, and how, in words."""
    facts, trigger = subject.facts, subject.trigger
    name = f"{facts.kind.lower()}/{facts.name}"
    return {
        "restart": f"restart {name} by patching spec.template.metadata.annotations[{RESTARTED_AT}]",
        "apply": f"apply {trigger.argument} to {name} (server-side, taking over its fields)",
        "set-image": f"set the image {trigger.argument} in {name}",
        "scale": f"scale {name} to {trigger.argument} replicas",
        "delete-pod": f"delete {trigger.argument or 'one pod'} of {name}",
        "evict-pod": f"evict {trigger.argument or 'one pod'} of {name}",
        "command": f"run {trigger.shown.removeprefix('command ')!r}, which is to change {name},",
        "observe": f"change nothing and wait for somebody else's change of {name}, from",
    }[trigger.kind]
