"""Who answered, and who asked: the hits of each pod that answers named, and of each worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.numbers.hits import by_code, tally
from harness.model import POD_NAMES

if TYPE_CHECKING:
    from harness.judge.numbers.hits import Hits


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


def by_pod(hits: Hits) -> tuple[int, tuple[PodTraffic, ...]]:
    """Return how many responses named their pod, and what they tell of each, by name."""
    column = hits.frame["pod"].cat
    codes = column.codes.to_numpy()
    good = dict(by_code(codes, hits.good))
    found = []
    for code, count in tally(codes[codes >= 0]):
        name, rows = str(column.categories[code]), good.get(code)
        if name:
            done = hits.done_ns[rows] if rows is not None else None
            found.append(
                PodTraffic(
                    pod=name,
                    hits=count,
                    first_good_ns=int(done.min()) if done is not None else None,
                    last_good_ns=int(done.max()) if done is not None else None,
                    last_good_begun_ns=int(hits.begun_ns[rows].max()) if rows is not None else None,
                    good=len(rows) if rows is not None else 0,
                )
            )
    return sum(pod.hits for pod in found), tuple(sorted(found, key=lambda pod: pod.pod))


def by_target(hits: Hits, pods: frozenset[str]) -> tuple[Reach, ...]:
    """Return how far each target that gave good answers led to these pods."""
    column = hits.frame["pod"].cat
    ours = [code for code, name in enumerate(column.categories) if name in pods]
    named = np.isin(column.codes.to_numpy(), ours)
    target = hits.frame["target"].to_numpy()
    by_us = dict(tally(target[hits.good & named]))
    return tuple(Reach(code, n, by_us.get(code, 0)) for code, n in tally(target[hits.good]))


def by_worker(hits: Hits) -> tuple[WorkerRows, ...]:
    """Return what each worker that wrote any hit has left."""
    column = hits.frame["worker"].to_numpy()
    return tuple(
        WorkerRows(int(worker), int((column == worker).sum()), int(hits.done_ns[column == worker].max()))
        for worker in np.unique(column)
    )


def notes(hits: Hits) -> tuple[str, ...]:
    """Tell of a header that is taken for pod names and has more values than there are pods."""
    names = sum(bool(name) for name in hits.frame["pod"].cat.categories)
    if names < POD_NAMES:
        return ()
    note = (
        f"the header that names the pod had {names:,} values and more, of which each worker keeps {POD_NAMES:,}: "
        "if these are not names of pods, give the right header with --pod-header"
    )
    return (note,)
