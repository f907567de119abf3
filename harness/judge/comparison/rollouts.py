"""One rollout, seen to its end, as one row: the unit of every comparison.

Failures of one rollout come in bursts, so requests are no independent trials: a rollout is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.findings.finding import (
    ALIVE,
    ENDED,
    HELD,
    KEEPS_UP,
    PAIRED,
    RECORDED,
    SPARE,
    TOGETHER,
    WITHOUT_HOLE,
)
from harness.model import Grade, Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.judge.advice.margins import Margin
    from harness.judge.numbers.summary import Latency, Part
    from harness.judge.verdict.judgement import Judgement

# Doubts about the load and its record touch all rollouts of a run alike.
_OF_THE_RUN = frozenset({ALIVE, PAIRED, SPARE, RECORDED, KEEPS_UP, TOGETHER, WITHOUT_HOLE, HELD})


@dataclass(frozen=True, slots=True)
class PodReach:
    """How long traffic still came to one pod that went. With `at_least` both are lower bounds."""

    pod: str
    reach_ns: int | None  # from its deletion to the last request that it received
    lag_ns: int | None  # from leaving the endpoints to that request
    at_least: bool


@dataclass(frozen=True, slots=True)
class OneRollout:
    """What one rollout showed. Latencies are of good answers, None where there were none in that phase."""

    run: str  # the folder's name
    number: int  # in its run, from 1
    began_ns: int  # wall time of the trigger
    block: int  # of a randomised experiment, from 1; 0: none
    grade: Grade
    requests: int
    during_requests: int  # those that ended in *during*
    failed: int  # raw: as a client that does not retry sees them
    masked: int  # of these, what a retrying client would have hidden
    hard: int  # the rest
    lost: int  # failed because of the rollout: held against it
    stalled: int  # took over the run's bound for it
    rate_before: float | None  # requests a second in the baseline
    kinds: dict[str, int]  # of all that failed
    kind_latency: dict[str, Latency]  # of failed ones, by kind
    bad_seconds: int
    outage_ns: int  # the longest; 0 without
    before: Latency | None
    during: Latency | None
    after: Latency | None
    reach_ns: int | None  # the largest of all pods
    reach_at_least: bool
    lag_ns: int | None  # the largest of all pods
    lag_at_least: bool
    reach: tuple[PodReach, ...]  # the pods of which it is known
    headroom: tuple[Margin, ...]
    status_done_ns: int | None  # from the trigger to what `kubectl rollout status` calls done
    settled_ns: int | None  # ... to the end of *during*; None: not seen to its end
    generator_lag_ns: int | None  # of its run: p99 in the worst second
    length_ns: int  # what such a rollout costs: the load's time in its run, over its rollouts
    cut: int | None = None  # streams; None where requests were sent
    back_ns: int | None = None  # the longest from the loss of a stream to the first message on the next
    causes: dict[str, int] = field(default_factory=dict)  # against the rollout: "B1", "B1|C1" -> hits
    cause_names: dict[str, str] = field(default_factory=dict)  # the same keys -> in words
    doubts: tuple[str, ...] = ()  # what withheld its PASS, or its run's

    @property
    def counts(self) -> bool:
        """Whether it tells how much is lost: seen to its end, and lost something or is known to have lost nothing.

        The rule looks at a rollout alone and is the same for both sides, so it favours neither.
        """
        return self.settled_ns is not None and (self.lost > 0 or not self.doubts)

    @property
    def why_not(self) -> str:
        """Say why it does not count."""
        if self.settled_ns is None:
            return "the rollout was not seen to its end"
        return self.doubts[0] if self.doubts and not self.lost else ""


def rollouts_of(judgement: Judgement, wall_ns: int, *, block: int = 0) -> tuple[OneRollout, ...]:
    """Return the rollouts of a judged run, in order; `wall_ns` is the wall time at which the run's clock began."""
    return tuple(_rollouts(judgement, wall_ns, block))


