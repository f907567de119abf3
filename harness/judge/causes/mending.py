"""The numbers in a mending line, from this very run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.causes.context import FOREVER, Scene
from harness.judge.causes.rules import RULES
from harness.judge.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.judge.causes.matching import Match
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Numbers


def numbers_of(
    row: int,
    shares: Mapping[tuple[int, int], int],
    lost: Hits,
    found: Match,
    mask: NDArray[np.bool_],
    scene: Scene,
    numbers: Numbers,
) -> dict[str, str]:
    """Compute the numbers that a mending line may hold, from this run."""
    hook_ns = 0
    ports: set[int] = set()
    container = ""
    after = np.full(
        len(lost), FOREVER
    )  # how long after a deletion a hit began: of the pods that fit, the latest
    for of_row, number in shares:
        if of_row != row:
            continue
        pod = scene.timeline.pods[number]
        ports |= set(pod.spec.ports)
        container = pod.spec.container
        hook_ns = max(hook_ns, pod.spec.pre_stop_ns or 0)
        if pod.deleted_ns is not None:
            fits = found.fits[of_row, number] & mask
            after[fits] = np.minimum(after[fits], np.maximum(lost.begun_ns[fits] - pod.deleted_ns, 0))
    told = after[after < FOREVER]
    lag_ns = int(told.max(initial=0))
    longest_ns = max((p.latency.max_ns for p in numbers.parts if p.latency is not None), default=0)
    if RULES[row].id in {"B3", "B4", "B5"}:  # some were cut: the longest request is at least what those took
        longest_ns = max(longest_ns, int((lost.done_ns - lost.begun_ns)[mask].max()))
    prestop_s = (
        max(hook_ns // NS, math.ceil(lag_ns / NS) + 2)
        if RULES[row].id not in {"B3", "B4", "B5"}
        else hook_ns // NS
    )
    return {
        "prestop": f"{prestop_s} s (the last such request came {lasting(lag_ns)} after the deletion)"
        if RULES[row].id in {"B1", "C1", "C6", "B7"}
        else f"{prestop_s}",
        "grace": f"{prestop_s + math.ceil(longest_ns / NS) + 5}",
        "container": container,
        "port": f" ({', '.join(str(port) for port in sorted(ports))})" if ports else "",
    }
