"""What a comparison is drawn from: the rollouts of both sides, laid over each other at their triggers. Pure.

All times are ns from a rollout's own trigger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.comparison.sides import JudgedRun
from harness.judge.comparison.significance.resampling import mean_interval
from harness.judge.picture.aligned import STEP_NS, Aligned, Latencies, together
from harness.judge.verdict.judgement import judge_with_picture
from harness.model import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.comparison.rollouts import OneRollout
    from harness.judge.comparison.sides import Side
    from harness.judge.picture.picture import Picture
    from harness.recording.read import Recording

MOST_BINS = 1000
MOST_MOMENTS = 400  # of one rollout
MOST_DRAWN = 24  # rollouts of a side whose lines are drawn: more are a thicket, and a page of megabytes
PHASES = (Phase.BEFORE, Phase.DURING, Phase.AFTER)
MOMENTS = ("ready", "deleted", "out of endpoints", "exited")


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a pod: a new one became ready, an old one went."""

    what: str  # of MOMENTS
    at_ns: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """One rollout. `good` and `failed` count hits by bin of the overlay; in `known` of them its load was measured.

    `place` is the rollout's among those that its Side shows.
    """

    place: int
    one: OneRollout
    phases: tuple[tuple[Phase, int, int], ...]
    known: tuple[int, int]  # from this bin up to, not including, that one
    good: NDArray[np.int64]
    failed: NDArray[np.int64]
    moments: tuple[Moment, ...]
    left_out: int  # moments beyond MOST_MOMENTS
    latencies: tuple[Latencies, ...]


@dataclass(frozen=True, slots=True)
class DrawnSide:
    """One side. `typical` is the place of the rollout to show in bold: the middle one by requests lost.

    Of more than MOST_DRAWN rollouts, some are drawn, evenly spread over time, and the typical one. `latencies` counts
    the good answers of all of them together, by phase.
    """

    rollouts: tuple[Drawn, ...]
    of: int  # rollouts that could be drawn
    typical: int
    latencies: tuple[Latencies, ...]

    @property
    def bold(self) -> Drawn:
        """The typical rollout."""
        return next(one for one in self.rollouts if one.place == self.typical)


@dataclass(frozen=True, slots=True)
class Overlay:
    """Both sides on one time axis: `count` bins of `width_ns` from `from_ns` on."""

    from_ns: int
    width_ns: int
    count: int
    before: DrawnSide
    after: DrawnSide

    @property
    def sides(self) -> tuple[DrawnSide, DrawnSide]:
        """Both, in order."""
        return self.before, self.after


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of one rollout until both sides are known: a hundred Pictures would not fit into memory."""

    from_ns: int  # the rollout and its surroundings
    to_ns: int
    phases: tuple[tuple[Phase, int, int], ...]
    moments: tuple[Moment, ...]
    left_out: int
    load_to_ns: int  # when the last hit was sent: what ends after it says nothing of the rate
    aligned: Aligned


Key = tuple[str, int, int]  # the run's folder, the rollout's number in it, the wall time of its trigger


def keyed(run: JudgedRun, picture: Picture) -> dict[Key, Seen]:
    """Return what is drawn of a run's rollouts, for those of a Side to find. What was not triggered has none."""
    found: dict[Key, Seen] = {}
    for number, one in enumerate(picture.rollouts or (picture,), 1):
        if one.aligned is not None:
            key = (run.judgement.about.folder, number, run.run.wall_ns + one.timeline.zero_ns)
            found[key] = _seen(one, one.aligned)
    return found


def judged_with_pictures(recording: Recording, block: int = 0) -> tuple[JudgedRun, dict[Key, Seen]]:
    """Judge a recording for a comparison that is drawn, too. Raises RecordingError if it cannot be read."""
    judgement, picture = judge_with_picture(recording)
    run = JudgedRun(recording.run, judgement, tuple(recording.manifests("before")), block)
    return run, keyed(run, picture)


def _seen(picture: Picture, aligned: Aligned) -> Seen:
    zero_ns = picture.timeline.zero_ns
    moments = sorted(_moments(picture), key=lambda moment: moment.at_ns)
    return Seen(
        from_ns=picture.focus.from_ns - zero_ns,
        to_ns=picture.focus.to_ns - zero_ns,
        phases=tuple(
            (part.phase, part.span.from_ns - zero_ns, part.span.to_ns - zero_ns)
            for part in picture.timeline.phases
            if part.phase in PHASES
        ),
        moments=tuple(moments[:MOST_MOMENTS]),
        left_out=max(len(moments) - MOST_MOMENTS, 0),
        load_to_ns=picture.timeline.load.to_ns - zero_ns,
        aligned=aligned,
    )


