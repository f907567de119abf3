"""Pods that were evicted one by one from one node -> that node was drained. Nodes themselves are not watched: that
takes rights which a run does without.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import OtherChange

# As cluster/rollout/podends.py writes it.
_EVICTED = re.compile(r"evicted pod (?P<pod>\S+) from node (?P<node>\S+), as kubectl drain does")
_SHOWN = 3


def drained(changes: Sequence[OtherChange]) -> tuple[OtherChange, ...]:
    """Return the changes with several evictions as one, at the time of the first, where all were from one node.

    One eviction alone stays as it is: somebody may have wanted to be rid of that pod.
    """
    seen = [(change, _EVICTED.fullmatch(change.what)) for change in changes if change.kind == "pod_evicted"]
    evictions = [(change, match["pod"]) for change, match in seen if match is not None]
    nodes = {match["node"] for _, match in seen if match is not None}
    if len(evictions) < 2 or len(nodes) != 1:
        return tuple(changes)
    (node,) = nodes
    first = min((change for change, _ in evictions), key=lambda change: change.at_ns)
    pods = [pod for _, pod in evictions]
    named = ", ".join(pods[:_SHOWN]) + (f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else "")
    one = replace(first, what=f"evicted {count(len(pods), 'pod')} from node {node} and none from another: "
                              f"node {node} was drained, as it seems ({named})")  # fmt: skip
    others = [change for change in changes if all(change is not evicted for evicted, _ in evictions)]
    return tuple(sorted([*others, one], key=lambda change: change.at_ns))
