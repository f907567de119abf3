"""All hits of a run, a piece at a time: those that went well are read again for each question that is asked of them.

What went well is most of a run, and the judge needs counts, extremes and moments of it, never the rows themselves. So
good hits are held only where they all fit into one piece; a longer run is read anew, stretch by stretch and only the
columns asked for. What failed, or was cut at the end, is held as rows. A run that fits is a run of one piece: there
is no other way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from harness.judge.numbers.hits import COLUMNS, Hits, classify
from harness.model import NEVER
from harness.recording.bytime.reading import ROW
from harness.recording.bytime.stretches import Stretch, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.recording.read import Recording

_NOTHING = Stretch(NEVER - 1, NEVER - 1, 0, 0)
_ALWAYS = ("due_ns", "done_ns", "status", "outcome")  # a hit cannot be classified without


@dataclass(frozen=True)
class AllHits:
    """The hits of a run, or of one rollout. `lost` are those that did not go well: rows with all columns, in order.

    `words` are the pods that answers named. `longest_ns` is the longest that any hit took.
    """

    lost: Hits
    words: tuple[str, ...]
    rows: int = 0
    last_ns: int = NEVER  # when the last one ended
    longest_ns: int = 0
    _stretches: tuple[Stretch, ...] = ()
    _read: Callable[[Stretch, Sequence[str]], Hits] | None = None
    _held: Hits | None = None
    _changes: tuple[Callable[[Hits], Hits], ...] = field(default=())

    @classmethod
    def of(cls, recording: Recording, columns: Sequence[str] = COLUMNS) -> Self:
        """Look through a recording. `columns` are those of the lost ones, and the only ones that pieces can have.

        Raises RecordingError if it cannot be read.
        """
        more = ("stands_for",) if recording.weighted() else ()

        def read(stretch: Stretch, names: Sequence[str]) -> Hits:
            return classify(recording.hits((*names, *more), stretch), recording.run)

        stretches = recording.stretches()
        if recording.run.stream:  # what comes on a stream began with its handshake, however long ago
            stretches = whole(stretches)
        if len(stretches) <= 1:
            return cls.held(read(stretches[0] if stretches else _NOTHING, columns), recording.words("pod"))
        rows, last_ns, longest_ns = 0, NEVER, 0
        lost = []
        for stretch in stretches:
            hits = read(stretch, _ALWAYS)
            if not len(hits):
                continue
            rows, last_ns = rows + len(hits), max(last_ns, int(hits.done_ns.max()))
            longest_ns = max(longest_ns, int(hits.took_ns.max()))
            if not hits.good.all():
                every = read(stretch, (*columns, ROW))
                lost.append(every.where(~every.good))
        found = _joined(lost) if lost else read(stretches[0], columns).at(np.zeros(0, dtype=np.int64))
        return cls(found, recording.words("pod"), rows, last_ns, longest_ns, stretches, read)

    @classmethod
    def held(cls, hits: Hits, words: tuple[str, ...] | None = None) -> Self:
        """Make a run of one piece."""
        known = tuple(map(str, hits.frame["pod"].cat.categories)) if words is None else words
        last_ns = int(hits.done_ns.max()) if len(hits) else NEVER
        longest_ns = int(hits.took_ns.max(initial=0))
        return cls(hits.where(~hits.good), known, len(hits), last_ns, longest_ns, _held=hits)

    @cached_property
    def failed(self) -> Hits:
        """The hits that failed."""
        return self.lost.where(self.lost.failed)

    @cached_property
    def cut(self) -> Hits:
        """The hits that were still out when the load was over."""
        return self.lost.where(self.lost.cut)

    def pieces(
        self, *columns: str, since_ns: int | None = None, until_ns: int | None = None
    ) -> Iterator[Hits]:
        """Yield all hits in pieces that follow each other in time; their frames have `columns` at least, and worker.

        All hits that ended at one moment are in one piece. Those of one worker stand together, and in their order.
        Pieces are left out in which every hit ended and was due before `since_ns`, or both after `until_ns`.
        """
        if self._held is not None or self._read is None:
            yield self._changed(self._held if self._held is not None else self.lost)
            return
        for one in self._stretches:
            early = since_ns is not None and one.to_ns <= since_ns and one.last_due_ns < since_ns
            late = until_ns is not None and one.from_ns > until_ns and one.first_due_ns > until_ns
            if not early and not late:
                hits = self._read(one, tuple(dict.fromkeys((*_ALWAYS, *columns))))
                if len(hits):
                    yield self._changed(hits)

    def changed(self, change: Callable[[Hits], Hits]) -> AllHits:
        """Return these hits with a change to each row, of which only the names of pods may depend on others."""
        changed = change(self.lost)
        words = tuple(map(str, changed.frame["pod"].cat.categories))
        if self._held is not None:
            return replace(self, lost=changed, words=words, _held=change(self._held))
        return replace(self, lost=changed, words=words, _changes=(*self._changes, change))

    def _changed(self, hits: Hits) -> Hits:
        for change in self._changes:
            hits = change(hits)
        return hits


def _joined(parts: Sequence[Hits]) -> Hits:
    """Put rows together, in the order that they have in the recording."""
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    weights = [part.weight for part in parts if part.weight is not None]
    whole = Hits(
        frame=frame.drop(columns=ROW),
        begun_ns=np.concatenate([part.begun_ns for part in parts]),
        done_ns=np.concatenate([part.done_ns for part in parts]),
        outcome=np.concatenate([part.outcome for part in parts]),
        good=np.concatenate([part.good for part in parts]),
        failed=np.concatenate([part.failed for part in parts]),
        cut=np.concatenate([part.cut for part in parts]),
        weight=np.concatenate(weights) if weights else None,
    )
    return whole.at(np.argsort(frame[ROW].to_numpy(), kind="stable"))
