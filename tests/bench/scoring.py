"""One recording's failed hits: the cause that the judge names, against the one that the lab knows to be true.

A hit and a line of the lab's truth are the same request when they have the same X-Request-ID; where the lab cannot
read one (a Service passes on bytes), when they have the same status and lie closest in time.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.judge.balancers.known import Chain
from harness.judge.causes.causes import EXACT, Way, explain
from harness.judge.causes.matching import NOT_THE_ROLLOUT, UNEXPLAINED
from harness.judge.numbers.hits import COLUMNS, FIRST_OUTCOME
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.timeline.surroundings import surroundings
from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from harness.recording.trace import request_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.judge.causes.causes import Explained
    from harness.judge.numbers.hits import Hits
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.upstreams import Entry

NEAR_NS = 250_000_000  # between the balancer's noticing a loss and the client's hearing of it
OTHER = "other"  # the lab's word for a failure that is none of its faults
CLEAN = "clean"
_CLIENT_LEFT = {460, 499}  # what a balancer logs when the client was gone


@dataclass
class Score:
    """What became of one scenario's failed hits."""

    name: str
    label: str
    grade: str
    accused: tuple[str, ...] = ()  # the ids of all causes that count against the rollout
    diagnosed: tuple[str, ...] = ()  # ... and of what does not
    hits: int = 0
    right: int = 0
    pair: int = 0
    wrong: int = 0
    unmatched: int = 0  # no line of the truth fits: it never came to the balancer
    wrong_exact: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def known(self) -> int:
        """How many failed hits have a known truth."""
        return self.hits - self.unmatched

    @property
    def nothing_to_name(self) -> bool:
        """Whether a fault did no harm in this run: nothing failed that could have had a name."""
        return self.label != CLEAN and not self.accused and not self.diagnosed

    @property
    def label_named(self) -> bool:
        """Whether the scenario's own label is among what was named; in a clean one, whether nothing was."""
        if self.label == CLEAN:
            return not self.accused
        return self.label in {*self.accused, *self.diagnosed}


def opened(name: str, label: str, path: Path) -> tuple[Score, Recording, Judgement]:
    """Judge a recording, and begin its score with what the verdict says."""
    recording = Recording.open(path)
    judgement = judge(recording)
    found = Score(
        name,
        label,
        str(judgement.grade),
        accused=tuple(sorted({i for cause in judgement.causes if cause.the_rollouts for i in cause.ids})),
        diagnosed=tuple(
            sorted(
                {
                    cause.diagnosis or cause.ids[0]
                    for cause in judgement.causes
                    if not cause.the_rollouts and (cause.diagnosis or cause.ids == ("E1",))
                }
            )
        ),
    )
    return found, recording, judgement


def explained_with(
    recording: Recording, judgement: Judgement, log: Mapping[tuple[int, int], Entry]
) -> tuple[Explained, Hits]:
    """Explain a recording's lost hits by the rules and by this access log alone; return these hits, too."""
    hits = AllHits.of(recording, (*COLUMNS, "seq"))
    between = judgement.balancers.chain if judgement.balancers else Chain()
    way = Way(between, recording.answers(), recording.connections)
    explained = explain(hits, judgement.timeline, judgement.numbers, surroundings(recording), log, way)
    return explained, hits.failed.where(hits.failed.done_ns >= judgement.timeline.zero_ns)


def score(name: str, label: str, path: Path) -> Score:
    """Compare each failed hit's label with the truth."""
    found, recording, judgement = opened(name, label, path)
    explained, lost = explained_with(recording, judgement, {})
    if not explained.labels:
        return found
    truth = Truth(path, recording)
    exact = {cause.ids for cause in explained.causes if cause.confidence == EXACT}
    diagnosis = {cause.ids: cause.diagnosis for cause in explained.causes}
    rows = zip(
        lost.frame["worker"].tolist(),
        lost.frame["seq"].tolist(),
        explained.done_ns.tolist(),
        explained.kind.tolist(),
        explained.labels,
        strict=True,
    )
    for worker, seq, done_ns, kind, ids in rows:
        found.hits += 1
        line = truth.of(worker, seq, done_ns, kind if kind < FIRST_OUTCOME else 0)
        named = {diagnosis[ids]} if diagnosis[ids] else set(ids)
        if line is None:
            found.unmatched += 1
            found.pairs["?", " or ".join(sorted(named))] += 1
            continue
        found.pairs[line["cause"], " or ".join(sorted(named))] += 1
        true = {line["cause"], line["root"]}
        if true == {OTHER}:
            true = {NOT_THE_ROLLOUT, UNEXPLAINED}
        if named & true and len(named) <= 2:
            found.right += len(named) == 1
            found.pair += len(named) == 2
        else:
            found.wrong += 1
            found.wrong_exact += ids in exact
    return found


class Truth:
    """The lab's own lines, each for one hit."""

    def __init__(self, path: Path, recording: Recording) -> None:
        files = sorted(path.rglob("truth.jsonl"))
        lines = [json.loads(text) for text in files[0].read_text().splitlines()] if files else []
        lost = [line for line in lines if not line.get("saved")]
        self._run = recording.run
        # The last word on a request that was tried on several pods counts.
        self._by_id = {line["request_id"]: line for line in lost if line["request_id"]}
        self._rest = [line for line in lost if not line["request_id"]]

    def of(self, worker: int, seq: int, done_ns: int, status: int) -> dict[str, Any] | None:
        """Return the line of one hit, or None."""
        line: dict[str, Any] | None = self._by_id.get(
            request_id(self._run.wall_ns, self._run.monotonic_ns, worker, seq)
        )
        return line if line is not None else self._nearest(done_ns, status)

    def _nearest(self, done_ns: int, status: int) -> dict[str, Any] | None:
        def away_ns(line: dict[str, Any]) -> int:
            return abs(int(line["t_ns"]) - self._run.monotonic_ns - done_ns)

        fitting: list[dict[str, Any]] = [
            line
            for line in self._rest
            if (0 if line["status"] in _CLIENT_LEFT else line["status"]) == status and away_ns(line) < NEAR_NS
        ]
        if not fitting:
            return None
        nearest = min(fitting, key=away_ns)
        self._rest.remove(nearest)
        return nearest
