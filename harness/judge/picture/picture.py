"""All that pictures of a run are drawn from: report.html and timeline.png compute nothing.

Made while the hits are at hand (`judge_with_picture`), and never written into verdict.json: it has a row per failure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.judge.numbers.sending import stalls
from harness.judge.picture.aligned import Aligned, aligned
from harness.judge.picture.buckets import Buckets, buckets, of_streams
from harness.judge.picture.failures import Failures, failures, together
from harness.judge.picture.moments import Burst, Warned, bursts, focus, warnings
from harness.judge.timeline.ending import stop_ns
from harness.judge.timeline.timeline import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from harness.judge.causes.causes import Explained
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.numbers.sending import Stall
    from harness.judge.picture.earlier import Beside
    from harness.judge.timeline.timeline import Timeline
    from harness.model import ClusterEvent, HealthSample
    from harness.recording.answers import Answer
    from harness.recording.upstreams import AccessLog


@dataclass(frozen=True, slots=True)
class Picture:
    """One run, or one rollout of several. Times are ns on the run's clock; people see them from `timeline.zero_ns`.

    `timeline` is the Judgement's own: phases, control window, pods, gaps of the watch, other people's changes.
    `whole` is the run with its warm-up. `focus` is what to show first: a rollout and its surroundings, of several the
    one that lost most. `focuses` has one for each rollout, `rollouts` their own pictures where there are several.
    """

    timeline: Timeline
    whole: Span
    focus: Span
    focuses: tuple[Span, ...]
    buckets: Buckets
    close: Buckets  # of the focus alone: finer ones, where the whole run is long
    failures: Failures
    bursts: tuple[Burst, ...] = ()
    stalls: tuple[Stall, ...] = ()  # stretches in which the load generator itself was late
    warnings: tuple[Warned, ...] = ()
    # For each pod of the timeline, when its app is first to have heard of its end: by deletion and preStop.
    sigterms_ns: tuple[int | None, ...] = ()
    rollouts: tuple[Picture, ...] = ()
    beside: tuple[Beside, ...] = ()  # earlier runs, where the run was to be held against some
    aligned: Aligned | None = None  # of one rollout; a run of several has none of its own

    @property
    def drawn_all(self) -> bool:
        """Whether every failed hit is a row."""
        return len(self.failures) == self.failures.total


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture takes from a recording beside its hits."""

    answers: Sequence[Answer]
    log: AccessLog
    events: Sequence[ClusterEvent]
    health: Sequence[HealthSample]
    streams: pd.DataFrame | None = None  # None where requests were sent


def picture(hits: AllHits, timeline: Timeline, explained: Explained, seen: Seen) -> Picture:
    """Make the picture of a run, or of one rollout."""
    found = _of(hits, timeline, failures(hits, timeline, explained, seen.answers, seen.log.entries), seen)
    return replace(found, aligned=aligned(hits, timeline)) if timeline.triggered else found


def of_rollouts(
    hits: AllHits, timeline: Timeline, each: Sequence[Picture], lost: Sequence[int], seen: Seen
) -> Picture:
    """Make the picture of a run from those of its rollouts, and how many requests each lost: the worst is shown."""
    found = _of(hits, timeline, together([one.failures for one in each], timeline.pods), seen)
    worst, _ = max(zip(each, lost, strict=True), key=lambda one: (one[1], one[0].failures.total))
    return replace(
        found,
        focus=worst.focus,
        close=worst.close,
        focuses=tuple(one.focus for one in each),
        rollouts=tuple(each),
    )


def _of(hits: AllHits, timeline: Timeline, failed: Failures, seen: Seen) -> Picture:
    first = min((phase.span.from_ns for phase in timeline.phases), default=timeline.judged.from_ns)
    whole = Span(min(first, timeline.judged.from_ns), timeline.judged.to_ns)
    shown = focus(timeline, failed)

    def sorted_(span: Span) -> Buckets:
        found = buckets(hits, span)
        return found if seen.streams is None else of_streams(found, seen.streams)

    return Picture(
        timeline=timeline,
        whole=whole,
        focus=shown,
        focuses=(shown,),
        buckets=sorted_(whole),
        close=sorted_(shown),
        failures=failed,
        bursts=bursts(failed),
        stalls=tuple(
            one for one in stalls(seen.health) if one.to_ns > whole.from_ns and one.from_ns < whole.to_ns
        ),
        warnings=warnings(seen.events),
        sigterms_ns=tuple(stop_ns(pod) for pod in timeline.pods),
    )
