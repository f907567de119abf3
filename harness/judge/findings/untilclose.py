"""Answers whose body ends with their connection: complete, or cut off? HTTP cannot tell.

A body without a length and without chunks ends where the connection ends. A process that exits in the middle of it
closes the connection in the same orderly way. So such an answer is good if nothing happened to its sender, and proves
nothing if a pod that may have sent it was going away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.findings.finding import WHOLE, Finding
from harness.judge.wording import count
from harness.model import Grade

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.findings.case import Case
    from harness.judge.numbers.hits import Hits
    from harness.judge.timeline.lifeline import Lifeline

_EARLY_NS = NS  # a container's end is reported in whole seconds
_LATE_NS = 2 * NS  # how long after a pod's end its last bytes may arrive through a balancer


def finding(case: Case) -> Finding | None:
    """Withhold the PASS if an answer that counts as good may have been cut off; None if none ends this way."""
    hits, timeline = case.hits, case.timeline
    if hits is None:
        return None
    if not timeline.triggered:
        return None
    ended = doubtful = 0
    for piece in hits.pieces("until_close", "pod", since_ns=timeline.zero_ns):
        until_close = piece.frame["until_close"].to_numpy()
        if not until_close.any():
            continue
        ours = piece.at(np.flatnonzero(piece.good & until_close & (piece.done_ns >= timeline.zero_ns)))
        ended += ours.count(np.ones(len(ours), dtype=bool))
        doubtful += ours.count(_while_going(ours, timeline.pods))
    if not ended:
        return None
    answers = "good answer" if ended == 1 else "good answers"
    if not doubtful:
        observed = (
            f"{ended:,} {answers} ended with the connection, but none while a pod "
            "that may have sent it was going away"
        )
        return Finding(WHOLE, observed, Grade.PASS)
    observed = (
        f"{count(doubtful, 'good answer')} with neither a length nor chunks ended while a pod that may have sent "
        f"{'it' if doubtful == 1 else 'them'} went away: HTTP cannot tell whether "
        f"{'it was' if doubtful == 1 else 'they were'} "
        "cut off. Let the server send Content-Length or chunks"
    )
    return Finding(WHOLE, observed, Grade.INCONCLUSIVE)


def _while_going(hits: Hits, pods: tuple[Lifeline, ...]) -> NDArray[np.bool_]:
    """Tell which of these ended while a pod was going away: the pod they name, or any if they name none."""
    column = hits.frame["pod"].cat
    codes = column.codes.to_numpy()
    code_of = {str(name): code for code, name in enumerate(column.categories)}
    known = np.isin(codes, [code_of[pod.name] for pod in pods if pod.name in code_of])
    begun, done = hits.begun_ns, hits.done_ns
    found = np.zeros(len(hits), dtype=bool)
    for pod in pods:
        candidate = ~known | (codes == code_of.get(pod.name, -2))
        for from_ns, to_ns in _going(pod):
            found |= candidate & (done >= from_ns) & (done <= to_ns) & (begun <= to_ns - _LATE_NS)
    return found


def _going(pod: Lifeline) -> list[tuple[int, int]]:
    """Return when a pod was going away, and when a container of it ended that may have been restarted."""
    spans = []
    if pod.deleted_ns is not None:
        spans.append((pod.deleted_ns, _late(pod.gone_ns)))
    elif pod.gone_ns is not None:  # without notice: deleted by force, or seen only in a list
        spans.append((pod.gone_ns - _EARLY_NS, _late(pod.gone_ns)))
    if pod.exited_ns is not None:
        spans.append((pod.exited_ns - _EARLY_NS, _late(pod.exited_ns)))
    return spans


def _late(end_ns: int | None) -> int:
    return (1 << 62) + _LATE_NS if end_ns is None else end_ns + _LATE_NS
