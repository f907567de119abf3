"""Why streams were cut: which cuts were the balancer's own doing, and what a cause is called where streams are held.

A cut stream is a failed hit, and the rules of judge/causes explain it by what happened to its pod. What remains is told
apart here, by pods that the handshake named: a stream whose pod was well was cut by what stands between. If it had been
silent for as long as the others, an idle timeout ended it (C7), else a reload or a restart of the balancer (C8). What
was cut in the same burst went with it, also where its pod was ending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import kind_code
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns
from harness.judge.wording import count, lasting
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.timeline.lifeline import Lifeline

IDLE, RELOADED = "C7", "C8"
CUT_KINDS = frozenset({Outcome.EOF_MID_RESPONSE.value, Outcome.RESET_MID_RESPONSE.value})
_CUT = tuple(kind_code(kind) for kind in CUT_KINDS)
LEAST = 2  # streams of pods that were well: fewer may be the network's doing
TOGETHER_NS = NS // 4
SHORTEST_IDLE_NS = 4 * NS  # nobody sets an idle timeout so short
IDLE_SPREAD_NS = NS  # timers of one length, and what a busy machine adds
_LATE_NS = 2 * NS  # a container's end is told in whole seconds, and its streams may end after it

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
}


def by_balancer(
    lost: Hits, pod: NDArray[np.int64], pods: Sequence[Lifeline], streams: pd.DataFrame
) -> dict[int, str]:
    """Return for rows of `lost` that the balancer cut IDLE or RELOADED. `pod`: the number of each row's pod, or -1."""
    cut = np.isin(lost.kind, _CUT) & (lost.frame["conn_hits"].to_numpy() > 0)
    well = np.flatnonzero(cut & (pod >= 0))
    well = np.array([row for row in well if _is_well(pods[pod[row]], int(lost.done_ns[row]))], dtype=np.int64)
    if len(well) < LEAST:
        return {}
    silent = _silence(lost, streams)
    idle = well[silent[well] >= SHORTEST_IDLE_NS]
    found: dict[int, str] = {}
    if len(idle) >= LEAST and float(np.ptp(silent[idle])) <= IDLE_SPREAD_NS:
        usual = float(np.median(silent[idle]))
        same = np.flatnonzero(cut & (np.abs(silent - usual) <= IDLE_SPREAD_NS))
        found.update(dict.fromkeys(same.tolist(), IDLE))
    rest = np.array([row for row in well.tolist() if row not in found], dtype=np.int64)
    moments = np.sort(lost.done_ns[rest])
    for row in np.flatnonzero(cut).tolist():
        done = lost.done_ns[row]
        near = np.searchsorted(moments, done + TOGETHER_NS, "right") - np.searchsorted(
            moments, done - TOGETHER_NS
        )
        if row not in found and near >= LEAST:
            found[row] = RELOADED
    return found


def told(
    ids: tuple[str, ...],
    mask: NDArray[np.bool_],
    lost: Hits,
    pod: NDArray[np.int64],
    streams: pd.DataFrame | None,
) -> list[str]:
    """Return what was seen of the streams in `mask` that the balancer cut; nothing for other causes."""
    if streams is None:  # requests were sent
        return []
    if ids == (IDLE,):
        silent = _silence(lost, streams)[mask]
        least, most = lasting(int(silent.min())), lasting(int(silent.max()))
        return [f"each had brought no message for {least} to {most} when it ended, and its pod was well"]
    if ids == (RELOADED,):
        done = lost.done_ns[mask]
        number = len(np.unique(pod[mask & (pod >= 0)]))
        within = lasting(int(done.max() - done.min()))
        return [f"{count(int(mask.sum()), 'stream')} of {count(number, 'pod')} ended within {within}"]
    return []


def _is_well(pod: Lifeline, t_ns: int) -> bool:
    """Whether a pod had no reason to end a stream at a moment: no SIGTERM yet, though a preStop may run; no exit."""
    ends = [t for t in (stop_ns(pod), pod.gone_ns) if t is not None]
    if ends and t_ns >= min(ends) - SLACK // 4:
        return False
    return pod.exited_ns is None or abs(t_ns - pod.exited_ns) > _LATE_NS


def _silence(lost: Hits, streams: pd.DataFrame) -> NDArray[np.int64]:
    """Return for each lost hit how long its stream had brought no message when it ended; 0 where that is not known."""
    last = np.maximum(streams["last_message_ns"].to_numpy(), streams["handshake_ns"].to_numpy())
    quiet = streams["ended_ns"].to_numpy() - last
    known = dict(
        zip(
            zip(streams["worker"].tolist(), streams["conn"].tolist(), strict=True),
            quiet.tolist(),
            strict=True,
        )
    )
    keys = zip(lost.frame["worker"].tolist(), lost.frame["conn"].tolist(), strict=True)
    return np.array([known.get(key, 0) for key in keys], dtype=np.int64)
