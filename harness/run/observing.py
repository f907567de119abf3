"""What there is to see of a run while it goes on, and who sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.cluster.rollout.podnews import PodNews
    from harness.cluster.rollout.progress import Progress
    from harness.model import FirstFailure, LiveCounts, Phase
    from harness.run.steps import Leg, Step


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment: `elapsed_ns` on the run's clock, as all other times in it."""

    elapsed_ns: int
    phase: Phase
    counts: LiveCounts
    progress: Progress | None = None
    step: Step | None = None
    course: tuple[Leg, ...] = ()
    failures: tuple[FirstFailure, ...] = ()  # all kinds so far, the first of each
    news: tuple[PodNews, ...] = ()  # since the last snapshot
    rollout: int = 1  # which one, from 1,
    rollouts: int = 1  # of how many
    held: bool = False  # streams, instead of requests


@dataclass(frozen=True, slots=True)
class RunObserver:
    """Who observes a run: takes its lines, is shown where it stands, and can interrupt it."""

    say: Callable[[str], None]
    show: Callable[[Snapshot], None]
    interrupted: Callable[[], bool]
    command: Sequence[str] = ()
    kept: Callable[[Path], None] = lambda _: (
        None
    )  # called with the recording's folder when a run is left midway
    began: Callable[[Path], None] = lambda _: None  # called with that folder once it is there
