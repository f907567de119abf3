"""A recording -> a Judgement: numbers, causes, and PASS / FAIL / INCONCLUSIVE with every finding behind it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from harness.errors import RecordingError
from harness.judge.advice.advice import advise, cited
from harness.judge.advice.draft import Advice  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.advice.margins import CurvePoint, Margin, margins, shorter_pre_stops, with_advised
from harness.judge.balancers.reading import balancers_of
from harness.judge.balancers.shown import Balancers  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.calls.numbers import CallNumbers, call_numbers
from harness.judge.causes.causes import Cause  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.causes.told import of_requests
from harness.judge.findings import objectives
from harness.judge.findings.case import Case
from harness.judge.findings.finding import COVERED
from harness.judge.lint.lint import LintFinding, lint, marked
from harness.judge.numbers import traffic
from harness.judge.numbers.accesslog import notes
from harness.judge.numbers.lives import told_apart
from harness.judge.numbers.measured import Measured, measure_rollout
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.numbers.sending import Sending, sending
from harness.judge.numbers.summary import Numbers, summarise
from harness.judge.numbers.usual import unanswered, usual
from harness.judge.picture.picture import Picture, Seen, of_rollouts, picture
from harness.judge.streams.limits import limits_of
from harness.judge.streams.numbers import StreamNumbers, stream_numbers
from harness.judge.timeline.surroundings import live_pods, services
from harness.judge.timeline.timeline import Timeline  # noqa: TC001  pydantic reads verdict.json by it
from harness.judge.verdict import rollouts
from harness.judge.verdict.about import About, about
from harness.judge.verdict.explained import explained_run
from harness.judge.verdict.verdict import Verdict, decide, of_the_run
from harness.model import Grade
from harness.recording.rounds import parts

if TYPE_CHECKING:
    from harness.recording.read import Recording

FORMAT = 1  # of verdict.json


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that reports need, as plain data: the content of verdict.json."""

    format: int
    verdict: Verdict
    about: About
    numbers: Numbers
    causes: tuple[Cause, ...]
    timeline: Timeline
    notes: tuple[str, ...]
    measured: Measured | None = None
    headroom: tuple[Margin, ...] = ()
    curve: tuple[CurvePoint, ...] = ()  # what shorter preStops would have lost
    advice: Advice | None = None
    lint: tuple[LintFinding, ...] = ()
    rollouts: tuple[Judgement, ...] = ()  # each by itself, if the run made several
    sending: Sending | None = None  # the load generator's side, for the whole run
    streams: StreamNumbers | None = None  # what became of them, if the run held streams
    calls: CallNumbers | None = None  # where they went, if the run made gRPC calls
    balancers: Balancers | None = None  # the balancer in front of the pods, and what failed answers said

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

    Raises RecordingError if the recording cannot be read. An incomplete one is not an error: it is judged as far as
    it goes.
    """
    return _judged(recording, drawn=False)[0]


def judge_with_picture(recording: Recording) -> tuple[Judgement, Picture]:
    """Judge a recording, and return what its pictures are drawn from. The judgement is the same as that of `judge`."""
    judgement, drawn = _judged(recording, drawn=True)
    if drawn is None:
        raise AssertionError("a picture was asked for")
    return judgement, drawn


def _judged(recording: Recording, *, drawn: bool) -> tuple[Judgement, Picture | None]:
    cut = parts(recording)
    if len(cut) == 1:
        judgement, _, picture_ = _judge(recording, whole=True, drawn=drawn)
        return judgement, picture_
    return _together(recording, tuple(_judge(part, whole=False, drawn=drawn) for part in cut))


@dataclass(frozen=True, slots=True)
class _Uncited:
    """A judgement whose texts do not contain advised values yet: a run of several rollouts decides its own."""

    causes: tuple[Cause, ...]
    headroom: tuple[Margin, ...]


_Part = tuple[Judgement, _Uncited, Picture | None]


def _judge(recording: Recording, *, whole: bool, drawn: bool) -> _Part:
    read = explained_run(recording, seq=drawn)
    run, hits, timeline, numbers, explained = (
        recording.run,
        read.hits,
        read.timeline,
        read.numbers,
        read.explained,
    )
    sent = sending(recording, hits, timeline) if whole else None
    measured = measure_rollout(
        hits, timeline, numbers, explained.pod_losses, run.rollout.replicas if run.rollout else 0
    )
    known = usual(hits, timeline)
    streams = stream_numbers(recording.streams(), run, timeline, read.limits) if run.stream else None
    case = Case(
        run=run,
        timeline=timeline,
        numbers=numbers,
        hits=hits,
        health=recording.health(),
        workers=recording.workers(),
        measured=measured,
        background=explained.background,
        usual=known,
        unanswered=unanswered(hits, timeline, known.slowest_ns, run.concurrency * run.streams),
        sending=sent,
        streams=streams,
        untied=sum(cause.hits for cause in explained.causes if cause.untied) if timeline.pods else 0,
    )
    verdict = decide(case, whole=whole)
    decided = advise(
        run,
        timeline,
        numbers,
        measured,
        of_requests(explained.causes) if run.stream else explained.causes,
        recording.manifests("after") or read.objects,
        read.balancers.seen,
    )
    kept = bool(run.grpc) and read.balancers.chain.direct
    uncited = _Uncited(explained.causes, margins(run, timeline, measured, until_goaway=kept))
    judgement = Judgement(
        format=FORMAT,
        verdict=verdict,
        about=about(recording, timeline),
        numbers=numbers,
        causes=cited(explained.causes, decided),
        timeline=timeline,
        notes=(*run.notes, *traffic.notes(hits.words), *(notes(read.log) if whole else ())),
        measured=measured,
        headroom=with_advised(uncited.headroom, decided),
        curve=() if kept else shorter_pre_stops(hits, timeline, measured),
        advice=decided.advice,
        lint=marked(
            lint([*read.objects, *live_pods(recording)]),
            explained.causes,
            verdict.grade,
            covered=_covered(verdict),
            advised=decided.by_path(),
        ),
        sending=sent,
        streams=streams,
        calls=call_numbers(recording.connections(), hits, timeline) if run.grpc else None,
        balancers=read.balancers,
    )
    held = recording.streams() if run.stream and drawn else None
    seen = Seen(read.answers, read.log, recording.events(), recording.health(), held) if drawn else None
    return judgement, uncited, picture(hits, timeline, explained, seen) if seen else None


def _together(recording: Recording, judged: tuple[_Part, ...]) -> tuple[Judgement, Picture | None]:
    """Judge a run of several rollouts from the judgement of each."""
    each = tuple(one for one, _, _ in judged)
    run = recording.run
    hits = AllHits.of(recording)
    objects = recording.manifests("before")
    timeline = rollouts.timeline_of(
        run, recording.events(), recording.gaps(), [one.timeline for one in each], services(objects)
    )
    hits, timeline = told_apart(hits, timeline)
    numbers = summarise(hits, run, timeline)
    measured = rollouts.measured_of(one.measured for one in each)
    sent = sending(recording, hits, timeline)
    causes = rollouts.causes_of([uncited.causes for _, uncited, _ in judged], timeline.pods)
    verdicts = [one.verdict for one in each]
    case = Case(
        run=run,
        timeline=timeline,
        numbers=numbers,
        health=recording.health(),
        workers=recording.workers(),
        measured=measured,
        sending=sent,
    )
    lost = sum(verdict.lost for verdict in verdicts)
    own = (*objectives.findings(case, lost), *of_the_run(case))
    verdict = rollouts.decide_together(run, numbers, verdicts, own)
    one = about(recording, timeline)
    between = balancers_of(
        hits,
        run,
        recording.answers(),
        [pod.address for pod in timeline.pods],
        objects,
        recording.access_log().entries.values(),
    )
    decided = advise(
        run,
        timeline,
        numbers,
        measured,
        of_requests(causes) if run.stream else causes,
        recording.manifests("after") or objects,
        between.seen,
    )
    judgement = Judgement(
        format=FORMAT,
        verdict=verdict,
        about=dataclasses.replace(
            one,
            trigger=f"{each[0].about.trigger}, {len(each)} times",
            status_done_ns=None,
            old_gone_ns=None,
            settled_ns=None,
        ),
        numbers=numbers,
        causes=cited(causes, decided),
        timeline=timeline,
        notes=(*run.notes, *traffic.notes(hits.words), *notes(recording.access_log())),
        measured=measured,
        headroom=with_advised(rollouts.closest(uncited.headroom for _, uncited, _ in judged), decided),
        curve=() if run.grpc and between.chain.direct else shorter_pre_stops(hits, timeline, measured),
        advice=decided.advice,
        lint=marked(
            lint([*objects, *live_pods(recording)]),
            causes,
            verdict.grade,
            covered=all(_covered(verdict) for verdict in verdicts),
            advised=decided.by_path(),
        ),
        rollouts=each,
        sending=sent,
        streams=_streams_of(recording, timeline),
        calls=call_numbers(recording.connections(), hits, timeline) if run.grpc else None,
        balancers=between,
    )
    pictures = [one for _, _, one in judged if one is not None]
    if not pictures:
        return judgement, None
    held = recording.streams() if run.stream else None
    seen = Seen(recording.answers(), recording.access_log(), recording.events(), recording.health(), held)
    return judgement, of_rollouts(hits, timeline, pictures, [one.verdict.lost for one in each], seen)


def _streams_of(recording: Recording, timeline: Timeline) -> StreamNumbers | None:
    if not recording.run.stream:
        return None
    streams = recording.streams()
    return stream_numbers(streams, recording.run, timeline, limits_of(streams, timeline))


def _covered(verdict: Verdict) -> bool:
    """Whether the rollout was judged from its beginning to its end."""
    return any(f.objective == COVERED and f.grade is Grade.PASS for f in verdict.findings)


def to_json(judgement: Judgement) -> str:
    """Return a judgement as the text of verdict.json."""
    return json.dumps(dataclasses.asdict(judgement), indent=1) + "\n"


def from_json(text: str | bytes) -> Judgement:
    """Read verdict.json back. Raises RecordingError, one line, if it is not one of ours."""
    try:
        found: Judgement = _adapter().validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecordingError(f"verdict.json: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    return found


@cache
def _adapter() -> TypeAdapter[Judgement]:
    return TypeAdapter(Judgement)
