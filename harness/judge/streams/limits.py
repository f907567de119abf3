"""Limits of what stands between on how long a stream may last, or be silent: found by the streams that they cut.

A limit cuts at one age (or after one silence), whatever the moment; an event such as a reload or the end of a pod cuts
at one moment, whatever the age. So a limit is *proven* where streams of pods that were well were cut at one age in
different moments, and none grew older. Where all were opened at once, and cut at once, the two look alike: then it is
*possible*, and named beside the event.

A limit works with and without a rollout, so what it cut is not the rollout's. At a pod that was ending just then that
is so where the age is right to what those of other pods were apart: the limit would have cut it in that moment in any
case. Not where another stream of the pod was cut with it at another age: then the pod's end cuts streams. Silence may
be the rollout's doing, so a limit on it is the rollout's unless it cut streams before the trigger, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import kind_code
from harness.judge.streams.ends import is_cut
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns
from harness.model import Outcome

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline

AGE, SILENCE, EITHER = "age", "silence", "either"
TOGETHER_NS = NS // 4  # one event ends streams within this
SHORTEST_NS = 4 * NS  # nobody sets a limit so short
LEAST = 2  # streams of pods that were well: fewer may be the network's doing
_PROVING = 3  # of one age, in at least two moments: two may be of one age by chance
_SPREAD_NS = {AGE: NS // 4, SILENCE: NS}  # timers of one length, and what a busy machine adds
_LONGER_NS = NS  # a stream that lived so much longer met no limit
_EXACT_NS = NS // 20  # the least that timers of one length are apart
_TIMES = 4  # the moments are so much further apart than the ages, or the other way round
LATE_NS = 2 * NS  # a container's end is told in whole seconds, and its streams may end after it
CUT_KINDS = (kind_code(Outcome.EOF_MID_RESPONSE.value), kind_code(Outcome.RESET_MID_RESPONSE.value))


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: of which kind, how long, and the streams (rows) that it cut."""

    kind: str
    ns: int
    proven: bool
    rows: NDArray[np.int64]
    apart: bool  # from the rollout
    silent: bool  # they never had a message: age and silence are the same
    spread_ns: int
    before: int  # streams that it cut before the trigger

    @property
    def word(self) -> str:
        """Return on what it is: `either` where no message came, so that a stream's age is its silence."""
        return EITHER if self.silent else self.kind


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of a run, by the streams that they cut."""

    found: tuple[Limit, ...] = ()
    of_stream: dict[tuple[int, int], Limit] = field(default_factory=dict)  # by (worker, conn)

    def apart(self, hits: Hits) -> NDArray[np.bool_]:
        """Say which hits are streams that were cut by a limit with which the rollout has nothing to do."""
        keys = {key for key, limit in self.of_stream.items() if limit.apart}
        return _those(hits, keys)

    def of_hits(self, hits: Hits) -> dict[int, Limit]:
        """Return the limit that cut each hit, by its row."""
        rows = np.flatnonzero(_those(hits, set(self.of_stream)))
        worker, conn = hits.frame["worker"].to_numpy(), hits.frame["conn"].to_numpy()
        return {row: self.of_stream[int(worker[row]), int(conn[row])] for row in rows.tolist()}

    def counts_in(self, streams: pd.DataFrame, from_ns: int, to_ns: int) -> int:
        """Count the streams that ended in a stretch of time, cut by a limit that is apart from the rollout."""
        ended = streams["ended_ns"].to_numpy()
        return int((self.rows_apart(len(ended)) & (ended >= from_ns) & (ended < to_ns)).sum())

    def rows_apart(self, number: int) -> NDArray[np.bool_]:
        """Say which of so many streams were cut by a limit that is apart from the rollout."""
        mask = np.zeros(number, dtype=bool)
        for limit in self.found:
            if limit.apart:
                mask[limit.rows] = True
        return mask


def limits_of(streams: pd.DataFrame, timeline: Timeline) -> Limits:
    """Find the limits of a run: at most one on the age, and one on the silence of what that one did not cut."""
    if not len(streams):
        return Limits()
    held = _Held.of(streams, timeline)
    found: list[Limit] = []
    for kind in (AGE, SILENCE):
        limit = _limit(held, kind, timeline)
        if limit is not None:
            found.append(limit)
            if limit.proven:
                held.left[limit.rows] = False
    of_stream: dict[tuple[int, int], Limit] = {}
    for limit in reversed(found):  # that on the age has the last word
        of_stream.update(dict.fromkeys(held.keys(limit.rows), limit))
    return Limits(tuple(found), of_stream)


@dataclass(slots=True)
class _Held:
    """The streams, column by column. `well`: cut, though no pod that may have held it had a reason to."""

    worker: NDArray[np.int64]
    conn: NDArray[np.int64]
    opened: NDArray[np.int64]
    ended: NDArray[np.int64]
    lasted: dict[str, NDArray[np.int64]]  # by kind of limit: age, or silence at its end
    longest: dict[str, NDArray[np.int64]]  # the most that it survived
    left: NDArray[np.bool_]  # cut, and not explained yet
    well: NDArray[np.bool_]
    pods: list[list[Lifeline]]

    @classmethod
    def of(cls, streams: pd.DataFrame, timeline: Timeline) -> _Held:
        opened, ended = streams["opened_ns"].to_numpy(), streams["ended_ns"].to_numpy()
        last = np.maximum(streams["last_message_ns"].to_numpy(), streams["handshake_ns"].to_numpy())
        how = streams["how"].astype(str).to_numpy()
        cut = is_cut(streams) & np.isin(how, ("eof", "reset"))
        by_name: dict[str, list[Lifeline]] = {}
        for pod in timeline.pods:
            by_name.setdefault(pod.name.partition(" (")[0], []).append(pod)
        every = list(timeline.pods)
        names = streams["pod"].astype(str).tolist()
        pods = [by_name.get(name, []) if name else every for name in names]
        well = cut.copy()
        for row in np.flatnonzero(cut).tolist():
            well[row] = not any(_ending(pod, int(ended[row])) for pod in pods[row])
        silence = ended - last
        return cls(
            worker=streams["worker"].to_numpy(),
            conn=streams["conn"].to_numpy(),
            opened=opened,
            ended=ended,
            lasted={AGE: ended - opened, SILENCE: silence},
            longest={
                AGE: np.where(cut, 0, ended - opened),
                SILENCE: np.maximum(streams["largest_gap_ns"].to_numpy(), np.where(cut, 0, silence)),
            },
            left=cut,
            well=well,
            pods=pods,
        )

    def keys(self, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
        return list(zip(self.worker[rows].tolist(), self.conn[rows].tolist(), strict=True))


def _limit(held: _Held, kind: str, timeline: Timeline) -> Limit | None:
    """Find the length at which most streams of pods that were well were cut, and how sure it is that it is one."""
    lasted, spread = held.lasted[kind], _SPREAD_NS[kind]
    well = np.flatnonzero(held.left & held.well & (lasted >= SHORTEST_NS))
    if len(well) < LEAST:
        return None
    ordered = np.sort(lasted[well])
    within = np.searchsorted(ordered, ordered + spread, "right") - np.arange(len(ordered))
    first = int(np.argmax(within))
    usual = int(np.median(ordered[first : first + within[first]]))
    same = well[np.abs(lasted[well] - usual) <= spread]
    survivors = int(
        ((held.longest[kind] > usual + _LONGER_NS) | (held.left & (lasted > usual + _LONGER_NS))).sum()
    )
    if len(same) < LEAST or 10 * survivors > len(same):
        return None
    proven = _proven(held, kind, same)
    if proven is None:
        return None
    off = np.abs(lasted - usual)
    exact = max(2 * int(np.percentile(off[same], 90)), _EXACT_NS)
    ending = np.flatnonzero(held.left & ~held.well & (off <= exact))
    its_pods = [row for row in ending.tolist() if _is_of_its_pod(held, row, off > exact)]
    rows = np.union1d(same, np.setdiff1d(ending, np.array(its_pods, dtype=np.int64)))
    before = int((held.ended[rows] < timeline.zero_ns).sum()) if timeline.triggered else len(rows)
    silent = kind == AGE and bool(np.median((lasted - held.lasted[SILENCE])[same]) < _LONGER_NS)
    apart = proven and ((kind == AGE and not silent) or before >= LEAST)
    return Limit(kind, usual, proven, rows, apart, silent, int(off[same].max()), before)


def _proven(held: _Held, kind: str, rows: NDArray[np.int64]) -> bool | None:
    """Say whether streams of one length were cut by a limit: False if it may have been one event, None if it was."""
    moments, lengths = held.ended[rows], held.lasted[kind][rows]
    with_others = held.left & held.well & _near_any(held.ended, moments)
    if with_others.sum() > len(rows) + max(1, len(rows) // 5) or _in_step(moments, lengths):
        return None  # what ended in those moments was of any age
    apart, alike = int(np.ptp(moments)), int(np.ptp(lengths))
    bursts = 1 + int((np.diff(np.sort(moments)) > TOGETHER_NS).sum())
    return len(rows) >= _PROVING and (bursts > 1 or apart > max(_TIMES * alike, TOGETHER_NS // 2))


def _near_any(t_ns: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which times are within one event of one of some moments."""
    ordered = np.sort(moments)
    first = np.searchsorted(ordered, t_ns - TOGETHER_NS, "left")
    near: NDArray[np.bool_] = np.searchsorted(ordered, t_ns + TOGETHER_NS, "right") > first
    return near


