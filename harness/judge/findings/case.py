"""The case that findings judge: one rollout, or the run as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.judge.numbers.background import Background
from harness.judge.numbers.usual import Usual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.numbers.sending import Sending
    from harness.judge.numbers.summary import Numbers
    from harness.judge.numbers.usual import Unanswered
    from harness.judge.streams.numbers import StreamNumbers
    from harness.judge.timeline.timeline import Timeline
    from harness.model import HealthSample, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that an objective is judged by. Each objective is a function (Case) -> Finding, or None if not applicable."""

    run: RunRecord
    timeline: Timeline
    numbers: Numbers
    hits: AllHits | None = None
    health: Sequence[HealthSample] = ()
    workers: Sequence[int] = ()  # workers that left rows
    measured: Measured | None = None
    background: Background = field(default_factory=Background)
    usual: Usual = field(default_factory=Usual)  # how long good answers take before the trigger
    unanswered: Unanswered | None = None  # hits in flight at the end
    sending: Sending | None = None
    streams: StreamNumbers | None = None  # None if requests were sent
    untied: int = 0  # failed hits during the rollout that are tied to nothing that happened to a pod
