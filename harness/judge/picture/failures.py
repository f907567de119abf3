"""Every failed hit as a row, in columns: when, how, of which cause, at which pod, and what its answer said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.judge.causes.matching import known_pods
from harness.judge.causes.rules import RULES
from harness.judge.numbers.hits import kind_name, ranked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.causes.causes import Explained
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline
    from harness.recording.answers import Answer
    from harness.recording.upstreams import Entry

MOST = 100_000
UNKNOWN = -1  # in a column of places: nothing is known, or there is nothing

Ids = tuple[str, ...]


def _none() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Failures:
    """Columns of equal length, one entry per failed hit, in the order in which they ended; and what the places mean.

    `total` failed; where that is more than there are rows, `left_out` counts the others by kind. Times are ns on the
    run's clock; `began_ns` is when a hit was due. `carried` counts the requests that its connection had carried before:
    0 is a new connection. `conn` is -1 where none was opened.
    """

    total: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    done_ns: NDArray[np.int64] = field(default_factory=_none)
    began_ns: NDArray[np.int64] = field(default_factory=_none)
    kind: NDArray[np.int64] = field(default_factory=_none)  # place in `kinds`
    cause: NDArray[np.int64] = field(default_factory=_none)  # place in `causes`; UNKNOWN before the trigger
    pod: NDArray[np.int64] = field(default_factory=_none)  # place in `pods`, where it is known
    near: NDArray[np.int64] = field(
        default_factory=_none
    )  # place in `nearby`: pods whose moments fit its cause
    worker: NDArray[np.int64] = field(default_factory=_none)
    seq: NDArray[np.int64] = field(default_factory=_none)
    conn: NDArray[np.int64] = field(default_factory=_none)
    carried: NDArray[np.int64] = field(default_factory=_none)
    target: NDArray[np.int64] = field(default_factory=_none)  # place among the run's targets
    peer: NDArray[np.int64] = field(default_factory=_none)  # place in `peers`
    answer: NDArray[np.int64] = field(default_factory=_none)  # place in `answers`, answers.NONE or OTHER
    logged: NDArray[np.int64] = field(default_factory=_none)  # place in `log`
    kinds: tuple[str, ...] = ()  # "502", "eof_before_response"
    causes: tuple[Ids, ...] = ()  # the ids of each, as a Cause has them
    pods: tuple[str, ...] = ()  # names: those of the timeline in its order, then others that answers named
    uids: tuple[str, ...] = ()  # of `pods`; "" for those others
    nearby: tuple[tuple[int, ...], ...] = ()  # sets of places in `pods`
    peers: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    log: tuple[Entry, ...] = ()  # what the balancer's access log said

    def __len__(self) -> int:
        return len(self.done_ns)

    def pods_of(self, ids: Ids) -> frozenset[int]:
        """Return the places of the pods that failures of a cause are known to belong to, or fit by time."""
        if ids not in self.causes:
            return frozenset()
        mine = self.cause == self.causes.index(ids)
        near = np.unique(self.near[mine & (self.near >= 0)]).tolist()
        known = np.unique(self.pod[mine & (self.pod >= 0)]).tolist()
        return frozenset(known).union(*(self.nearby[place] for place in near))


_PLACES = ("kind", "cause", "pod", "near", "peer", "answer", "logged")
_PLAIN = ("done_ns", "began_ns", "worker", "seq", "conn", "carried", "target")


def failures(
    hits: AllHits,
    timeline: Timeline,
    explained: Explained,
    answers: Sequence[Answer],
    log: Mapping[tuple[int, int], Entry],
    most: int = MOST,
) -> Failures:
    """Return the failed hits, at most `most` of them. `hits` must have the column seq, `explained` be of these hits."""
    failed = hits.failed
    since = np.flatnonzero(failed.done_ns >= timeline.zero_ns) if explained.labels else _none()
    codes: dict[Ids, int] = {}
    cause = np.full(len(failed), UNKNOWN, dtype=np.int64)
    cause[since] = [codes.setdefault(ids, len(codes)) for ids in explained.labels]
    kept = spread_out(failed.done_ns, cause * 4096 + failed.kind, most)
    left = np.ones(len(failed), dtype=bool)
    left[kept] = False
    rows, cause = failed.where(~left), cause[~left]
    pods = known_pods(rows, timeline.pods, None)
    near = np.full(len(rows), UNKNOWN, dtype=np.int64)
    nearby: tuple[tuple[int, ...], ...] = ()
    if explained.match is not None:
        place = np.full(len(failed), UNKNOWN, dtype=np.int64)
        place[since] = np.arange(len(since))
        place = place[~left]
        matched = place >= 0
        pods[matched] = explained.match.pod[place[matched]]
        near[matched], nearby = _nearby(
            explained.match.fits, place[matched], cause[matched], tuple(codes), timeline.pods
        )
    pods, names = _named(rows, pods, timeline.pods)
    kinds, kind = np.unique(rows.kind, return_inverse=True)
    peers = rows.frame["peer"].cat
    logged, said = _logged(rows, log)
    told = rows.frame["answer"].to_numpy().astype(np.int64)
    used = np.unique(told[told >= 0])
    order = np.argsort(rows.done_ns, kind="stable")

    def column(name: str) -> NDArray[np.int64]:
        return np.asarray(rows.frame[name].to_numpy().astype(np.int64)[order])

    return Failures(
        total=len(failed),
        left_out=failed.counts(left),
        done_ns=rows.done_ns[order],
        began_ns=rows.begun_ns[order],
        kind=kind.astype(np.int64).reshape(-1)[order],
        cause=cause[order],
        pod=pods[order],
        near=near[order],
        worker=column("worker"),
        seq=column("seq"),
        conn=column("conn"),
        carried=column("conn_hits"),
        target=column("target"),
        peer=peers.codes.to_numpy().astype(np.int64)[order],
        answer=np.where(told >= 0, np.searchsorted(used, told), told)[order],
        logged=logged[order],
        kinds=tuple(kind_name(int(code)) for code in kinds),
        causes=tuple(codes),
        pods=names,
        uids=tuple(pod.uid for pod in timeline.pods) + ("",) * (len(names) - len(timeline.pods)),
        nearby=nearby,
        peers=tuple(str(word) for word in peers.categories),
        answers=tuple(answers[int(number)] for number in used),
        log=said,
    )


def spread_out(done_ns: NDArray[np.int64], groups: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most `most` rows: all of small groups, and of each large one as many, spread evenly over its time."""
    if len(done_ns) <= most:
        return np.arange(len(done_ns))
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    quota, rest = 0, most
    for number, size in enumerate(np.sort(sizes)):
        quota = rest // (len(sizes) - number)
        if size > quota:
            break
        rest -= int(size)
    order = np.lexsort((done_ns, group))
    found, begin = [], 0
    for size in sizes:
        mine = order[begin : begin + size]
        begin += size
        found.append(
            mine
            if size <= quota
            else mine[np.linspace(0, size - 1, quota).astype(np.int64)]
            if quota
            else mine[:0]
        )
    return np.sort(np.concatenate(found))


