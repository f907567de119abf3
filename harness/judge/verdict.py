"""A recording -> a Judgement: numbers, causes, and PASS / FAIL / INCONCLUSIVE with every finding behind it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from harness.clock import Clock
from harness.errors import RecordingError
from harness.judge import timeline as times
from harness.judge.advice import Advice, advise
from harness.judge.causes import Cause, explain
from harness.judge.findings import decide
from harness.judge.headline import COVERED, Finding, Verdict
from harness.judge.headroom import CurvePoint, Headroom, headroom, shorter_pre_stops
from harness.judge.hits import COLUMNS, Hits, classify
from harness.judge.lint import LintFinding, lint, marked
from harness.judge.measured import Measured, measure_rollout
from harness.judge.summary import Numbers, summarise
from harness.judge.timeline import Timeline  # noqa: TC001  pydantic reads verdict.json by it
from harness.model import NEVER, Grade, Mark

if TYPE_CHECKING:
    from harness.model import RunRecord
    from harness.recording.read import Recording

FORMAT = 1  # of verdict.json

__all__ = ["FORMAT", "About", "Finding", "Grade", "Judgement", "Verdict", "from_json", "judge", "to_json"]


@dataclass(frozen=True, slots=True)
class About:
    """What the run was, for the head of every report. Empty strings where there is nothing to say."""

    name: str
    folder: str
    began: str  # wall time, UTC, ISO 8601
    version: str
    command: tuple[str, ...]
    source: str
    targets: tuple[str, ...]  # "GET https://…"
    model: str  # which loop ran
    workload: str  # "Deployment shop/web"
    cluster: str  # "context lab, server https://…"
    trigger: str
    rollout_state: str
    rollout_reason: str
    replicas: int
    status_done_ns: int | None  # from the trigger to what `kubectl rollout status` calls success
    old_gone_ns: int | None  # … to the last old pod gone
    settled_ns: int | None  # … to the end of *during*
    stalled_over_ns: int
    state: str
    ended_by: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that reports need, as plain data: what verdict.json holds."""

    format: int
    verdict: Verdict
    about: About
    numbers: Numbers
    causes: tuple[Cause, ...]
    timeline: Timeline
    notes: tuple[str, ...]
    measured: Measured | None = None
    headroom: tuple[Headroom, ...] = ()
    curve: tuple[CurvePoint, ...] = ()  # what shorter preStops would have lost
    advice: Advice | None = None
    lint: tuple[LintFinding, ...] = ()

    @property
    def grade(self) -> Grade:
        """The verdict in one word."""
        return self.verdict.grade

    @property
    def ended_by(self) -> str:
        """What ended the run, as run.json has it."""
        return self.about.ended_by


def judge(recording: Recording) -> Judgement:
    """Judge a recording. The same recording gives the same judgement, whenever and wherever it is judged.

    Raises RecordingError when the recording cannot be read. An incomplete one is no error: it is judged as far
    as it goes.
    """
    run = recording.run
    events = recording.events()
    hits = classify(recording.hits(COLUMNS), run)
    timeline = times.read(run, events, recording.gaps(), _last_ns(hits))
    numbers = summarise(hits, run, timeline)
    objects = recording.manifests("before")
    explained = explain(
        hits, timeline, numbers, _strategy(recording), published=any(map(_publishes, objects))
    )
    measured = measure_rollout(
        hits, timeline, numbers, explained.struck, run.rollout.replicas if run.rollout else 0
    )
    verdict = decide(
        run=run,
        timeline=timeline,
        numbers=numbers,
        health=recording.health(),
        workers=recording.workers(),
        measured=measured,
        cut_begun_ns=int(hits.begun_ns[hits.cut].min()) if hits.cut.any() else NEVER,
    )
    return Judgement(
        format=FORMAT,
        verdict=verdict,
        about=_about(recording, timeline),
        numbers=numbers,
        causes=explained.causes,
        timeline=timeline,
        notes=run.notes,
        measured=measured,
        headroom=headroom(run, timeline, measured),
        curve=shorter_pre_stops(hits, timeline, measured),
        advice=advise(run, timeline, numbers, measured, explained.causes, objects),
        lint=marked(lint(objects), explained.causes, verdict.grade, covered=_covered(verdict)),
    )


