"""From the rules that fit a failed hit to its label: a cause, a set, or that no pod has a part in it.

What began before any pod was touched (E2), what touches all pods alike (E3), what failed after the workload was
deleted (E4) and what the balancer did by itself (C8) have no window around a moment of a pod. They stand alone where
no rule about pods fits, and beside it where one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.balancers.meaning import Meaning
from harness.judge.causes.connections import connection_keys
from harness.judge.causes.context import FOREVER, LAGS, LONG_NS
from harness.judge.causes.matching import NOT_THE_ROLLOUT, UNEXPLAINED, episodes
from harness.judge.causes.rules import AFTER_STOP, AT_EXIT, RULES
from harness.judge.causes.stops import HEARD_LATE
from harness.judge.numbers.hits import OWN_FAULT, kind_code
from harness.judge.streams.causes import by_balancer
from harness.judge.timeline.ending import killed_at_grace, stop_ns
from harness.judge.wording import at, count
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.causes.context import Context
    from harness.judge.causes.matching import Match
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.streams.limits import Limits
    from harness.judge.timeline.timeline import Timeline

SURE_DRAINED = 2.0  # requests in flight, none of which was cut: by chance in 1 of 7 runs (e^-2)
# Of what is sent to a pod that does not listen any more.
_UNHEARD = tuple(rule for rule in RULES if rule.side == "stop" and rule.id in {"C19", "B6", "B7", "B1", "C1"})
LEAST_EARLY = 3  # failures of one kind before any pod was touched: fewer may be chance
_BEFORE_NS = NS // 4  # what ended so long before a pod was touched has nothing to do with it
_REMOVALS = frozenset({"deleted", "service_deleted"})
_CLOSED = frozenset(
    {Outcome.EOF_BEFORE_RESPONSE, Outcome.RESET_BEFORE_RESPONSE, Outcome.IDLE_CLOSE_RACE, Outcome.WRITE_RESET,
     Outcome.WRITE_BROKEN_PIPE}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beside:
    """What no pod has a part in, for each hit; and of those that only follow from an earlier failure, its row (-1:
    none).
    """

    early: NDArray[np.bool_]
    reloaded: NDArray[np.bool_]
    removed: NDArray[np.bool_]  # after somebody had deleted the workload or its Service
    follows: NDArray[np.int64]


def label(
    lost: Hits,
    found: Match,
    background: NDArray[np.bool_],
    context: Context,
    beside: Beside,
    crossing: Sequence[str],
) -> list[tuple[str, ...]]:
    """Choose among what fits: own faults, then background, then whole-rollout rules, then one of each side.

    `crossing` is what `crossings` returns: of each hit the id of the cause that it may have besides B2, or "".
    """
    best: dict[str, NDArray[np.int64]] = {}
    for (row, _), mask in found.fits.items():
        side = best.setdefault(RULES[row].side, np.full(len(lost), len(RULES), dtype=np.int64))
        np.minimum(side, np.where(mask, row, len(RULES)), out=side)
    columns = {side: rows.tolist() for side, rows in best.items()}
    own = np.isin(lost.kind, [kind_code(name) for name in OWN_FAULT]).tolist()
    meanings = context.meanings.tolist()
    early, reloaded = beside.early.tolist(), (beside.reloaded & (found.pod < 0)).tolist()
    queued = context.queued.tolist()
    follows, removed = beside.follows.tolist(), beside.removed.tolist()
    labels: list[tuple[str, ...]] = []
    for number in range(len(lost)):
        rows = {side: column[number] for side, column in columns.items() if column[number] < len(RULES)}
        if own[number]:
            labels.append(("E1",))
        elif background[number]:
            labels.append((NOT_THE_ROLLOUT,))
        elif removed[number]:
            labels.append(("E4",))
        elif follows[number] >= 0 and labels[follows[number]] != (NOT_THE_ROLLOUT,):
            labels.append(labels[follows[number]])
        elif reloaded[number]:
            labels.append(("C8",))
        else:
            touched = early[number] and found.pod[number] < 0
            labels.append(
                _of_one(
                    rows,
                    meanings[number],
                    crossing[number],
                    early=touched,
                    unknown=context.chain.unknown,
                    queued=queued[number],
                )
            )
    return labels


def cut_by_balancer(
    labels: list[tuple[str, ...]], lost: Hits, found: Match, context: Context, limits: Limits | None
) -> list[tuple[str, ...]]:
    """Put down to the balancer the streams that it cut, whatever rule about pods fits them; background stays."""
    if limits is None:  # requests were sent
        return labels
    cut = by_balancer(lost, found.pod, context.timeline.pods, limits)
    apart = limits.apart(lost).tolist()
    return [
        cut[row] if row in cut and (apart[row] or ids != (NOT_THE_ROLLOUT,)) else ids
        for row, ids in enumerate(labels)
    ]


def _of_one(
    rows: Mapping[str, int], meaning: int, crossing: str, *, early: bool, unknown: bool, queued: bool
) -> tuple[str, ...]:
    """Return what is said of one hit: by the rules about pods, or by what stands beside them."""
    ids = _of_pods(rows, meaning, unknown=unknown, queued=queued)
    if ids == ("B2",) and crossing:
        ids = (crossing, *ids)
    if meaning & Meaning.LIMITED:
        ids = (*ids, "E3")
    elif early and "whole" not in rows:
        ids = (*ids, "E2")
    return ids or (UNEXPLAINED,)


def _of_pods(rows: Mapping[str, int], meaning: int, *, unknown: bool, queued: bool) -> tuple[str, ...]:
    """Return what the rules about pods say of one hit."""
    others = sorted(row for side, row in rows.items() if side != "whole")
    if "capacity" in rows and not meaning & Meaning.NO_ANSWER and len(others) > 1 and not queued:
        # It did not even connect: of a pod that is gone, not of one that is busy, unless all had to wait: a pod whose
        # backlog is full is silent to SYN, too.
        others.remove(rows["capacity"])
    ids = dict.fromkeys(name for row in others for name in (RULES[row].id, RULES[row].also) if name)
    if "whole" not in rows:
        return tuple(ids)
    rule = RULES[rows["whole"]]
    if not (ids and meaning & rule.yields_to):
        return (rule.id,)
    # Where a balancer says the same of no target and of a pod that fails it, a pod that fails it is the likelier one.
    return tuple(ids) if rule.id == "A7" and not unknown else tuple(sorted({*ids, rule.id}))


def crossings(hits: AllHits, lost: Hits, found: Match, context: Context) -> list[str]:
    """Return for each hit that broke at a pod's end the cause that it has if the app drains, else "".

    An app that drains closes its idle connections, and a request that crosses that breaks as one in flight does. So
    where other pods ended with requests in flight and cut none, a request that did not take long may be either.
    """
    names = [""] * len(lost)
    drained: bool | None = None
    for (row, number), fits in found.fits.items():
        if RULES[row].id != "B2" or drained is False:
            continue
        short = fits & (lost.done_ns - lost.begun_ns < LONG_NS)
        if not short.any():
            continue
        drained = (
            _in_flight_and_not_cut(hits, lost, found, context) >= SURE_DRAINED if drained is None else drained
        )
        pod = context.timeline.pods[number]
        rule = next((one for one in _UNHEARD if one.window(pod, context, LAGS[0])), None)
        if drained and rule is not None:
            for place in np.flatnonzero(short).tolist():
                names[place] = rule.id
    return names


def _in_flight_and_not_cut(hits: AllHits, lost: Hits, found: Match, context: Context) -> float:
    """Return how many requests are to be expected in flight at the ends of pods that cut none (Little's law)."""
    cut = set()
    for (row, number), fits in found.fits.items():
        stopped = stop_ns(context.timeline.pods[number])
        early = fits & (lost.begun_ns < stopped) if stopped is not None else fits
        if (RULES[row].id in AT_EXIT and fits.any()) or (RULES[row].id in AFTER_STOP and early.any()):
            cut.add(number)
    words = {word: code for code, word in enumerate(hits.words)}
    ends: list[tuple[int, int]] = []  # a pod's word, and when its end was begun
    for number, pod in enumerate(context.timeline.pods):
        stopped = stop_ns(pod)
        if not pod.old or number in cut or stopped is None or pod.name not in words or killed_at_grace(pod):
            continue
        ends.append((words[pod.name], stopped - HEARD_LATE))
    if not ends:
        return 0.0
    spent = [0] * len(ends)
    first, last = min(until for _, until in ends) - NS, max(until for _, until in ends)
    for piece in hits.pieces("pod", since_ns=first, until_ns=last):
        codes = piece.frame["pod"].cat.codes.to_numpy()
        for number, (code, until) in enumerate(ends):
            lately = piece.good & (piece.begun_ns >= until - NS) & (piece.begun_ns < until)
            rows = np.flatnonzero(lately & (codes == code))
            took = piece.took_ns[rows]
            spent[number] += int((took if piece.weight is None else took * piece.weight[rows]).sum())
    return sum(one / NS for one in spent)


def after_removal(lost: Hits, timeline: Timeline) -> NDArray[np.bool_]:
    """Say which hits ended after somebody had deleted the workload or its Service: no manifest keeps those."""
    moments = [change.at_ns for change in timeline.changes if change.kind in _REMOVALS]
    mask: NDArray[np.bool_] = lost.done_ns >= min(moments, default=FOREVER)
    return mask


def began_early(lost: Hits, background: NDArray[np.bool_], timeline: Timeline) -> NDArray[np.bool_]:
    """Say which hits are of a run of failures of one kind that began before any pod was touched."""
    mask = np.zeros(len(lost), dtype=bool)
    touched = first_touched_ns(timeline)
    if touched is None:
        return mask
    for kind in np.unique(lost.kind[~background]):
        of_kind = (lost.kind == kind) & ~background
        moments = lost.done_ns[of_kind]
        before = moments < touched - _BEFORE_NS
        if int(before.sum()) < LEAST_EARLY:
            continue
        last = episodes(moments)(int(moments[before].max()))
        mask |= of_kind & (lost.done_ns <= last)
    return mask


def first_touched_ns(timeline: Timeline) -> int | None:
    """Return when the first pod was deleted, ended, came into the endpoints or left them, since the trigger; None
    without pods.
    """
    moments = [
        t
        for pod in timeline.pods
        for t in (
            pod.deleted_ns,
            pod.exited_ns,
            pod.gone_ns,
            *(t for stretch in pod.endpoints for t in stretch),
        )
        if t is not None and t >= timeline.zero_ns
    ]
    return min(moments, default=None) if timeline.pods else None


def early_evidence(lost: Hits, mask: NDArray[np.bool_], timeline: Timeline) -> list[str]:
    """Say when it began, and when the first pod was touched."""
    touched = first_touched_ns(timeline)
    if touched is None or not mask.any():
        return []
    began = int(lost.done_ns[mask].min())
    before = int((mask & (lost.done_ns < touched)).sum())
    zero = timeline.zero_ns
    quiet = f"no pod was deleted, ended or came into the endpoints before {at(touched, zero)}"
    return [f"the first failed {at(began, zero)}; {quiet}; {count(before)} failed until then"]


def consequences(lost: Hits, context: Context) -> NDArray[np.int64]:
    """Return for each hit the row of the failure that it follows from, else -1.

    Some balancers end the client's connection after an error that they answered, and do not say so: the next request
    on it is lost too. HAProxy does after a connect timeout.
    """
    follows = np.full(len(lost), -1, dtype=np.int64)
    if context.chain.direct or not context.chain.families[0].closes_after_error:
        return follows
    carried = lost.frame["conn_hits"].to_numpy().astype(np.int64)
    closed = np.isin(lost.kind, [kind_code(outcome.value) for outcome in _CLOSED]) & (carried > 0)
    if not closed.any():
        return follows
    keys = connection_keys(lost.frame)
    failed = (lost.kind >= 500) & (lost.kind < 600)
    rows = {pair: row for row, pair in _pairs(keys, carried, np.flatnonzero(failed))}
    for row, (key, number) in _pairs(keys, carried, np.flatnonzero(closed)):
        earlier = rows.get((key, number - 1), -1)
        if 0 <= earlier < row:
            follows[row] = earlier
    return follows


def _pairs(
    keys: NDArray[np.int64], carried: NDArray[np.int64], rows: NDArray[np.int64]
) -> list[tuple[int, tuple[int, int]]]:
    pairs: Sequence[tuple[int, int]] = list(zip(keys[rows].tolist(), carried[rows].tolist(), strict=True))
    return list(zip(rows.tolist(), pairs, strict=True))
