"""Draws a run on a stream: a live view on a terminal, plain lines elsewhere. What there is to see others decide."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from harness.escaping import for_line
from harness.progress import words
from harness.progress.history import History
from harness.progress.plain import Announced, PlainLines

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.live import Live

    from harness.run.observing import Snapshot

_REDRAWN_EVERY_S = 0.2  # the workers report four times a second


class LiveView:
    """Shows a run on a stream, standard error as a rule. A closed terminal does not end a run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._redraws = can_redraw(self._stream)
        self._live: Live | None = None
        self._history, self._plain, self._announced = History(), PlainLines(), Announced()
        self._latest = ""
        self._drawn_s = float("-inf")
        self._begun_s: float | None = None  # when the run's clock stood at 0, on ours; None before the load
        self.shown = 0  # snapshots so far: a run that shows something has begun

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            with suppress(OSError):
                self._live.stop()

    def say(self, line: str) -> None:
        """Print one line, with the time once the load goes on; above the live view if there is one."""
        if self._begun_s is not None:
            line = f"{words.clock(int((time.monotonic() - self._begun_s) * 1e9))}  {line}"
        self._print(line)

    def show(self, now: Snapshot) -> None:
        """Show a snapshot: redrawn on a terminal, as lines elsewhere."""
        self.shown += 1
        self._begun_s = time.monotonic() - now.elapsed_ns / 1e9
        self._history.take(now)
        for line in self._announced.new(now):
            self._print(line, style="bold red")
        if not self._redraws:
            for line in self._plain.of(now, self._history):
                self._print(line)
            return
        for line in words.news(now.news):
            self._latest = f"{words.clock(now.elapsed_ns)} {line}"
        if time.monotonic() - self._drawn_s >= _REDRAWN_EVERY_S:
            self._drawn_s = time.monotonic()
            with suppress(OSError):
                self._draw(now)

    def _print(self, line: str, style: str = "") -> None:
        line = for_line(line)
        with suppress(OSError):
            if self._live:
                self._live.console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()

    def _draw(self, now: Snapshot) -> None:
        from rich.console import Console, Group  # noqa: PLC0415  a log needs none of it
        from rich.live import Live  # noqa: PLC0415

        from harness.progress import screen  # noqa: PLC0415

        if self._live is None:
            # Drawn only when there is something new, in one write: a thread that redraws by the clock would flicker.
            console = Console(file=self._stream)
            self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
        size = self._live.console.size
        drawn = screen.characters(self._live.console.encoding)
        # One column and one row less: in the last ones some terminals begin a new line, or scroll.
        rows = screen.lines(now, self._history, self._latest, size.width - 1, size.height - 1, drawn)
        self._live.update(Group(*rows), refresh=True)


def can_redraw(stream: TextIO) -> bool:
    """Tell whether lines that were drawn on a stream can be drawn again: a terminal that can, and nobody's log."""
    dumb = os.environ.get("TERM", "").lower() in {"", "dumb", "unknown"}
    return stream.isatty() and not dumb and not os.environ.get("CI")
