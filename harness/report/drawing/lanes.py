"""Which pods get a lane of their own, and how many there are in which state where not all of them do. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.wording import count
from harness.report.looks import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.causes.causes import Cause
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Span, Timeline

MOST_LANES = 24
KEPT_LANES = 8  # of more pods than that, as many as this keep a lane: those at which most failed
_STEPS = 240


@dataclass(frozen=True, slots=True)
class Lanes:
    """`pods` have lanes, the old ones first. Where `folded`, `all_pods` are drawn by how many are in which state."""

    pods: tuple[Lifeline, ...]
    all_pods: tuple[Lifeline, ...]
    folded: bool
    words: str = ""  # what the picture says about it


def lanes(timeline: Timeline, causes: Sequence[Cause], span: Span) -> Lanes:
    """Choose the lanes of the pods that were there within a span."""
    pods = tuple(pod for pod in timeline.pods if _was_there(pod, span))
    if len(pods) <= MOST_LANES:
        return Lanes(pods, pods, folded=False)
    lost = Counter[str]()
    for cause in causes:
        lost.update({share.pod: share.hits for share in cause.pods})
    worst = {name for name, _ in lost.most_common(KEPT_LANES)}
    kept = tuple(pod for pod in pods if pod.name in worst)
    words = f"{count(len(pods), 'pod')}, too many for a lane each: all of them by state, old and new"
    if kept:
        words += f"; a lane for {_which(len(kept))} at which most requests failed"
    return Lanes(kept, pods, folded=True, words=words)


def _which(kept: int) -> str:
    return "the one" if kept == 1 else f"the {kept}"


def _was_there(pod: Lifeline, span: Span) -> bool:
    begin = pod.created_ns if pod.created_ns is not None else pod.started_ns
    gone = pod.gone_ns
    return (begin is None or begin < span.to_ns) and (gone is None or gone >= span.from_ns)


def by_state(
    pods: Sequence[Lifeline], span: Span, end_ns: int
) -> tuple[NDArray[np.int64], Mapping[str, NDArray[np.int64]]]:
    """Return moments within a span, and how many of these pods were in which state then. `end_ns`: of the run."""
    moments = np.linspace(span.from_ns, span.to_ns, _STEPS).astype(np.int64)
    found = {state: np.zeros(len(moments), dtype=np.int64) for state in STATES}
    for pod in pods:
        for segment in pod.segments(end_ns):
            low, high = np.searchsorted(moments, [segment.from_ns, segment.to_ns])
            found[segment.state][low:high] += 1
    return moments, found
