"""A run as a trace in Chrome's JSON format, which ui.perfetto.dev and chrome://tracing open.

Each pod is a track with its states as slices; failed requests are instants, a track for each way to fail; requests,
failures and the generator's own lag are counters by the second. Times are microseconds on the run's clock; what a pod
did before the run is cut off. The format: perfetto.dev/docs, "Trace Event Format".
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from harness.clock import NS
from harness.escaping import everywhere, for_line
from harness.judge.numbers.hits import classify, kind_name
from harness.judge.wording import cause_in_words
from harness.recording.answers import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.read import Recording

Event = dict[str, Any]
_RUN, _FAILURES, _PODS, _LOAD = 1, 2, 3, 4  # processes of the trace
_PHASES, _MARKS, _GAPS = 1, 2, 3  # tracks of the run; each kind that was not watched has one of its own
_STATES = {
    "starting": "starting", "ready": "ready, not in the endpoints", "in_endpoints": "in the endpoints",
    "terminating": "terminating",
}  # fmt: skip
_LONGEST = 300  # characters of a text
_OF_A_FAILURE = ("done_ns", "seq", "status", "outcome", "pod", "peer", "conn", "conn_hits", "answer")


def write(file: BinaryIO, events: Iterable[Event]) -> int:
    """Write a trace, event by event; return how many events."""
    count = 0
    file.write(b'{"displayTimeUnit":"ms","traceEvents":[')
    for event in events:
        text = json.dumps(everywhere(event, for_line), separators=(",", ":"))
        file.write(f"{',' if count else ''}\n{text}".encode())
        count += 1
    file.write(b"\n]}\n")
    return count


def trace(
    recording: Recording, judgement: Judgement, causes: Mapping[tuple[int, int], tuple[str, ...]]
) -> Iterator[Event]:
    """Yield all events of a run. `causes` has the ids of each failed hit by (worker, seq)."""
    end_ns = max(
        judgement.timeline.load.to_ns,
        judgement.timeline.judged.to_ns,
        *(m.t_ns for m in judgement.timeline.marks),
    )
    yield from _of_the_run(judgement)
    yield from _pods(judgement, end_ns)
    named = {cause.ids: cause_in_words(cause.name, cause.ids) for cause in judgement.causes}
    seconds = _Seconds()
    yield from _failures(recording, causes, named, seconds)
    yield from seconds.counters()
    yield from _lag(recording)


def _named(process: int, name: str, order: int) -> Iterator[Event]:
    yield _event("M", 0, process, 0, "process_name", args={"name": name})
    yield _event("M", 0, process, 0, "process_sort_index", args={"sort_index": order})


def _track(process: int, track: int, name: str) -> Iterator[Event]:
    yield _event("M", 0, process, track, "thread_name", args={"name": name})
    yield _event("M", 0, process, track, "thread_sort_index", args={"sort_index": track})


def _event(phase: str, t_ns: int, process: int, track: int, name: str, **more: Any) -> Event:
    """Return an event; `phase` is M (a name), X (a slice), i (an instant) or C (a counter)."""
    return {"ph": phase, "ts": t_ns / 1000, "pid": process, "tid": track, "name": name[:_LONGEST], **more}


def _slice(
    span: tuple[int, int], process: int, track: int, name: str, args: Event | None = None
) -> Iterator[Event]:
    from_ns, to_ns = max(span[0], 0), span[1]
    if to_ns > from_ns:
        yield _event("X", from_ns, process, track, name, dur=(to_ns - from_ns) / 1000, args=args or {})


def _instant(
    t_ns: int | None, process: int, track: int, name: str, args: Event | None = None
) -> Iterator[Event]:
    if t_ns is not None and t_ns >= 0:
        yield _event("i", t_ns, process, track, name, s="t", args=args or {})


def _of_the_run(judgement: Judgement) -> Iterator[Event]:
    about, timeline = judgement.about, judgement.timeline
    yield from _named(_RUN, f"{judgement.grade}: {judgement.verdict.headline}"[:_LONGEST], 0)
    yield from _track(_RUN, _PHASES, "phases")
    for phase in timeline.phases:
        yield from _slice((phase.span.from_ns, phase.span.to_ns), _RUN, _PHASES, phase.phase.value)
    yield from _track(_RUN, _MARKS, "moments of the run")
    for mark in timeline.marks:
        name = f"{mark.mark}: {about.trigger}" if mark.mark == "trigger" and about.trigger else str(mark.mark)
        yield from _instant(mark.t_ns, _RUN, _MARKS, name)
    for change in timeline.changes:
        yield from _instant(change.at_ns, _RUN, _MARKS, change.told)
    for number, kind in enumerate(dict.fromkeys(gap.kind for gap in timeline.gaps), _GAPS):
        yield from _track(_RUN, number, f"not watched: {kind}")
        for gap in timeline.gaps:
            if gap.kind == kind:
                yield from _slice(
                    (gap.from_ns, gap.to_ns), _RUN, number, "not watched", {"reason": gap.reason}
                )


def _pods(judgement: Judgement, end_ns: int) -> Iterator[Event]:
    pods = judgement.timeline.pods
    if pods:
        yield from _named(_PODS, f"pods of {judgement.about.workload}"[:_LONGEST], 2)
    for number, pod in enumerate(pods, 1):
        yield from _track(_PODS, number, f"{'old' if pod.old else 'new'} {pod.name}"[:_LONGEST])
        yield from _pod(pod, number, end_ns)


def _pod(pod: Lifeline, track: int, end_ns: int) -> Iterator[Event]:
    about = {"pod": pod.name, "node": pod.node, "address": pod.address, "old": pod.old}
    for segment in pod.segments(end_ns):
        state = _STATES.get(segment.state, segment.state)
        yield from _slice((segment.from_ns, segment.to_ns), _PODS, track, state, about)
    yield from _instant(pod.deleted_ns, _PODS, track, "deleted")
    yield from _instant(pod.out_of_endpoints_ns, _PODS, track, "out of the endpoints")
    how = {"exit code": pod.exit_code, "reason": pod.exit_reason}
    yield from _instant(pod.exited_ns, _PODS, track, "exited", how)
    yield from _instant(pod.gone_ns, _PODS, track, "gone")
    for note in pod.notes:
        yield from _instant(note.t_ns, _PODS, track, note.reason, {"message": note.message[:_LONGEST]})


@dataclass(slots=True)
class _Seconds:
    """What ended in each second of the run."""

    good: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[str, defaultdict[int, int]] = field(default_factory=dict)  # by kind

    def counters(self) -> Iterator[Event]:
        """Yield the counters, each second's value at its beginning; a second without any is 0."""
        known = {*self.good, *(second for counts in self.failed.values() for second in counts)}
        if not known:
            return
        yield from _named(_LOAD, "load", 3)
        kinds = sorted(self.failed)
        for second in sorted(known | {second + 1 for second in known}):
            bad = {kind: self.failed[kind].get(second, 0) for kind in kinds}
            at_ns = second * NS
            both = self.good.get(second, 0) + sum(bad.values())
            yield _event("C", at_ns, _LOAD, 0, "requests/s", args={"requests": both})
            if bad:
                yield _event("C", at_ns, _LOAD, 0, "failures/s", args=bad)


