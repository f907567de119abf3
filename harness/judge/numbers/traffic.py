"""Who answered, and who asked: the hits of each pod that answers named, and of each worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.numbers.hits import by_code, nonzero
from harness.judge.numbers.piecewise.bins import added
from harness.model import POD_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.numbers.hits import Hits

_NEVER_YET = 1 << 62


@dataclass(frozen=True, slots=True)
class PodTraffic:
    """What the answers that named a pod tell of it."""

    pod: str
    hits: int
    first_good_ns: int | None
    last_good_ns: int | None  # end of the last good response
    last_good_begun_ns: int | None
    good: int = 0  # of these hits


@dataclass(frozen=True, slots=True)
class Reach:
    """How many good answers one target gave, and how many of them named a pod of the workload."""

    target: int
    good: int
    named: int


@dataclass(frozen=True, slots=True)
class WorkerRows:
    """What one worker has left on disk: how many hits, and when the last of them ended."""

    worker: int
    hits: int
    last_ns: int


class Pods:
    """What is counted of the pods that answers named, and of the targets, piece by piece. `words` are all those
    names, `ours` those of the workload's pods.
    """

    def __init__(self, words: Sequence[str], ours: frozenset[str]) -> None:
        self._words = words
        self._ours = np.array([*(word in ours for word in words), False])
        size = len(words) + 1  # the last is no name at all
        self._hits, self._good = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self._first = np.full(size, _NEVER_YET, dtype=np.int64)
        self._last, self._begun = (np.full(size, -_NEVER_YET, dtype=np.int64) for _ in range(2))
        self._by_target, self._by_us = (np.zeros(0, dtype=np.int64) for _ in range(2))  # good ones, by target

    def add(self, hits: Hits) -> None:
        """Count a piece."""
        codes = hits.frame["pod"].cat.codes.to_numpy()
        size = len(self._words) + 1
        codes = np.where(codes < 0, size - 1, codes).astype(np.int64)
        good = hits.good
        self._hits += hits.tally(codes, np.ones(len(hits), dtype=bool), size)
        self._good += hits.tally(codes, good, size)
        target = hits.frame["target"].to_numpy()
        self._by_target = added(self._by_target, hits.tally(target, good))
        self._by_us = added(self._by_us, hits.tally(target, good & self._ours[codes]))
        for code, rows in by_code(codes, good):
            done = hits.done_ns[rows]
            self._first[code] = min(self._first[code], done.min())
            self._last[code] = max(self._last[code], done.max())
            self._begun[code] = max(self._begun[code], hits.begun_ns[rows].max())

    def traffic(self) -> tuple[int, tuple[PodTraffic, ...]]:
        """Return how many responses named their pod, and what they tell of each, by name."""
        found = []
        for code, name in enumerate(self._words):
            if name and self._hits[code]:
                good = int(self._good[code])
                found.append(
                    PodTraffic(
                        pod=name,
                        hits=int(self._hits[code]),
                        first_good_ns=int(self._first[code]) if good else None,
                        last_good_ns=int(self._last[code]) if good else None,
                        last_good_begun_ns=int(self._begun[code]) if good else None,
                        good=good,
                    )
                )
        return sum(pod.hits for pod in found), tuple(sorted(found, key=lambda pod: pod.pod))

    def reach(self) -> tuple[Reach, ...]:
        """Return how far each target that gave good answers led to our pods."""
        by_us = dict(nonzero(self._by_us))
        return tuple(Reach(target, good, by_us.get(target, 0)) for target, good in nonzero(self._by_target))


class Workers:
    """What each worker that wrote any hit has left, piece by piece."""

    def __init__(self) -> None:
        self._found: dict[int, WorkerRows] = {}

    def add(self, hits: Hits) -> None:
        """Count a piece, in which the rows of a worker stand together."""
        column = hits.frame["worker"].to_numpy()
        starts = np.flatnonzero(np.diff(column.astype(np.int64), prepend=-1))
        if not len(starts):
            return
        weights = np.ones(len(column), dtype=np.int64) if hits.weight is None else hits.weight
        counts, last = np.add.reduceat(weights, starts), np.maximum.reduceat(hits.done_ns, starts)
        for worker, count, last_ns in zip(
            column[starts].tolist(), counts.tolist(), last.tolist(), strict=True
        ):
            known = self._found.get(worker, WorkerRows(worker, 0, last_ns))
            self._found[worker] = WorkerRows(worker, known.hits + count, max(known.last_ns, last_ns))

    def rows(self) -> tuple[WorkerRows, ...]:
        """Return them by number."""
        return tuple(self._found[worker] for worker in sorted(self._found))


def notes(words: Sequence[str]) -> tuple[str, ...]:
    """Tell of a header that is taken for pod names and has more values than there are pods. `words`: its values."""
    names = sum(map(bool, words))
    if names < POD_NAMES:
        return ()
    note = (
        f"the header that names the pod had {names:,} values and more, of which each worker keeps {POD_NAMES:,}: "
        "if these are not names of pods, give the right header with --pod-header"
    )
    return (note,)
