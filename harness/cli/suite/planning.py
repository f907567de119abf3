"""What earlier runs tell of each scenario, and the plan that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.cli.root import warn
from harness.clock import NS
from harness.errors import HarnessError, RecordingError
from harness.history import reading
from harness.history.listing import listed
from harness.model import Grade
from harness.recording import folder
from harness.recording.series import suite as file
from harness.recording.series.suite import Before
from harness.suite.risk import Past, as_listed, by_risk
from harness.suite.turns import Forecast, Turn, estimate_s, forecast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.history.runs import Run
    from harness.suite.jobs import Job

_TESTED = frozenset({Grade.PASS.value, Grade.FAIL.value})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, in order: jobs whose entries say why they stand there and how long they take."""

    jobs: tuple[Job, ...]
    turns: tuple[Turn, ...]
    forecast: Forecast


def planned(
    jobs: Sequence[Job], results: Path, parallel: int, budget_s: float | None, *, live: bool = True
) -> Plan:
    """Put jobs in order: by risk if there is a budget, else as they were listed. `results` holds the earlier runs.

    `live`: also look at what runs on the clusters now, to see which manifests changed.
    """
    runs = _by_name(results)
    mine = [[run for run in runs.get(job.entry.name, ()) if _is_of(run, job)] for job in jobs]
    digests = _digests(results)
    pasts = [_past(job, of_job, digests) for job, of_job in zip(jobs, mine, strict=True)]
    now_ns = round(datetime.now(UTC).timestamp() * NS)
    if budget_s is not None and live:
        pasts = _with_live_changes(jobs, mine, pasts, results)
    order = (by_risk if budget_s is not None else as_listed)(pasts, now_ns)
    made = []
    for place in order:
        job, past = jobs[place.number], pasts[place.number]
        expected_s = estimate_s(job.resolved.scenario, past.lengths_s, lab=job.resolved.use_lab)
        entry = replace(job.entry, why=place.why, expected_s=expected_s, before=_before(mine[place.number]))
        made.append(replace(job, entry=entry))
    turns = tuple(Turn(job.entry.expected_s, frozenset(job.entry.shares)) for job in made)
    return Plan(tuple(made), turns, forecast(turns, parallel, budget_s))


def _by_name(results: Path) -> dict[str, list[Run]]:
    """Return the runs in a folder by name, the newest first; none if there is no such folder yet."""
    found: dict[str, list[Run]] = {}
    for run in listed(results).runs if results.is_dir() else ():
        found.setdefault(run.name, []).append(run)
    return found


def _is_of(run: Run, job: Job) -> bool:
    """Whether a run of the job's name is about its workload, too, as far as the scenario says where that is."""
    scenario = job.resolved.scenario
    if run.lab != job.resolved.use_lab or (scenario.workload is None) != (not run.workload):
        return False
    kind, _, rest = run.workload.partition(" ")
    namespace, _, name = rest.partition("/")
    if (kind, name) != (scenario.workload or ("", "")):
        return False
    return run.lab or (
        scenario.namespace in {None, namespace} and scenario.cluster.context in {None, run.cluster}
    )


def _past(job: Job, runs: Sequence[Run], digests: Mapping[str, str]) -> Past:
    graded = next((run for run in runs if run.judged), None)
    tested = next((run for run in runs if run.grade in _TESTED), None)
    old, new = digests.get(job.entry.name, ""), job.entry.digest
    lengths = tuple(run.length_ns / NS for run in runs if run.length_ns is not None and run.rollouts)
    return Past(
        grade=graded.grade if graded else "",
        graded_ns=graded.began_ns if graded else -1,
        tested_ns=tested.began_ns if tested else -1,
        changed="a manifest's file" if old and new and old != new else "",
        lengths_s=lengths,
    )


def _before(runs: Sequence[Run]) -> Before:
    last = next((run for run in runs if run.judged), None)
    return Before(last.grade, last.began.isoformat(timespec="seconds"), last.folder) if last else Before()


def _digests(results: Path) -> dict[str, str]:
    """Return the digest of each scenario's manifests when the last suite ran it."""
    found: dict[str, str] = {}
    try:
        folders = folder.below(results)[0]
    except OSError:
        return found
    for name in reversed(folders):  # names begin with a time: the newest suite first
        try:
            entries = file.read(results / name).entries if file.is_suite(results / name) else ()
        except RecordingError:
            continue
        for entry in entries:
            if entry.run:
                found.setdefault(entry.name, entry.digest)
    return found


def _with_live_changes(
    jobs: Sequence[Job], runs: Sequence[Sequence[Run]], pasts: Sequence[Past], results: Path
) -> list[Past]:
    """Compare what runs on the clusters now with what the last run began with."""
    apis: dict[tuple[str | None, str | None], Any] = {}
    found = []
    for job, of_job, past in zip(jobs, runs, pasts, strict=True):
        old = reading.objects(results, of_job[0].folder) if of_job else []
        if past.changed or not old or job.resolved.use_lab or job.resolved.scenario.workload is None:
            found.append(past)
            continue
        try:
            found.append(replace(past, changed=_changed(job, old, apis)))
        except HarnessError as error:
            warn(f"zdtest: {job.entry.name}: whether its manifest changed is not known: {error}")
            found.append(past)
    return found


def _changed(job: Job, old: list[dict[str, Any]], apis: dict[tuple[str | None, str | None], Any]) -> str:
    """Say what a person changed in the live workload since the run that began with `old`. Raises HarnessError."""
    from harness.cluster.client.api import Api  # noqa: PLC0415
    from harness.cluster.client.resources import WORKLOADS  # noqa: PLC0415
    from harness.cluster.watching.reduce import manifest  # noqa: PLC0415
    from harness.judge.verdict.fieldchanges import field_changes  # noqa: PLC0415

    scenario = job.resolved.scenario
    kind, name = scenario.workload or ("", "")
    key = scenario.cluster.kubeconfig, scenario.cluster.context
    api = apis.get(key) or apis.setdefault(key, Api.connect(*key))
    before = [
        one for one in old if one.get("kind") == kind and (one.get("metadata") or {}).get("name") == name
    ]
    now = manifest(api.get(WORKLOADS[kind], scenario.namespace or api.namespace, name))
    changes = field_changes(before, [now]) if before else ()
    if not changes:
        return ""
    more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    return changes[0].path.partition(" ")[2] + more
