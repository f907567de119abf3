"""The scenarios that were found -> what to run: each checked as its run will check it, before anything runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.cluster.permission.guard import protected_word
from harness.errors import UsageError
from harness.recording.series.suite import Entry
from harness.scenario import yamltext
from harness.scenario.resolve import Request, resolve
from harness.scenario.trigger import parse
from harness.suite.fields import dotted
from harness.suite.sharing import shares, workload
from harness.suite.turns import limit_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.scenario.resolve import Resolved
    from harness.suite.files import Found, Listed

_ANYWHERE = "http://checked.invalid/"  # only to see that the request can be made


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario, resolved. `fields` are those that override its file, by dotted names, as the run is handed them."""

    entry: Entry
    listed: Listed
    resolved: Resolved
    fields: Mapping[str, Any]


def jobs_of(
    found: Found,
    flags: Mapping[str, Any],
    allowed: Sequence[str],
    here: Path,
    *,
    interactive: bool,
    limit: float | None,
) -> tuple[Job, ...]:
    """Return what to run, in the order in which it was listed. `flags` hold for all of it, whatever a file says.

    `allowed` are the workloads of --allow; `limit` is --run-timeout in seconds. Raises UsageError, one line.
    """
    jobs = tuple(
        _job(one, flags, allowed, here, interactive=interactive, limit=limit) for one in found.listed
    )
    taken: dict[str, Job] = {}
    for job in jobs:
        first = taken.setdefault(job.entry.name, job)
        if first is not job:
            raise UsageError(
                f"two scenarios are called {job.entry.name}: {_place(first.listed)} and {_place(job.listed)}; give one"
                " of them another name: in its file, or in the suite file that lists it"
            )
    return jobs


def chosen(jobs: Sequence[Job], names: Sequence[str]) -> tuple[Job, ...]:
    """Return the jobs of these names; all without any. Raises UsageError for a name that no job has."""
    known = {job.entry.name for job in jobs}
    if missing := next((name for name in names if name not in known), None):
        raise UsageError(
            f"--only {missing}: no scenario of this name; there are {', '.join(sorted(known)[:12])}"
        )
    return tuple(job for job in jobs if not names or job.entry.name in names)


def _job(
    listed: Listed,
    flags: Mapping[str, Any],
    allowed: Sequence[str],
    here: Path,
    *,
    interactive: bool,
    limit: float | None,
) -> Job:
    fields: dict[str, Any] = {**dotted(listed.overrides), **flags}
    if listed.name:
        fields["name"] = listed.name
    try:
        resolved = resolve(
            Request(
                flags=fields,
                defaults=dict(listed.defaults),
                file=listed.file,
                interactive=interactive,
                allow=listed.allow or None,
            ),
            here,
        )
        _check(resolved)
    except UsageError as error:
        place = f"{listed.place}: " if listed.place and not str(error).startswith(listed.place) else ""
        named = "" if str(listed.file) in str(error) else f"{listed.file}: "
        raise UsageError(f"{place}{named}{error}") from None
    if not listed.allow and (mine := [one for one in allowed if _is_for(one, resolved)]):
        listed = replace(listed, allow=mine[0])
    _check_protected(listed, resolved)
    entry = Entry(
        name=resolved.name(),
        scenario=str(listed.file),
        workload=workload(resolved),
        shares=shares(resolved, listed.shares),
        digest=_digest(resolved),
        limit_s=limit if limit is not None else limit_s(resolved.scenario),
    )
    return Job(entry, listed, resolved, fields)


def _check(resolved: Resolved) -> None:
    """Look at what a run reads besides the scenario: variables of headers, files of bodies, manifests of the lab."""
    resolved.targets(resolved.url or _ANYWHERE)
    if resolved.use_lab:
        resolved.lab_plan()


def _check_protected(listed: Listed, resolved: Resolved) -> None:
    """Refuse what looks like production as far as the scenario says where it is; its run looks again."""
    scenario = resolved.scenario
    if listed.allow or resolved.use_lab or scenario.workload is None:
        return
    where = (scenario.cluster.context or "", scenario.namespace or "", scenario.workload[1])
    if word := protected_word(*where):
        spelled = "/".join(
            part or f"the {what}" for part, what in zip(where, ("context", "namespace", "name"), strict=True)
        )
        raise UsageError(
            f"{_place(listed)}: {word!r} looks like production and is protected; if you mean it, add --allow {spelled}"
        )


def _is_for(allow: str, resolved: Resolved) -> bool:
    """Tell whether CONTEXT/NAMESPACE/NAME names this workload, as far as the scenario says which one it is."""
    scenario = resolved.scenario
    if scenario.workload is None:
        return False
    context, namespace, name = ("", "", *allow.rsplit("/", 2))[-3:]
    said = (scenario.cluster.context or context, scenario.namespace or namespace, scenario.workload[1])
    return (context, namespace, name) == said


def _place(listed: Listed) -> str:
    return listed.place or str(listed.file)


def _digest(resolved: Resolved) -> str:
    """Return a digest of the manifests that a scenario names; "" if it names none that can be read."""
    scenario = resolved.scenario
    trigger = parse(scenario.rollout.trigger)
    names = [*scenario.manifests, *([trigger.argument] if trigger.kind in {"apply", "replace"} else [])]
    found = []
    for name in names:
        path = resolved.base / name
        try:
            found.append(
                hashlib.sha256(yamltext.read_bytes(path)).hexdigest() if yamltext.is_file(path) else ""
            )
        except (OSError, ValueError):
            found.append("")
    return hashlib.sha256(json.dumps(found).encode()).hexdigest() if any(found) else ""
