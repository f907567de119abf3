"""Why streams were cut: which cuts were the balancer's own doing, and what a cause is called where streams are held.

A cut stream is a failed hit, and the rules of judge/causes explain it by what happened to its pod. What remains is told
apart here: a limit on a stream's silence (C7) or on its age (C20) cut it (limits.py); else a reload or a restart of the
balancer (C8), if the pod that the handshake named was well. What was cut in the same burst went with it, also where its
pod was ending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.judge.numbers.hits import kind_code
from harness.judge.streams.limits import AGE, LATE_NS, LEAST, TOGETHER_NS
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns
from harness.judge.wording import count, lasting
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.streams.limits import Limit, Limits
    from harness.judge.timeline.lifeline import Lifeline

IDLE, RELOADED, AGED = "C7", "C8", "C20"
CUT_KINDS = frozenset({Outcome.EOF_MID_RESPONSE.value, Outcome.RESET_MID_RESPONSE.value})
_CUT = tuple(kind_code(kind) for kind in CUT_KINDS)

_CLEANLY = "on SIGTERM end each stream cleanly (a close frame 1001 or 1012, or the end of the body), over some seconds"
_GRACE = "spec.template.spec.terminationGracePeriodSeconds: preStop and the time that this takes"
_OLD_WORKERS = (
    "the balancer: a controller that takes changes of endpoints without a reload; else let old workers live as long as "
    "streams do (nginx: worker_shutdown_timeout; HAProxy: hard-stop-after; Envoy: --drain-time-s)"
)
_IDLE_TIMEOUT = (
    "the balancer: a longer timeout for streams (nginx: proxy_read_timeout; HAProxy: timeout tunnel, timeout server; "
    "Envoy: stream_idle_timeout, idle_timeout)"
)
_LONGER = (
    "the balancer: no limit on how long a stream may last (Envoy: `timeout: 0s` on the route; max_stream_duration; "
    "Istio: `timeout: 0s` in the VirtualService; Gateway API: timeouts.request; Google: the backend's timeoutSec)"
)
_BEFORE_IT = (
    "or the app: end each stream cleanly before that age, so that clients come back without a cut; where no balancer "
    "stands, look for a timeout of the app's own server"
)
# By id: name and what mends it, where the failed hits are streams.
WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "B2": ("the app exits on SIGTERM without ending its streams", (f"the app: {_CLEANLY}", _GRACE)),
    "B3": (
        "SIGTERM has no effect, and streams go on until SIGKILL cuts them",
        (f"the app: {_CLEANLY}; it must get SIGTERM at all (exec form, or `exec` in the shell)", _GRACE),
    ),
    "B4": (
        "streams outlast the grace period: SIGKILL cut them",
        (f"the app: {_CLEANLY}: a stream has no end of its own to wait for", _GRACE),
    ),
    "C4": (
        "the deregistration delay is over: the balancer cut the streams of a target that was drained",
        (
            f"the app: {_CLEANLY}, before that",
            "the target group's deregistration delay: longer than preStop and that",
        ),
    ),
    RELOADED: (
        "the balancer cut streams of pods that were well: a reload or a restart of its own",
        (_OLD_WORKERS,),
    ),
    IDLE: (
        "an idle timeout of the balancer cut streams on which nothing came",
        (
            "the app: send something more often than that (a WebSocket ping, a comment line of an event stream)",
            _IDLE_TIMEOUT,
        ),
    ),
    AGED: ("a limit of the balancer on how long a stream may last cut them", (_LONGER, _BEFORE_IT)),
}


def by_balancer(
    lost: Hits, pod: NDArray[np.int64], pods: Sequence[Lifeline], limits: Limits
) -> dict[int, tuple[str, ...]]:
    """Return for rows of `lost` that the balancer cut why it did. `pod`: the number of each row's pod, or -1."""
    found = {row: _of_limit(limit) for row, limit in limits.of_hits(lost).items()}
    cut = np.isin(lost.kind, _CUT) & (lost.frame["conn_hits"].to_numpy() > 0)
    well = [
        row
        for row in np.flatnonzero(cut & (pod >= 0)).tolist()
        if row not in found and _is_well(pods[pod[row]], int(lost.done_ns[row]))
    ]
    if len(well) < LEAST:
        return found
    moments = np.sort(lost.done_ns[np.array(well, dtype=np.int64)])
    for row in np.flatnonzero(cut).tolist():
        done = lost.done_ns[row]
        near = np.searchsorted(moments, done + TOGETHER_NS, "right") - np.searchsorted(
            moments, done - TOGETHER_NS
        )
        if row not in found and near >= LEAST:
            found[row] = (RELOADED,)
    return found


def _of_limit(limit: Limit) -> tuple[str, ...]:
    """Return what may have cut a stream that reached a limit's length: a set, where the two look alike."""
    ids = {AGED if limit.kind == AGE else IDLE}
    if limit.silent:
        ids.add(IDLE)
    if not limit.proven:
        ids.add(RELOADED)
    return tuple(name for name in (IDLE, RELOADED, AGED) if name in ids)


def told(
    ids: tuple[str, ...], mask: NDArray[np.bool_], lost: Hits, pod: NDArray[np.int64], limits: Limits | None
) -> list[str]:
    """Return what was seen of the streams in `mask` that the balancer cut; nothing for other causes."""
    if limits is None or not {*ids} & {IDLE, RELOADED, AGED}:  # requests were sent
        return []
    done = lost.done_ns[mask]
    if ids == (RELOADED,):
        number = len(np.unique(pod[mask & (pod >= 0)]))
        within = lasting(int(done.max() - done.min()))
        return [f"{count(int(mask.sum()), 'stream')} of {count(number, 'pod')} ended within {within}"]
    known = limits.of_hits(lost)
    limit = next((known[row] for row in np.flatnonzero(mask).tolist() if row in known), None)
    if limit is None:
        return []
    long, spread = lasting(limit.ns), lasting(limit.spread_ns)
    had = f"was {long} old" if limit.kind == AGE else f"had brought no message for {long}"
    lines = [f"each {had} when it ended, give or take {spread}; none outlasted that"]
    if limit.apart:
        lines.append(
            f"so it was before the trigger, too: {count(limit.before, 'stream')}"
            if limit.before
            else "so it was in different moments, whatever happened to pods: the rollout has no part in it"
        )
    elif not limit.proven:
        lines.append(
            f"all were of one {limit.kind}, and ended in one moment: a longer baseline tells a limit from a reload "
            f"(--trigger-after over {lasting(limit.ns)})"
        )
    return lines


def _is_well(pod: Lifeline, t_ns: int) -> bool:
    """Whether a pod had no reason to end a stream at a moment: no SIGTERM yet, though a preStop may run; no exit."""
    ends = [t for t in (stop_ns(pod), pod.gone_ns) if t is not None]
    if ends and t_ns >= min(ends) - SLACK // 4:
        return False
    return pod.exited_ns is None or abs(t_ns - pod.exited_ns) > LATE_NS
