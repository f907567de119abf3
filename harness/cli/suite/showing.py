"""What is printed of a suite while it goes on: a line when a run begins or ends, and now and then what runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.cli.root import warn
from harness.report.suite.words import length, name_of, told

if TYPE_CHECKING:
    from harness.recording.series.suite import Entry

EVERY_S = 60.0


@dataclass(slots=True)
class Lines:
    """Prints on standard error."""

    of: int  # scenarios
    done: int = 0
    _said_s: float = field(default_factory=time.monotonic)

    def began(self, entry: Entry) -> None:
        """Say that a run begins."""
        again = f", try {entry.tries}" if entry.tries > 1 else ""
        self.say(f"{entry.name}: begins, about {length(entry.expected_s)}{again}")

    def ended(self, entry: Entry) -> None:
        """Say what became of a run."""
        self.done += 1
        took = f", {length(entry.took_s)}" if entry.took_s is not None and entry.run else ""
        self.say(f"[{self.done}/{self.of}] {entry.name}: {name_of(entry.result)}{took}: {told(entry)}")

    def say(self, line: str) -> None:
        """Print one line with the time of day, UTC."""
        self._said_s = time.monotonic()
        warn(f"{datetime.now(UTC):%H:%M:%S}  {line}")

    def goes_on(self, running: list[tuple[Entry, float]]) -> None:
        """Say what runs, if nothing else was said for a while."""
        if running and time.monotonic() - self._said_s >= EVERY_S:
            each = (
                f"{entry.name} ({length(now_s)} of about {length(entry.expected_s)})"
                for entry, now_s in running
            )
            self.say(f"running: {', '.join(each)}; {self.of - self.done - len(running)} to go")