def _rollouts(judgement: Judgement, wall_ns: int, block: int) -> Iterator[OneRollout]:
    each = judgement.rollouts or (judgement,)
    lag_ns = judgement.sending.lag_p99_ns if judgement.sending else None
    length_ns = judgement.timeline.load.length_ns // len(each)
    for number, one in enumerate(each, 1):
        doubts = _doubts(one)
        if judgement.rollouts:
            cut_short = number == len(each)  # an early end of the run is none of the others' business
            doubts += _doubts(judgement, _OF_THE_RUN | ({ENDED} if cut_short else set()))
        yield _one(one, judgement, number, wall_ns, block, lag_ns, length_ns, doubts)


def _one(
    one: Judgement,
    whole: Judgement,
    number: int,
    wall_ns: int,
    block: int,
    generator_lag_ns: int | None,
    length_ns: int,
    doubts: tuple[str, ...],
) -> OneRollout:
    numbers, measured = one.numbers, one.measured
    pods = tuple(
        PodReach(pod.pod, pod.reach_ns, pod.lag_ns, pod.censored)
        for pod in (measured.pods if measured else ())
        if pod.reach_ns is not None or pod.lag_ns is not None
    )
    reach, lag = (measured.reach, measured.lag) if measured else (None, None)
    causes = [cause for cause in one.causes if cause.the_rollouts]
    during, held = numbers.part(Phase.DURING), one.streams
    if (
        held is not None
    ):  # rows of streams are no requests: how long they took, and when the last came, says nothing
        reach = lag = None
        pods = ()
    return OneRollout(
        run=whole.about.folder,
        number=number,
        began_ns=wall_ns + one.timeline.zero_ns,
        block=block,
        grade=one.grade,
        requests=numbers.requests,
        during_requests=during.requests if during and not held else 0,
        failed=numbers.failed,
        masked=numbers.masked,
        hard=numbers.hard,
        lost=one.verdict.lost,
        stalled=numbers.stalled,
        rate_before=None if held else _rate(numbers.baseline or numbers.part(Phase.BEFORE)),
        kinds={kind.kind: kind.count for kind in numbers.kinds},
        kind_latency={kind.kind: kind.latency for kind in numbers.kinds},
        bad_seconds=numbers.bad_seconds,
        outage_ns=numbers.outage.to_ns - numbers.outage.from_ns if numbers.outage else 0,
        before=None if held else _latency(numbers.baseline or numbers.part(Phase.BEFORE)),
        during=None if held else _latency(during),
        after=None if held else _latency(numbers.part(Phase.AFTER)),
        reach_ns=reach.max_ns if reach else None,
        reach_at_least=bool(reach and reach.at_least),
        lag_ns=lag.max_ns if lag else None,
        lag_at_least=bool(lag and lag.at_least),
        reach=pods,
        headroom=one.headroom,
        status_done_ns=one.about.status_done_ns,
        settled_ns=one.about.settled_ns if one.timeline.triggered else None,
        generator_lag_ns=generator_lag_ns,
        length_ns=length_ns,
        cut=held.blamed if held else None,
        back_ns=held.back.max_ns if held and held.back else None,
        causes=_counted(one),
        cause_names={"|".join(cause.ids): cause.name for cause in causes},
        doubts=doubts,
    )


def _counted(one: Judgement) -> dict[str, int]:
    found: dict[str, int] = {}
    for cause in one.causes:
        if cause.the_rollouts:
            key = "|".join(cause.ids)
            found[key] = found.get(key, 0) + cause.hits
    return found


def _latency(part: Part | None) -> Latency | None:
    return part.latency if part else None


def _rate(part: Part | None) -> float | None:
    return part.requests * NS / (part.to_ns - part.from_ns) if part and part.to_ns > part.from_ns else None


def _doubts(judgement: Judgement, of: Collection[str] | None = None) -> tuple[str, ...]:
    """Return what was observed where a PASS was withheld, by the objectives `of` alone if they are given."""
    return tuple(
        finding.observed
        for finding in judgement.verdict.findings
        if finding.grade is Grade.INCONCLUSIVE and (of is None or finding.objective in of)
    )
