"""Pods that share a name, one after the other, as a StatefulSet's do: each life gets a name of its own, in answers too.

The first keeps the name, the second of web-0 is "web-0 (2)". An answer is of the last life that had started when it
ended.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline


def told_apart(hits: AllHits, timeline: Timeline) -> tuple[AllHits, Timeline]:
    """Return both with a name for each life; as they are where no two pods share one."""
    by_name: defaultdict[str, list[Lifeline]] = defaultdict(list)
    for pod in timeline.pods:
        by_name[pod.name].append(pod)
    shared = {name: sorted(lives, key=_start_ns) for name, lives in by_name.items() if len(lives) > 1}
    if not shared:
        return hits, timeline
    names = {
        pod.uid: f"{name} ({number})"
        for name, lives in shared.items()
        for number, pod in enumerate(lives[1:], 2)
    }
    pods = tuple(replace(pod, name=names.get(pod.uid, pod.name)) for pod in timeline.pods)
    return hits.changed(lambda some: _renamed(some, shared, names)), replace(timeline, pods=pods)


def _renamed(hits: Hits, shared: dict[str, list[Lifeline]], names: dict[str, str]) -> Hits:
    if "pod" not in hits.frame:
        return hits
    column = hits.frame["pod"].cat
    words = [str(word) for word in column.categories]
    codes = column.codes.to_numpy().astype(np.int32)
    for code, word in enumerate(list(words)):
        if word not in shared:
            continue
        rows = np.flatnonzero(codes == code)
        done = hits.done_ns[rows]
        for pod in shared[word][1:]:
            words.append(names[pod.uid])
            codes[rows[done >= _start_ns(pod)]] = len(words) - 1
    kept = list(dict.fromkeys(words))  # an answer may itself say "web-0 (2)"
    codes = np.array([*(kept.index(word) for word in words), -1], dtype=np.int32)[codes]
    return replace(
        hits, frame=hits.frame.assign(pod=pd.Categorical.from_codes(codes, categories=pd.Index(kept)))
    )


def _start_ns(pod: Lifeline) -> int:
    moments = (pod.started_ns, pod.created_ns, pod.deleted_ns)
    return next((t_ns for t_ns in moments if t_ns is not None), -(1 << 62))
