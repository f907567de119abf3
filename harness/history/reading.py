"""A run folder -> a Run, from run.json and verdict.json alone. Bounded, and never a traceback, whatever they hold.

It does not import the judge or the recording's tables: a list of runs must be there at once. What an older zdtest did
not write is None. What cannot be read at all is said in one line.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median_low
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.errors import RecordingError
from harness.history import runs
from harness.history.clearing import was_killed
from harness.history.runs import KILLED, RUNNING, Run, text, whole
from harness.judge.verdict.fieldchanges import field_changes, fingerprint
from harness.model import FORMAT, Grade, without_labs_address
from harness.recording import folder, jsontext, shapes
from harness.recording.bounds import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.judge.verdict.fieldchanges import FieldChange

_MOST = 64 * folder.MIB  # of one JSON file
_YEAR_2116_NS = 1 << 62
_GRADES = frozenset(grade.value for grade in Grade)
_OPEN = Grade.INCONCLUSIVE.value
_NOT_THE_ROLLOUTS = ({"not the rollout"}, {"E1"})  # as Cause.the_rollouts has it
_A_RUN, _A_VERDICT = "run.json", "verdict.json"

MISSING = "there is no run.json in it"

Stamp = tuple[
    int, int, int, int
]  # changed (ns) and size of run.json, then of verdict.json; 0 where it is missing


class NoRunError(Exception):
    """A folder is no run that can be read; the text says why."""


def stamp(root: Path, name: str) -> Stamp:
    """Return what tells whether a run folder is as it was when it was last read."""
    run, verdict = (folder.stamp(root, f"{name}/{file}") or (0, 0) for file in (_A_RUN, _A_VERDICT))
    return (*run, *verdict)


def read(root: Path, name: str) -> Run:
    """Read the run in the folder `name` of `root`. Raises NoRunError."""
    try:
        run = _recorded(_json(root, f"{name}/{_A_RUN}"), root, name)
    except FileNotFoundError:
        raise NoRunError(MISSING) from None
    try:
        verdict = _json(root, f"{name}/{_A_VERDICT}")
    except FileNotFoundError:
        return replace(run, missing=_unjudged(run))
    except NoRunError as error:
        return replace(run, missing=f"{_A_VERDICT}: {error}")
    found = judged(run, verdict)
    if not found.grade:
        return replace(run, missing=f"{_A_VERDICT} was not written by zdtest")
    return found


def objects(root: Path, name: str) -> list[dict[str, Any]]:
    """Return the live objects that a run began with; none if they were not kept or cannot be read."""
    file = f"{name}/manifests/before.json"
    try:
        return shapes.objects(_json(root, file), root / file)
    except (FileNotFoundError, NoRunError, RecordingError):
        return []


def _target(first: dict[str, Any], *, lab: bool) -> str:
    if not first:
        return ""
    url = masking.url(text(first.get("url")))
    return f"{text(first.get('method'), 20) or 'GET'} {without_labs_address(url) if lab else url}"


def compared(root: Path) -> Callable[[Run, Run], tuple[FieldChange, ...]]:
    """Return what tells the fields of the manifest that a person changed between two runs in `root`."""
    kept: dict[str, list[dict[str, Any]]] = {}  # of the last two runs: each is asked for twice in a row

    def between(before: Run, after: Run) -> tuple[FieldChange, ...]:
        for name in [name for name in kept if name not in {before.folder, after.folder}]:
            del kept[name]
        for run in (before, after):
            if run.folder not in kept:
                kept[run.folder] = objects(root, run.folder)
        old, new = kept[before.folder], kept[after.folder]
        return field_changes(old, new) if old and new else ()

    return between


def _unjudged(run: Run) -> str:
    if run.state == RUNNING:
        return "it is still running"
    by = f"written by zdtest {run.version}, " if run.version else ""
    return f"{by}no {_A_VERDICT}"


def _json(root: Path, name: str) -> Any:
    """Return a file's value. Raises FileNotFoundError, or NoRunError if it cannot be read."""
    try:
        return jsontext.parse(folder.read(root, name, _MOST))
    except FileNotFoundError:
        raise
    except RecordingError as error:
        raise NoRunError(str(error).removeprefix(f"{root / name} ")) from None
    except OSError as error:
        raise NoRunError(error.strerror or "it cannot be read") from None
    except ValueError as error:
        raise NoRunError(f"{name.rpartition('/')[2]} is not JSON: {error}") from None


