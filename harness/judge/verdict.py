"""A recording -> a Judgement: numbers, causes, and PASS / FAIL / INCONCLUSIVE with every finding behind it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from harness import masking
from harness.clock import Clock
from harness.errors import RecordingError
from harness.judge import objectives, rollouts, timeline as times, traffic, untilclose
from harness.judge.advice import Advice, advise
from harness.judge.answers import usual
from harness.judge.causes import Cause, explain
from harness.judge.finding import COVERED, Finding, Verdict
from harness.judge.findings import decide, of_the_run
from harness.judge.headroom import CurvePoint, Headroom, headroom, shorter_pre_stops
from harness.judge.hits import COLUMNS, Hits, classify
from harness.judge.lint import LintFinding, lint, marked
from harness.judge.lives import told_apart
from harness.judge.measured import Measured, measure_rollout
from harness.judge.sending import Sending, sending
from harness.judge.summary import Numbers, summarise
from harness.judge.surroundings import services, surroundings
from harness.judge.timeline import Timeline  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.unanswered import unanswered
from harness.judge.wording import lasting
from harness.model import NEVER, Grade, Mark
from harness.recording.rounds import parts

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
    rollouts: tuple[Judgement, ...] = ()  # each by itself, where the run made several
    sending: Sending | None = None  # the load's own side, of the whole run

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
    cut = parts(recording)
    if len(cut) == 1:
        return _judge(recording, whole=True)
    return _together(recording, tuple(_judge(part, whole=False) for part in cut))


def _judge(recording: Recording, *, whole: bool) -> Judgement:
    run = recording.run
    events = recording.events()
    upstreams = recording.upstreams()
    hits = classify(recording.hits((*COLUMNS, "seq") if upstreams else COLUMNS), run)
    objects = recording.manifests("before")
    timeline = times.read(run, events, recording.gaps(), _last_ns(hits), services(objects))
    hits, timeline = told_apart(hits, timeline)
    numbers = summarise(hits, run, timeline)
    sent = sending(recording, hits, timeline) if whole else None
    explained = explain(hits, timeline, numbers, surroundings(recording), upstreams)
    measured = measure_rollout(
        hits, timeline, numbers, explained.struck, run.rollout.replicas if run.rollout else 0
    )
    known = usual(hits, timeline)
    verdict = decide(
        run=run,
        timeline=timeline,
        numbers=numbers,
        health=recording.health(),
        workers=recording.workers(),
        measured=measured,
        out=unanswered(hits, timeline, known.slowest_ns, run.concurrency),
        background=explained.background,
        usual=known,
        whole=whole,
        sent=sent,
        doubts=(untilclose.finding(hits, timeline),),
    )
    return Judgement(
        format=FORMAT,
        verdict=verdict,
        about=_about(recording, timeline),
        numbers=numbers,
        causes=explained.causes,
        timeline=timeline,
        notes=(*run.notes, *traffic.notes(hits)),
        measured=measured,
        headroom=headroom(run, timeline, measured),
        curve=shorter_pre_stops(hits, timeline, measured),
        advice=advise(
            run, timeline, numbers, measured, explained.causes, recording.manifests("after") or objects
        ),
        lint=marked(lint(objects), explained.causes, verdict.grade, covered=_covered(verdict)),
        sending=sent,
    )


def _together(recording: Recording, each: tuple[Judgement, ...]) -> Judgement:
    """Judge a run of several rollouts by the judgements of each."""
    run = recording.run
    hits = classify(recording.hits(COLUMNS), run)
    objects = recording.manifests("before")
    timeline = rollouts.timeline_of(
        run, recording.events(), recording.gaps(), [one.timeline for one in each], services(objects)
    )
    hits, timeline = told_apart(hits, timeline)
    numbers = summarise(hits, run, timeline)
    measured = rollouts.measured_of(one.measured for one in each)
    sent = sending(recording, hits, timeline)
    causes = rollouts.causes_of([one.causes for one in each])
    verdicts = [one.verdict for one in each]
    own = (
        *objectives.findings(run, numbers, measured, sum(verdict.lost for verdict in verdicts)),
        *of_the_run(run, timeline, numbers, recording.health(), recording.workers(), sent),
    )
    verdict = rollouts.decide_together(run, numbers, verdicts, own)
    about = _about(recording, timeline)
    return Judgement(
        format=FORMAT,
        verdict=verdict,
        about=dataclasses.replace(
            about,
            trigger=f"{each[0].about.trigger}, {len(each)} times",
            status_done_ns=None,
            old_gone_ns=None,
            settled_ns=None,
        ),
        numbers=numbers,
        causes=causes,
        timeline=timeline,
        notes=(*run.notes, *traffic.notes(hits)),
        measured=measured,
        headroom=rollouts.closest(one.headroom for one in each),
        curve=shorter_pre_stops(hits, timeline, measured),
        advice=advise(run, timeline, numbers, measured, causes, recording.manifests("after") or objects),
        lint=marked(
            lint(objects), causes, verdict.grade, covered=all(_covered(verdict) for verdict in verdicts)
        ),
        rollouts=each,
        sending=sent,
    )


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
        targets=tuple(
            f"{target.get('method', 'GET')} {masking.url(str(target.get('url', '?')))}"
            for target in run.targets
        ),
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
    loop += f" after a ramp of {lasting(run.ramp_ns)}" if run.ramp_ns else ""
    workers = f"{run.workers} worker{'' if run.workers == 1 else 's'}"
    return f"{loop}, {slots}, 1 request in flight each, {workers}{', HTTP/2' if run.http2 else ''}"


def _cluster(run: RunRecord) -> str:
    if run.cluster is None:
        return ""
    where = f"context {run.cluster.context}" if run.cluster.context else "in-cluster"
    return f"{where}, {run.cluster.server}" + (" (the embedded lab)" if run.cluster.lab else "")
