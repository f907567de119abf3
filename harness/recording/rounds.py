"""One run of several rollouts, cut into one recording per rollout.

Each part reads like a run that began when the rollout before it had settled: it has the objects as they were then,
the hits that ended from then on, and the run's own clock. Its readers need not know that there are other parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.model import NEVER, OF_A_ROLLOUT, Mark, MarkAt
from harness.recording.read import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from harness.model import ClusterEvent, HealthSample, RolloutFacts, RunRecord, WatchGap
    from harness.recording.bytime.stretches import Stretch
    from harness.recording.upstreams import AccessLog


FOREVER = 1 << 62  # later than every moment of a run


class Part(Recording):
    """The part of a recording about one rollout: what ended, or was seen, from `from_ns` to before `to_ns`.

    A hit that was in flight at the cut and ended before the next trigger belongs to the rollout in which it began.
    Otherwise a request that one rollout left hanging would count in the next one's baseline.
    """

    def __init__(self, whole: Recording, run: RunRecord, span: tuple[int, int], next_ns: int) -> None:
        super().__init__(whole.path, run)
        self._whole = whole
        self._from_ns, self._to_ns = span
        self._next_ns = next_ns  # the trigger after this part's end
        trigger_ns = run.mark(Mark.TRIGGER)
        self._trigger_ns = trigger_ns if trigger_ns != NEVER else self._to_ns

    def hits(self, columns: Sequence[str] | None = None, within: Stretch | None = None) -> pd.DataFrame:
        """Return the hits of this part."""
        wanted = None if columns is None else tuple(dict.fromkeys((*columns, "due_ns", "done_ns")))
        frame = self._whole.hits(wanted, within)
        done, due = frame["done_ns"].to_numpy(), frame["due_ns"].to_numpy()
        earlier = (done < self._trigger_ns) & (due < self._from_ns)
        later = (done >= self._to_ns) & (done < self._next_ns) & (due < self._to_ns)
        inside = (done >= self._from_ns) & (done < self._to_ns) & ~earlier | later
        return frame[inside].reset_index(drop=True)

    def stretches(self) -> tuple[Stretch, ...]:
        """Return the stretches of the run that may have hits of this part."""
        whole = self._whole.stretches()
        found = [one for one in whole if one.to_ns > self._from_ns and one.from_ns < self._next_ns]
        # What ends after this part was due in it.
        return tuple(one for one in found if one.from_ns < self._to_ns or one.first_due_ns < self._to_ns)

    def weighted(self) -> bool:
        """Whether a row may stand for several hits."""
        return self._whole.weighted()

    def words(self, column: str) -> tuple[str, ...]:
        """Return the words of a column of text of the whole run."""
        return self._whole.words(column)

    def events(self) -> list[ClusterEvent]:
        """Return the objects as they were at the beginning of this part, then its events."""
        known: dict[str, ClusterEvent] = {}
        inside = []
        for event in self._whole.events():
            if event.t_ns >= self._from_ns:
                if event.t_ns < self._to_ns:
                    inside.append(event)
            elif event.change == "DELETED":
                known.pop(event.uid, None)
            elif event.kind != "Event":  # earlier Events are not state
                known[event.uid] = replace(event, change="LISTED", t_ns=self._from_ns, missed=False)
        return [*known.values(), *inside]

    def access_log(self) -> AccessLog:
        """Return all that the log says, of the other parts' hits too."""
        return self._whole.access_log()

    def gaps(self) -> list[WatchGap]:
        """Return the gaps of the watch that overlap this part."""
        return [gap for gap in self._whole.gaps() if gap.to_ns > self._from_ns and gap.from_ns < self._to_ns]

    def health(self) -> list[HealthSample]:
        """Return the generator's health in the whole seconds of this part."""
        return [
            sample
            for sample in self._whole.health()
            if sample.t_ns - NS >= self._from_ns and sample.t_ns < self._to_ns
        ]


def parts(whole: Recording) -> tuple[Recording, ...]:
    """Cut a recording into one per rollout, oldest first; a recording of a single rollout is its own only part."""
    run = whole.run
    if not run.earlier:
        return (whole,)
    triggers = [_at(earlier.marks, Mark.TRIGGER) for earlier in run.earlier] + [run.mark(Mark.TRIGGER)]
    triggers = [FOREVER if t_ns == NEVER else t_ns for t_ns in (*triggers[1:], NEVER)]
    found: list[Recording] = []
    from_ns = run.mark(Mark.WARMUP_END)
    for number, earlier in enumerate(run.earlier):
        settled = _at(earlier.marks, Mark.SETTLED)
        mine = (*earlier.marks, MarkAt(Mark.LOAD_END, settled), MarkAt(Mark.DRAIN_END, settled))
        record = replace(
            _of(run, from_ns, mine, earlier.rollout, first=number == 0),
            ended_by="settled",
            state="complete",
            changes=tuple(c for c in run.changes if from_ns <= c.at_ns < settled),
        )
        # The warm-up, with all objects listed before it, belongs to the first.
        found.append(Part(whole, record, (from_ns if number else NEVER, settled), triggers[number]))
        from_ns = settled
    own = tuple(m for m in run.marks if m.mark not in {Mark.LOAD_START, Mark.WARMUP_END})
    late = tuple(c for c in run.changes if c.at_ns >= from_ns)
    last = replace(_of(run, from_ns, own, run.rollout, first=False), changes=late)
    found.append(Part(whole, last, (from_ns, FOREVER), FOREVER))
    return tuple(found)


def _at(marks: tuple[MarkAt, ...], mark: Mark) -> int:
    return next((m.t_ns for m in marks if m.mark is mark), NEVER)


def _of(
    run: RunRecord, from_ns: int, own: tuple[MarkAt, ...], rollout: RolloutFacts | None, *, first: bool
) -> RunRecord:
    begin = (
        tuple(m for m in run.marks if m.mark is Mark.LOAD_START)
        if first
        else (MarkAt(Mark.LOAD_START, from_ns),)
    )
    marks = (*begin, MarkAt(Mark.WARMUP_END, from_ns), *own)
    return replace(
        run,
        marks=tuple(sorted(marks, key=lambda m: m.t_ns)),
        rollout=rollout,
        earlier=(),
        rollouts=1,
        notes=(),
    )


def every_mark(run: RunRecord) -> tuple[MarkAt, ...]:
    """Return the marks of all rollouts of a run, in time order."""
    earlier = (m for part in run.earlier for m in part.marks if m.mark in OF_A_ROLLOUT)
    return tuple(sorted((*earlier, *run.marks), key=lambda m: m.t_ns))
