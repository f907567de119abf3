"""A recording of one rollout, read and explained: its hits, its timeline, and the cause of each failed hit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.judge.balancers.reading import balancers_of
from harness.judge.calls.words import of_calls
from harness.judge.causes.causes import Explained, Way, explain
from harness.judge.numbers.hits import COLUMNS
from harness.judge.numbers.lives import told_apart
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.numbers.summary import Numbers, summarise
from harness.judge.streams.limits import Limits, limits_of
from harness.judge.timeline import timeline as times
from harness.judge.timeline.surroundings import services, surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.balancers.shown import Balancers
    from harness.judge.timeline.timeline import Timeline
    from harness.recording.answers import Answer
    from harness.recording.read import Recording
    from harness.recording.upstreams import AccessLog


@dataclass(frozen=True, slots=True)
class ExplainedRun:
    """What was sent and what happened, with a cause for each hit that failed since the trigger."""

    hits: AllHits
    timeline: Timeline
    numbers: Numbers
    balancers: Balancers
    explained: Explained
    objects: Sequence[dict[str, Any]]  # manifests before the change
    answers: Sequence[Answer]
    log: AccessLog
    limits: Limits  # on streams


def explained_run(recording: Recording, *, seq: bool = False) -> ExplainedRun:
    """Read a recording of one rollout. `seq`: with the column that tells which request of its worker each hit was.

    Raises RecordingError if the recording cannot be read.
    """
    run, log = recording.run, recording.access_log()
    hits = AllHits.of(recording, (*COLUMNS, "seq") if log.entries or seq else COLUMNS)
    objects, answers = recording.manifests("before"), recording.answers()
    timeline = times.read(run, recording.events(), recording.gaps(), hits.last_ns, services(objects))
    hits, timeline = told_apart(hits, timeline)
    numbers = summarise(hits, run, timeline)
    addresses = [pod.address for pod in timeline.pods]
    between = balancers_of(hits, run, answers, addresses, objects, log.entries.values())
    limits = limits_of(recording.streams(), timeline) if run.stream else None
    way = Way(between.chain, answers, recording.connections, limits)
    explained = explain(hits, timeline, numbers, surroundings(recording), log.entries, way)
    if run.stream:  # how long a stream lived says nothing of how long a request takes
        losses = {uid: replace(one, cut=0, cut_ns=0) for uid, one in explained.pod_losses.items()}
        explained = replace(explained, pod_losses=losses)
    if run.grpc:
        explained = replace(
            explained, causes=tuple(of_calls(one, direct=between.chain.direct) for one in explained.causes)
        )
    return ExplainedRun(
        hits, timeline, numbers, between, explained, objects, answers, log, limits or Limits()
    )