def overlay(before: Side, after: Side, its: Mapping[Key, Seen], others: Mapping[Key, Seen]) -> Overlay | None:
    """Lay the rollouts of both sides over each other, by what was seen of each; None if a side has none."""
    sides = [_found(side, seen) for side, seen in ((before, its), (after, others))]
    if not all(sides):
        return None
    every = [seen for side in sides for _, _, seen in side]
    from_ns, to_ns = min(seen.from_ns for seen in every), max(seen.to_ns for seen in every)
    width_ns = _width(to_ns - from_ns)
    first = from_ns // width_ns
    count = -(-to_ns // width_ns) - first
    drawn = [_side(side, first, width_ns, count) for side in sides]
    return Overlay(from_ns=first * width_ns, width_ns=width_ns, count=count, before=drawn[0], after=drawn[1])


_Found = tuple[int, "OneRollout", Seen]


def _found(side: Side, known: Mapping[Key, Seen]) -> list[_Found]:
    found = (
        (place, one, known.get((one.run, one.number, one.began_ns)))
        for place, one in enumerate(side.rollouts)
    )
    return [(place, one, seen) for place, one, seen in found if seen is not None]


def _width(length_ns: int) -> int:
    times = 1
    while True:
        for nice in (1, 2, 5):
            if length_ns <= MOST_BINS * STEP_NS * times * nice:
                return STEP_NS * times * nice
        times *= 10


def _side(found: Sequence[_Found], first: int, width_ns: int, count: int) -> DrawnSide:
    order = sorted(found, key=lambda item: (item[1].lost, item[1].failed, item[0]))
    typical = order[len(order) // 2][0]
    chosen = {round(n) for n in np.linspace(0, len(found) - 1, min(MOST_DRAWN, len(found)))}
    pooled = [
        [part for _, _, seen in found for part in seen.aligned.latencies if part.phase is phase]
        for phase in PHASES
    ]
    return DrawnSide(
        rollouts=tuple(
            _drawn(item, first, width_ns, count)
            for n, item in enumerate(found)
            if n in chosen or item[0] == typical
        ),
        of=len(found),
        typical=typical,
        latencies=tuple(together(parts) for parts in pooled if parts),
    )


def _drawn(item: _Found, first: int, width_ns: int, count: int) -> Drawn:
    place, one, seen = item
    aligned = seen.aligned
    steps = width_ns // STEP_NS
    places = (aligned.first + np.arange(len(aligned.good))) // steps - first
    inside = (places >= 0) & (places < count)

    def binned(column: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.zeros(count, dtype=np.int64)
        np.add.at(found, places[inside], column[inside])
        return found

    # Whole bins only: one of which a part was measured would look like a drop of the load.
    begin = -(-aligned.first // steps) - first
    end = min(aligned.first + len(aligned.good) - 1, seen.load_to_ns // STEP_NS) // steps - first
    known = (min(max(begin, 0), count), min(max(end, 0), count))
    return Drawn(
        place=place,
        one=one,
        phases=seen.phases,
        known=known if known[1] > known[0] else (known[0], known[0]),
        good=binned(aligned.good),
        failed=binned(aligned.failed),
        moments=seen.moments,
        left_out=seen.left_out,
        latencies=aligned.latencies,
    )


def _moments(picture: Picture) -> Iterator[Moment]:
    zero_ns = picture.timeline.zero_ns
    for pod in picture.timeline.pods:
        told = (
            (
                ("deleted", pod.deleted_ns),
                ("out of endpoints", pod.out_of_endpoints_ns),
                ("exited", pod.exited_ns),
            )
            if pod.old
            else (("ready", pod.ready_ns),)
        )
        for what, t_ns in told:
            if t_ns is not None and t_ns >= zero_ns:
                yield Moment(what, t_ns - zero_ns)


@dataclass(frozen=True, slots=True)
class Mean:
    """What a side lost per rollout; `low` to `high` is its 95 % interval, None with too few to tell, or all alike."""

    mean: float
    low: float | None = None
    high: float | None = None


def mean_lost(side: Side, *, by_run: bool) -> Mean | None:
    """Return the mean of the requests lost per rollout and its interval by the bootstrap over rollouts.

    `by_run`: over whole runs, whose rollouts may be alike. None for a side without a rollout that counts.
    """
    if not side.rollouts:
        return None
    clusters: dict[str, list[float]] = {}
    for place, one in enumerate(side.rollouts):
        clusters.setdefault(one.run if by_run else str(place), []).append(one.lost)
    low, high = mean_interval(tuple(map(tuple, clusters.values()))) or (None, None)
    return Mean(sum(side.lost) / len(side.lost), low, high)
