"""The cause of each failed hit, for those who want the hits themselves: the judge's own, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.verdict.explained import explained_run
from harness.recording.rounds import parts

if TYPE_CHECKING:
    from harness.recording.read import Recording

Ids = tuple[str, ...]


def causes_of_hits(recording: Recording) -> dict[tuple[int, int], Ids]:
    """Return the ids of the cause of every hit that failed after a trigger, by (worker, seq).

    Raises RecordingError if the recording cannot be read.
    """
    found: dict[tuple[int, int], Ids] = {}
    for part in parts(recording):
        found |= _of_one_rollout(part)
    return found


def _of_one_rollout(recording: Recording) -> dict[tuple[int, int], Ids]:
    read = explained_run(recording, seq=True)
    hits, explained = read.hits, read.explained
    failed = hits.failed
    if not explained.labels:  # without a trigger nothing is explained
        return {}
    rows = failed.frame[failed.done_ns >= read.timeline.zero_ns]
    keys = zip(rows["worker"].tolist(), rows["seq"].tolist(), strict=True)
    return dict(zip(keys, explained.labels, strict=True))
