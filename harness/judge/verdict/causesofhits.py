"""The cause of each failed hit, for those who want the hits themselves: the judge's own, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.judge.balancers.reading import balancers_of
from harness.judge.causes.causes import Way, explain
from harness.judge.numbers.hits import COLUMNS, classify
from harness.judge.numbers.lives import told_apart
from harness.judge.numbers.summary import summarise
from harness.judge.timeline import timeline as times
from harness.judge.timeline.surroundings import services, surroundings
from harness.model import NEVER
from harness.recording.rounds import parts

if TYPE_CHECKING:
    from harness.recording.read import Recording

Ids = tuple[str, ...]


def causes_of_hits(recording: Recording) -> dict[tuple[int, int], Ids]:
    """Return the ids of the cause of every hit that failed after a trigger, by (worker, seq).

    It holds all hits in memory, as judging does. Raises RecordingError if the recording cannot be read.
    """
    found: dict[tuple[int, int], Ids] = {}
    for part in parts(recording):
        found |= _of_one_rollout(part)
    return found


def _of_one_rollout(recording: Recording) -> dict[tuple[int, int], Ids]:
    run, objects, answers = recording.run, recording.manifests("before"), recording.answers()
    hits = classify(recording.hits((*COLUMNS, "seq")), run)
    last_ns = int(hits.done_ns.max()) if len(hits) else NEVER
    timeline = times.read(run, recording.events(), recording.gaps(), last_ns, services(objects))
    hits, timeline = told_apart(hits, timeline)
    between = balancers_of(hits, run, answers, (pod.address for pod in timeline.pods), objects)
    explained = explain(
        hits,
        timeline,
        summarise(hits, run, timeline),
        surroundings(recording),
        recording.access_log().addresses,
        Way(between.chain, answers, recording.connections),
    )
    lost = np.flatnonzero(hits.failed & (hits.done_ns >= timeline.zero_ns))
    if not explained.labels:  # without a trigger nothing is explained
        return {}
    rows = hits.frame.iloc[lost]
    keys = zip(rows["worker"].tolist(), rows["seq"].tolist(), strict=True)
    return dict(zip(keys, explained.labels, strict=True))