def _recorded(raw: Any, root: Path, name: str) -> Run:
    """Return what run.json tells. Raises NoRunError if it is not ours."""
    form = raw.get("format") if isinstance(raw, dict) else None
    if not isinstance(form, int):
        raise NoRunError("its run.json was not written by zdtest: it has no format number")
    if form > FORMAT:
        raise NoRunError(
            f"its run.json has format {form}, this zdtest reads up to {FORMAT}: use the newer zdtest that wrote it"
        )
    began, called = whole(raw.get("wall_ns")), raw.get("name")
    if began is None or not 0 <= began < _YEAR_2116_NS or not is_name(called):
        raise NoRunError("its run.json is damaged: no run has this name or this time")
    cluster, rollout = _inner(raw, "cluster"), _inner(raw, "rollout")
    kind, where, workload = (text(cluster.get(key), 253) for key in ("kind", "namespace", "name"))
    state = text(raw.get("state"), 20)
    if state == RUNNING and was_killed(root / name, raw):
        state = KILLED
    targets = raw.get("targets") if isinstance(raw.get("targets"), list) else []
    first = targets[0] if targets and isinstance(targets[0], dict) else {}
    rate = raw.get("rate")
    return Run(
        folder=name,
        name=called,
        began_ns=began,
        state=state,
        ended_by=text(raw.get("ended_by"), 40),
        version=text(_inner(raw, "versions").get("zdtest"), 40),
        workload=f"{kind} {where}/{workload}" if workload else "",
        cluster=text(cluster.get("context"), 253) or text(cluster.get("server"), 253),
        server=text(cluster.get("server"), 253),
        lab=cluster.get("lab") is True,
        target=_target(first, lab=cluster.get("lab") is True)[: runs.LONGEST_TEXT],
        trigger=text(rollout.get("trigger"), 200),
        load=f"{rate:g} requests/s"
        if isinstance(rate, int | float) and not isinstance(rate, bool)
        else f"{whole(raw.get('concurrency')) or 0:,} {'streams' if raw.get('stream') else 'connections'}",
        length_ns=_between(raw.get("marks"), "load_start", "load_end"),
        objects=fingerprint(objects(root, name)),
    )


def judged(run: Run, raw: Any) -> Run:
    """Add what verdict.json tells; a run without a grade if it is not ours. What an older one lacks is None."""
    verdict, numbers, about = (_inner(raw, key) for key in ("verdict", "numbers", "about"))
    grade = verdict.get("grade")
    if grade not in _GRADES:
        return run
    held = raw.get("streams") if isinstance(raw.get("streams"), dict) else None
    measured, outage = _inner(raw, "measured"), _inner(numbers, "outage")
    lag, reach = _inner(measured, "lag"), _inner(measured, "reach")
    listed = raw.get("rollouts")
    each = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    abouts = [_inner(one, "about") for one in each] or [about]
    verdicts = [_inner(one, "verdict") for one in each] or [verdict]
    seen = [
        (lost, one.get("grade"))
        for one, ended in zip(verdicts, abouts, strict=True)
        if whole(ended.get("settled_ns")) is not None and (lost := whole(one.get("lost"))) is not None
    ]
    # The whole run's doubts, such as a generator that did not keep up, are in no rollout's own verdict.
    doubts = grade == _OPEN
    proven = [lost for lost, own in seen if lost or not (doubts or own == _OPEN)]
    from_ns, to_ns = whole(outage.get("from_ns")), whole(outage.get("to_ns"))
    return replace(
        run,
        grade=grade,
        headline=text(verdict.get("headline")),
        requests=None if held else whole(numbers.get("requests")),
        failed=whole(numbers.get("failed")),
        lost=whole(verdict.get("lost")),
        causes=_causes(raw.get("causes")),
        rollouts=len(seen),
        proven=len(proven),
        lossy=sum(map(bool, proven)),
        p99_ns=None if held else _p99(numbers.get("parts")),
        outage_ns=to_ns - from_ns if from_ns is not None and to_ns is not None else 0 if numbers else None,
        lag_ns=None if held else whole(lag.get("p99_ns")),
        lag_least=bool(whole(lag.get("at_least"))),
        reach_ns=None if held else whole(reach.get("p99_ns")),
        reach_least=bool(whole(reach.get("at_least"))),
        rollout_ns=_median(one.get("settled_ns") for one in abouts),
        streams=whole(held.get("held")) if held else None,
        cut=whole(held.get("cut")) if held else None,
        back_ns=whole(_inner(held, "back").get("max_ns")) if held else None,
        status_ns=_median(one.get("status_done_ns") for one in abouts),
    )


def _causes(raw: object) -> tuple[runs.Cause, ...]:
    """Return the causes that count against the rollout, the largest first."""
    if not isinstance(raw, list):
        return ()
    found = runs.causes(
        [one for one in raw if not (isinstance(one, dict) and one.get("apart"))][: runs.MOST_CAUSES]
    )
    return tuple(cause for cause in found or () if cause.ids and set(cause.ids) not in _NOT_THE_ROLLOUTS)


def _p99(parts: object) -> int | None:
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("name") == "during":
            return whole(_inner(_inner(part, "latency"), "percentiles").get("99"))
    return None


def _median(values: Iterable[object]) -> int | None:
    known = [number for value in values if (number := whole(value)) is not None]
    return median_low(known) if known else None


def _between(marks: object, first: str, last: str) -> int | None:
    found = {
        mark["mark"]: whole(mark.get("t_ns"))
        for mark in (marks if isinstance(marks, list) else ())
        if isinstance(mark, dict) and isinstance(mark.get("mark"), str)
    }
    begin, end = found.get(first), found.get(last)
    return end - begin if begin is not None and end is not None and end >= begin else None


def _inner(raw: Any, key: str) -> dict[str, Any]:
    found = raw.get(key) if isinstance(raw, dict) else None
    return found if isinstance(found, dict) else {}