def _nearby(
    fits: Mapping[tuple[int, int], NDArray[np.bool_]],
    place: NDArray[np.int64],
    cause: NDArray[np.int64],
    causes: Sequence[Ids],
    pods: Sequence[Lifeline],
) -> tuple[NDArray[np.int64], tuple[tuple[int, ...], ...]]:
    """Return for each row which set of pods it is of: those whose windows, by the rules of its cause, it lies in.

    Rules about the whole rollout name any pod, and so none.
    """
    bits = np.zeros((len(place), -(-len(pods) // 8) or 1), dtype=np.uint8)
    for (row, number), mask in fits.items():
        if RULES[row].of_any_pod:
            continue
        of = [code for code, ids in enumerate(causes) if RULES[row].id in ids]
        mine = mask[place] & np.isin(cause, of)
        bits[mine, number // 8] |= np.uint8(128 >> number % 8)
    sets, which = np.unique(bits, axis=0, return_inverse=True)
    members = [tuple(int(n) for n in np.flatnonzero(np.unpackbits(row))) for row in sets]
    empty = np.array([not one for one in members], dtype=bool)
    which = which.reshape(-1)
    return np.where(empty[which], UNKNOWN, which) if len(which) else which, tuple(members)


def _named(
    rows: Hits, known: NDArray[np.int64], pods: Sequence[Lifeline]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Add the pods that answers named and the watch did not see, another workload's for one."""
    names = [pod.name for pod in pods]
    column = rows.frame["pod"].cat
    codes = column.codes.to_numpy()
    found = known.copy()
    for code in np.unique(codes[(codes >= 0) & (known < 0)]):
        word = str(column.categories[code])
        if word:
            found[(codes == code) & (known < 0)] = len(names)
            names.append(word)
    return found, tuple(names)


def _logged(rows: Hits, log: Mapping[tuple[int, int], Entry]) -> tuple[NDArray[np.int64], tuple[Entry, ...]]:
    found = np.full(len(rows), UNKNOWN, dtype=np.int64)
    if not log:
        return found, ()
    said: dict[Entry, int] = {}
    keys = zip(rows.frame["worker"].tolist(), rows.frame["seq"].tolist(), strict=True)
    for number, key in enumerate(keys):
        entry = log.get(key)
        if entry is not None:
            found[number] = said.setdefault(entry, len(said))
    return found, tuple(said)


def together(parts: Sequence[Failures], pods: Sequence[Lifeline], most: int = MOST) -> Failures:
    """Merge the failures of several rollouts. `pods` are those of the whole timeline; their uids join them."""
    if len(parts) == 1:
        return parts[0]
    kinds, causes, peers, answers, log = (dict[str, int](), dict[Ids, int](), dict[str, int](),
                                          dict["Answer", int](), dict["Entry", int]())  # fmt: skip
    names = [pod.name for pod in pods]
    by_uid = {pod.uid: number for number, pod in enumerate(pods)}
    others: dict[str, int] = {}
    nearby: dict[tuple[int, ...], int] = {}
    columns: dict[str, list[NDArray[np.int64]]] = {name: [] for name in (*_PLAIN, *_PLACES)}
    for part in parts:
        places = [
            by_uid[uid] if uid in by_uid else others.setdefault(name, len(names) + len(others))
            for name, uid in zip(part.pods, part.uids, strict=True)
        ]
        sets = [tuple(sorted(places[n] for n in members)) for members in part.nearby]
        for name in _PLAIN:
            columns[name].append(getattr(part, name))
        for name, known in (
            ("kind", [kinds.setdefault(one, len(kinds)) for one in part.kinds]),
            ("cause", [causes.setdefault(one, len(causes)) for one in part.causes]),
            ("pod", places),
            ("near", [nearby.setdefault(one, len(nearby)) for one in sets]),
            ("peer", [peers.setdefault(one, len(peers)) for one in part.peers]),
            ("answer", [answers.setdefault(one, len(answers)) for one in part.answers]),
            ("logged", [log.setdefault(one, len(log)) for one in part.log]),
        ):
            columns[name].append(_moved(getattr(part, name), known))
    whole: dict[str, Any] = {name: np.concatenate(found) for name, found in columns.items()}
    kept = spread_out(whole["done_ns"], whole["cause"] * 4096 + whole["kind"], most)
    order = kept[np.argsort(whole["done_ns"][kept], kind="stable")]
    left = np.ones(len(whole["done_ns"]), dtype=bool)
    left[kept] = False
    words = tuple(kinds)
    left_out: dict[str, int] = {}
    counted: Iterable[tuple[str, int]] = [pair for part in parts for pair in part.left_out.items()]
    for name, n in [*counted, *((words[int(code)], 1) for code in whole["kind"][left])]:
        left_out[name] = left_out.get(name, 0) + n
    merged = Failures(
        total=sum(part.total for part in parts),
        left_out=ranked(left_out),
        kinds=words,
        causes=tuple(causes),
        pods=(*names, *others),
        uids=(*(pod.uid for pod in pods), *("" for _ in others)),
        nearby=tuple(nearby),
        peers=tuple(peers),
        answers=tuple(answers),
        log=tuple(log),
    )
    return replace(merged, **{name: column[order] for name, column in whole.items()})


def _moved(column: NDArray[np.int64], places: Sequence[int]) -> NDArray[np.int64]:
    """Translate places; what is below zero stays as it is."""
    table = np.array([*places, 0], dtype=np.int64)
    return np.where(column >= 0, table[np.maximum(column, 0)], column)
