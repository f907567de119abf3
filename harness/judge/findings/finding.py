"""The record of a finding, and the names of all objectives that zdtest itself sets.

docs/verdict.md says for each objective what makes it FAIL and what withholds a PASS.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import Grade  # noqa: TC001  pydantic reads verdict.json by it

LOSSLESS = "no request fails because of the rollout"
UNBROKEN = "no request fails"
REPLACED = "this run's own objectives say how much may fail"
UP = "the service stays up"
ANSWERED = "good answers come in every phase"
BASELINE = "the baseline is sound"
PROVEN = "the target is proven to lead to the workload"
COVERED = "the rollout is covered to its end"
WATCHED = "the watch saw all of the rollout"
NONE_OUT = "no request is still out at the end"
WHOLE = "every good answer is known to be whole"
PAIRED = "every answer belongs to a request"
ALIVE = "every worker lives to the end"
SPARE = "the load host has ports and descriptors to spare"
RECORDED = "every request is on record"
KEEPS_UP = "the load generator keeps up (its own lag)"
TOGETHER = "the pods begin together"
WITHOUT_HOLE = "the load has no hole"
HELD = "the rate is held (sent within 50 ms of when it was due)"
ENDED = "the run ends by itself"
EVERY_ROLLOUT = "every rollout that was asked for is made"
CLOSED = "no stream is cut without a close frame or the end of its body"
BACK = "every stream that is lost is back within"  # and the time
NO_WORSE = "the run is no worse than its baseline runs"

OBJECTIVES = (
    LOSSLESS, UNBROKEN, REPLACED, UP, ANSWERED, BASELINE, PROVEN, COVERED, WATCHED, NONE_OUT, WHOLE, PAIRED,
    ALIVE, SPARE, RECORDED, KEEPS_UP, TOGETHER, WITHOUT_HOLE, HELD, ENDED, EVERY_ROLLOUT,
    CLOSED, BACK, NO_WORSE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One objective, what was observed, and its grade."""

    objective: str  # one of OBJECTIVES, some with a bound appended, or one of the run's own conditions
    observed: str
    grade: Grade
