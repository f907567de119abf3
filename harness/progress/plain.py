"""Plain lines for whoever reads a log: one per 10 s, and one per event. Decides what to say, prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.model import NEVER
from harness.progress import words

if TYPE_CHECKING:
    from harness.progress.history import History
    from harness.run.observing import Snapshot

EVERY_NS = 10 * NS


@dataclass(slots=True)
class Announced:
    """Which kinds of failures have been announced, each once."""

    _kinds: set[str] = field(default_factory=set)

    def new(self, now: Snapshot) -> list[str]:
        """Return a line for each kind of failure that a snapshot is the first to show, in the order of time."""
        lines = []
        for one in sorted(now.failures, key=lambda one: one.t_ns):
            if one.kind not in self._kinds:
                lines.append(
                    f"{words.clock(one.t_ns)}  {words.failure(one, first=not self._kinds, held=now.held)}"
                )
                self._kinds.add(one.kind)
        return lines


@dataclass(slots=True)
class PlainLines:
    """What to print of each snapshot, beside its failures."""

    _step: str = ""
    _next_ns: int = NEVER

    def of(self, now: Snapshot, history: History) -> list[str]:
        """Return the lines of one snapshot: steps that begin, what happened to pods, and every 10 s how it goes."""
        lines = []
        step = now.step.name if now.step else ""
        if step != self._step:
            self._step = step
            lines.append(words.begins(now))
        lines += words.news(now.news)
        if self._next_ns == NEVER:
            self._next_ns = now.elapsed_ns + EVERY_NS
        elif now.elapsed_ns >= self._next_ns:
            self._next_ns = max(self._next_ns + EVERY_NS, now.elapsed_ns)
            lines.append(words.describe(now, history.rate(), history.percentiles(0.5, 0.99)))
        return [f"{words.clock(now.elapsed_ns)}  {line}" for line in lines if line]