def _in_step(moments: NDArray[np.int64], lengths: NDArray[np.int64]) -> bool:
    """Whether streams that ended together did so in one moment rather than at one length."""
    order = np.argsort(moments)
    bursts = np.split(order, np.flatnonzero(np.diff(moments[order]) > TOGETHER_NS) + 1)
    apart = sum(int(np.ptp(moments[burst])) for burst in bursts)
    alike = sum(int(np.ptp(lengths[burst])) for burst in bursts)
    return alike > max(2 * apart, TOGETHER_NS // 4)


def _is_of_its_pod(held: _Held, row: int, other_ages: NDArray[np.bool_]) -> bool:
    """Whether other streams of its pod were cut in the same moment at other ages: its end cuts them."""
    near = held.left & other_ages & (np.abs(held.ended - held.ended[row]) <= 2 * TOGETHER_NS)
    return any(held.pods[other] is held.pods[row] for other in np.flatnonzero(near).tolist())


def _ending(pod: Lifeline, t_ns: int) -> bool:
    """Whether a pod had a reason to end a stream at a moment: SIGTERM (a preStop may still run before it), an exit."""
    ends = [t for t in (stop_ns(pod), pod.gone_ns) if t is not None]
    if ends and min(ends) - SLACK // 4 <= t_ns <= max(*ends, pod.exited_ns or 0) + LATE_NS:
        return True
    return pod.exited_ns is not None and abs(t_ns - pod.exited_ns) <= LATE_NS


def _those(hits: Hits, keys: set[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return which hits are cut streams with one of these keys."""
    mask = np.zeros(len(hits), dtype=bool)
    if not keys:
        return mask
    rows = np.flatnonzero(np.isin(hits.kind, CUT_KINDS) & (hits.frame["conn_hits"].to_numpy() > 0))
    worker, conn = hits.frame["worker"].to_numpy(), hits.frame["conn"].to_numpy()
    for row in rows.tolist():
        mask[row] = (int(worker[row]), int(conn[row])) in keys
    return mask
