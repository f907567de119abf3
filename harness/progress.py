"""Shows a run's progress: a live line on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from harness.clock import NS
from harness.escaping import for_line

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.live import Live

    from harness.run.conductor import Snapshot

PLAIN_EVERY_NS = 5 * NS
RATE_OVER_NS = NS


class LiveLine:
    """Shows a run on a stream, standard error as a rule."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._rates: list[tuple[int, int]] = []
        self._next_plain_ns = 0
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
        """Print one line, above the live one if there is one. A closed terminal does not end a run."""
        line = for_line(line)
        with suppress(OSError):
            if self._live:
                self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()

    def show(self, now: Snapshot) -> None:
        """Show a snapshot: redrawn on a terminal, every few seconds elsewhere."""
        self.shown += 1
        line = describe(now, self._rate(now))
        if self._stream.isatty():
            with suppress(OSError):  # a terminal that was closed
                self._draw(line)
        elif now.elapsed_ns >= self._next_plain_ns:
            self._next_plain_ns = now.elapsed_ns - now.elapsed_ns % PLAIN_EVERY_NS + PLAIN_EVERY_NS
            self.say(line)

    def _draw(self, line: str) -> None:
        from rich.console import Console  # noqa: PLC0415  keeps `--help` light
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        if self._live is None:
            console = Console(file=self._stream)
            self._live = Live(console=console, refresh_per_second=5, transient=True)
            self._live.start()
        self._live.update(Text(for_line(line), no_wrap=True, overflow="ellipsis"))

    def _rate(self, now: Snapshot) -> float:
        self._rates.append((now.elapsed_ns, now.counts.completed))
        while len(self._rates) > 2 and now.elapsed_ns - self._rates[1][0] >= RATE_OVER_NS:
            self._rates.pop(0)
        (t0, n0), (t1, n1) = self._rates[0], self._rates[-1]
        return (n1 - n0) * NS / (t1 - t0) if t1 > t0 else 0.0


def describe(now: Snapshot, rate: float) -> str:
    """Return a snapshot as one line."""
    seconds = now.elapsed_ns // NS
    failed = f"{now.counts.failed:,} failed"
    codes = [f"{status}: {n:,}" for status, n in sorted(now.counts.statuses.items()) if status >= 400]
    codes += [
        f"{name}: {n:,}" for name, n in sorted(now.counts.outcomes.items()) if name != "cut_at_deadline"
    ]
    if codes and now.counts.failed:
        failed += f" ({', '.join(codes)})"
    line = f"{seconds // 60:02d}:{seconds % 60:02d}  {now.phase:<6}  {rate:7,.0f} req/s  {failed}"
    if now.progress:
        line += f"  pods: {now.progress.ready_pods} ready, {now.progress.old_pods} old, {now.progress.new_pods} new"
    return line