def _publishes(item: dict[str, Any]) -> bool:
    return bool((item.get("spec") or {}).get("publishNotReadyAddresses"))


def _covered(verdict: Verdict) -> bool:
    """Whether the rollout was judged from its beginning to its end."""
    return any(f.objective == COVERED and f.grade is Grade.PASS for f in verdict.findings)


def to_json(judgement: Judgement) -> str:
    """Return a judgement as the text of verdict.json."""
    return json.dumps(dataclasses.asdict(judgement), indent=1) + "\n"


def from_json(text: str | bytes) -> Judgement:
    """Read verdict.json back. Raises RecordingError, one line, when it is not one of ours."""
    try:
        found: Judgement = _adapter().validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecordingError(f"verdict.json: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    return found


@cache
def _adapter() -> TypeAdapter[Judgement]:
    return TypeAdapter(Judgement)


def _last_ns(hits: Hits) -> int:
    return int(hits.done_ns.max()) if len(hits) else NEVER


def _about(recording: Recording, timeline: Timeline) -> About:
    run = recording.run
    cluster, rollout = run.cluster, run.rollout

    def since(mark: Mark) -> int | None:
        t_ns = run.mark(mark)
        return None if t_ns == NEVER or not timeline.triggered else t_ns - timeline.zero_ns

    old, endpoints = since(Mark.OLD_PODS_GONE), since(Mark.ENDPOINTS_SETTLED)
    return About(
        name=run.name,
        folder=recording.path.name,
        began=f"{Clock(run.monotonic_ns, run.wall_ns).wall(0):%Y-%m-%d %H:%M:%S} UTC",
        version=run.versions.get("zdtest", ""),
        command=run.command,
        source=run.source,
        targets=tuple(f"{target.get('method', 'GET')} {target.get('url', '?')}" for target in run.targets),
        model=_model(run),
        workload=f"{cluster.kind} {cluster.namespace}/{cluster.name}" if cluster else "",
        cluster=_cluster(run),
        trigger=rollout.trigger if rollout else "",
        rollout_state=rollout.state if rollout else "",
        rollout_reason=rollout.reason if rollout else "",
        replicas=rollout.replicas if rollout else 0,
        status_done_ns=since(Mark.ROLLOUT_DONE),
        old_gone_ns=old,
        settled_ns=None if old is None or endpoints is None else max(old, endpoints),
        stalled_over_ns=run.stalled_ns,
        state=run.state,
        ended_by=run.ended_by,
    )


def _model(run: RunRecord) -> str:
    slots = f"{run.concurrency} slot{'' if run.concurrency == 1 else 's'}"
    loop = "closed loop" if run.rate is None else f"open loop at {run.rate:g} requests/s"
    return f"{loop}, {slots}, 1 request in flight each, {run.workers} worker{'' if run.workers == 1 else 's'}"


def _cluster(run: RunRecord) -> str:
    if run.cluster is None:
        return ""
    where = f"context {run.cluster.context}" if run.cluster.context else "in-cluster"
    return f"{where}, {run.cluster.server}" + (" (the embedded lab)" if run.cluster.lab else "")


def _strategy(recording: Recording) -> str:
    """Return the workload's update strategy as it was before the trigger."""
    cluster = recording.run.cluster
    if cluster is None:
        return ""
    objects: list[dict[str, Any]] = [
        item for item in recording.manifests("before") if item.get("kind", cluster.kind) == cluster.kind
    ] or [event.object for event in recording.events() if event.kind == cluster.kind]
    for item in objects:
        if (item.get("metadata") or {}).get("name") == cluster.name:
            spec = item.get("spec") or {}
            return str((spec.get("strategy") or spec.get("updateStrategy") or {}).get("type") or "")
    return ""
