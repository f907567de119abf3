"""Pods that were evicted one by one from one node -> that node was drained. Nodes themselves are not watched: that
takes rights which a run does without.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from harness.clock import NS
from harness.judge.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import OtherChange

# As cluster/rollout/podends.py writes it.
_EVICTED = re.compile(r"evicted pod (?P<pod>\S+) from node (?P<node>\S+), as kubectl drain does")
_SHOWN = 3
_PAUSE_NS = 120 * NS  # longer than a drain waits for the next pod: what follows was somebody's next decision


class _Eviction(NamedTuple):
    change: OtherChange
    pod: str
    node: str


def drained(changes: Sequence[OtherChange]) -> tuple[OtherChange, ...]:
    """Return the changes with several evictions as one, at the time of the first, where all that one made without a
    long pause were from one node.

    One eviction alone stays as it is: somebody may have wanted to be rid of that pod.
    """
    seen = [(change, _EVICTED.fullmatch(change.what)) for change in changes if change.kind == "pod_evicted"]
    evictions = [
        _Eviction(change, match["pod"], match["node"]) for change, match in seen if match is not None
    ]
    drains = [run for run in _runs(evictions) if len(run) > 1 and len({one.node for one in run}) == 1]
    if not drains:
        return tuple(changes)
    gone = [one.change for run in drains for one in run]
    others = [change for change in changes if all(change is not evicted for evicted in gone)]
    return tuple(sorted([*others, *map(_as_one, drains)], key=lambda change: change.at_ns))


def _runs(evictions: Sequence[_Eviction]) -> list[list[_Eviction]]:
    """Split them by who made them, and where nothing was evicted for so long."""
    runs: list[list[_Eviction]] = []
    for one in sorted(evictions, key=lambda one: (one.change.who, one.change.at_ns)):
        last = runs[-1][-1].change if runs else None
        if last and last.who == one.change.who and one.change.at_ns - last.at_ns <= _PAUSE_NS:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _as_one(run: Sequence[_Eviction]) -> OtherChange:
    first, node, pods = run[0].change, run[0].node, [one.pod for one in run]
    named = ", ".join(pods[:_SHOWN]) + (f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else "")
    return replace(first, what=f"evicted {count(len(pods), 'pod')} from node {node} and none from another: "
                              f"node {node} was drained, as it seems ({named})")  # fmt: skip