def _failures(
    recording: Recording,
    causes: Mapping[tuple[int, int], tuple[str, ...]],
    named: Mapping[tuple[str, ...], str],
    seconds: _Seconds,
) -> Iterator[Event]:
    """Yield each failed hit as an instant, and count all hits by the second on the way."""
    tracks: dict[str, int] = {}
    for worker, batch in recording.batches("hits"):
        frame = batch.to_pandas()
        hits = classify(frame, recording.run)
        ended = hits.done_ns // NS
        for second in np.unique(ended[hits.good]).tolist():
            seconds.good[second] += hits.count(hits.good & (ended == second))
        rows = frame[hits.failed]
        if "answer" not in rows:  # the recording is older than the column
            rows = rows.assign(answer=NONE)
        codes, began = hits.kind[hits.failed].tolist(), hits.begun_ns[hits.failed].tolist()
        columns = (rows[name].tolist() for name in _OF_A_FAILURE)
        for code, begun_ns, done_ns, seq, status, outcome, pod, peer, conn, carried, index in zip(
            codes, began, *columns, strict=True
        ):
            kind = kind_name(code)
            if kind not in tracks:
                if not tracks:
                    yield from _named(_FAILURES, "failed requests", 1)
                tracks[kind] = len(tracks) + 1
                yield from _track(_FAILURES, tracks[kind], kind)
            seconds.failed.setdefault(kind, defaultdict(int))[done_ns // NS] += 1
            ids = causes.get((worker, seq), ())
            answer = recording.answer_of(worker, index)
            args = {
                "status": status,
                "outcome": outcome,
                "cause": "|".join(ids),
                "why": named.get(ids, ""),
                "pod": pod,
                "peer": peer,
                "worker": worker,
                "connection": conn,
                "requests before": carried,
                "waited ms": (done_ns - begun_ns) / 1e6,
                "answer": answer.body if answer else "",
            }
            yield from _instant(done_ns, _FAILURES, tracks[kind], kind, args)


def _lag(recording: Recording) -> Iterator[Event]:
    for sample in recording.health():
        if sample.t_ns >= 0:
            args = {f"worker {sample.worker}": sample.lag_p99_ns / 1e6}
            yield _event("C", sample.t_ns, _LOAD, 0, "generator lag, p99 (ms)", args=args)
