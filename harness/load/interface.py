"""What a run asks of its load, whether the load is sent from here or from many pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream

    from harness.model import FirstFailure, HealthSample, LiveCounts, WorkerClock


class RunningLoad(Protocol):
    """A running load; `generator.Load` says what each of these is."""

    samples: MemoryObjectReceiveStream[HealthSample]
    started_ns: int

    @property
    def backed_off(self) -> int:
        """Waits after failed hits, over all workers."""

    @property
    def error_samples(self) -> dict[str, str]:
        """One raw text for each outcome."""

    @property
    def first_failures(self) -> dict[str, FirstFailure]:
        """By kind: of all workers, the first that is known."""

    @property
    def last_words(self) -> dict[int, str]:
        """The end of what is known of each lost worker."""

    @property
    def counts(self) -> LiveCounts:
        """The latest totals of all workers."""

    @property
    def lost(self) -> tuple[int, ...]:
        """The workers that did not live to the end."""

    @property
    def clocks(self) -> tuple[WorkerClock, ...]:
        """The clocks of workers on other machines, and where these workers are; () if all of them are here."""

    def baseline(self) -> None:
        """End the baseline."""

    def lull(self) -> None:
        """Send one hit per second, over all workers, until `resume`."""

    def resume(self) -> None:
        """End the lull."""

    async def finish(self, drain_ns: int) -> None:
        """Send no new hits, and return when every worker has ended and all rows are here."""
