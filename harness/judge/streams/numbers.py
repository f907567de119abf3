"""The streams of a run -> numbers. Every definition stands here once.

Lost: a stream that ended otherwise than by our own end of the load. *Announced*: by a close frame that names no error,
or by the end of its body. *Cut*: all others.
Back: from the loss to the first message on the slot's next stream; to its handshake, where no message came before that
ended. What is still away at the end of the load has no such time.
Missed: numbers between the last message before a loss and the first one after it. Skipped: numbers that a stream left
out while it was open. Both are counted only if messages are numbered one by one: nine of ten follow on the one before.
Limited: cut by a limit on a stream's age or silence with which the rollout has nothing to do (limits.py).
Herd: the most handshakes of streams that come back within one second.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.hits import ranked
from harness.judge.numbers.summary import Latency, measure
from harness.judge.streams.ends import BODY, OURS, is_cut
from harness.model import NEVER

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.streams.limits import Limits
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord

_ABNORMAL = 1006
NUMBERED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class StreamNumbers:
    """What became of the streams: from the trigger on, without a rollout from the end of the warm-up on."""

    kinds: dict[str, int]  # websocket, sse, chunked: streams of each
    opened: int  # in the whole run
    messages: int
    gap_ns: int  # the longest time from one message to the next of a stream
    held: int  # streams that were open in the judged time
    announced: int  # of those: closed cleanly
    cut: int  # ended otherwise
    cut_before: int  # in the baseline
    ends: dict[
        str, int
    ]  # how those that were lost ended: "1001", "1006 (reset)", "end of the body", "silent", ...
    back: Latency | None  # from the loss to the first message
    handshake: Latency | None  # from the loss to the handshake
    tries: int  # the most that one needed
    refused: dict[str, int]  # what refused the others, by kind
    given_up: int  # a browser's EventSource would never have come back: it met an answer that is not 200
    away: int  # not back when the load ended; without those that a limit had cut too late for that
    away_ns: int  # the longest of those
    herd: int
    herd_ns: int  # when that second began
    numbered: bool
    missed: int
    repeated: int  # came again after a loss
    skipped: int
    until_ns: int = NEVER  # when the last stream ended, of the worker of which that was the earliest
    over: int = 0  # of those that came back: later than back_within_ns
    back_within_ns: int = 0
    by_pod: dict[str, int] = field(default_factory=dict)  # cut streams by the pod that the handshake named
    limited: int = 0  # of those that were cut; without a rollout, each cut counts
    limited_before: int = 0  # of those in the baseline
    limit: str = ""  # on what: age | silence | either
    limit_ns: int = 0

    @property
    def blamed(self) -> int:
        """How many were cut by anything but a limit that works without a rollout, too."""
        return self.cut - self.limited

    @property
    def lost(self) -> int:
        """How many streams ended otherwise than by the end of the load."""
        return self.announced + self.cut


def stream_numbers(
    streams: pd.DataFrame, run: RunRecord, timeline: Timeline, limits: Limits
) -> StreamNumbers | None:
    """Count them; None if the run held none."""
    if not run.stream:
        return None
    from_ns = timeline.zero_ns if timeline.triggered else timeline.judged.from_ns
    to_ns = timeline.judged.to_ns
    ended, how = streams["ended_ns"].to_numpy(), streams["how"].astype(str).to_numpy()
    cut = is_cut(streams)
    lost = (how != OURS) & (ended >= from_ns) & (ended < to_ns)
    after = _followers(streams)
    returned = lost & (after >= 0)
    follower = after[returned]
    first = streams["first_message_ns"].to_numpy()[follower]
    shaken = streams["handshake_ns"].to_numpy()[follower]
    back = np.where(first == NEVER, shaken, first) - ended[returned]
    out = np.maximum(timeline.load.to_ns - ended, 0)
    in_time = limits.rows_apart(len(streams)) & (out <= run.back_within_ns)
    away = out[lost & (after < 0) & ~in_time]
    herd, herd_ns = _densest(shaken)
    refused = Counter(
        word for text in streams["refused"].astype(str).to_numpy()[follower] for word in text.split(", ") if word
    )  # fmt: skip
    numbered, missed, repeated = _missing(streams, returned, follower)
    limit = next((one for one in limits.found if one.apart), None)
    pods = Counter(streams["pod"].astype(str).to_numpy()[lost & cut].tolist())
    return StreamNumbers(
        kinds=ranked(dict(Counter(streams["kind"].astype(str)))),
        opened=len(streams),
        messages=int(streams["messages"].sum()),
        gap_ns=int(streams["largest_gap_ns"].max()) if len(streams) else 0,
        held=int(((streams["opened_ns"].to_numpy() < to_ns) & (ended >= from_ns)).sum()),
        announced=int((lost & ~cut).sum()),
        cut=int((lost & cut).sum()),
        cut_before=int((cut & (ended >= timeline.judged.from_ns) & (ended < from_ns)).sum()),
        ends=_ends(streams[lost]),
        back=measure(back),
        handshake=measure(shaken - ended[returned]),
        tries=int(streams["tries"].to_numpy()[follower].max(initial=0)),
        refused=ranked(dict(refused)),
        given_up=_given_up(streams, follower),
        away=len(away),
        away_ns=int(away.max(initial=0)),
        herd=herd,
        herd_ns=herd_ns,
        numbered=numbered,
        missed=missed,
        repeated=repeated,
        until_ns=int(streams.groupby("worker")["ended_ns"].max().min()) if len(streams) else NEVER,
        skipped=int(streams["missing"].sum()) if numbered else 0,
        over=int((back > run.back_within_ns).sum()) if run.back_within_ns else 0,
        back_within_ns=run.back_within_ns,
        by_pod=ranked({pod: n for pod, n in pods.items() if pod}),
        limited=limits.counts_in(streams, from_ns, to_ns) if run.rollout_wanted else 0,
        limited_before=limits.counts_in(streams, timeline.judged.from_ns, from_ns),
        limit=limit.word if limit else "",
        limit_ns=limit.ns if limit else 0,
    )


def _followers(streams: pd.DataFrame) -> NDArray[np.int64]:
    """Return for each stream the row of the one that replaced it, -1 where none did."""
    keys = list(zip(streams["worker"].tolist(), streams["conn"].tolist(), strict=True))
    replaced = zip(streams["worker"].tolist(), streams["replaces"].tolist(), strict=True)
    row_of = {pair: row for row, pair in enumerate(replaced) if pair[1] >= 0}
    return np.array([row_of.get(key, -1) for key in keys], dtype=np.int64)


def _ends(lost: pd.DataFrame) -> dict[str, int]:
    """Count how streams ended, in the words of their protocol."""
    words = {"end": BODY, "eof": "closed in mid-body", "reset": "reset in mid-body"}
    found = Counter[str]()
    for how, code, kind in zip(
        lost["how"].astype(str), lost["code"].tolist(), lost["kind"].astype(str), strict=True
    ):
        if how == "close":
            found[str(code)] += 1
        elif kind == "websocket" and how in {"eof", "reset"}:
            found[f"{_ABNORMAL} ({'reset' if how == 'reset' else 'closed'})"] += 1
        else:
            found[words.get(how, how)] += 1
    return ranked(dict(found))


def _densest(moments: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many moments the fullest second holds, and when it begins."""
    if not len(moments):
        return 0, 0
    ordered = np.sort(moments)
    counts = np.searchsorted(ordered, ordered + NS, side="right") - np.arange(len(ordered))
    most = int(np.argmax(counts))
    return int(counts[most]), int(ordered[most])


def _given_up(streams: pd.DataFrame, follower: NDArray[np.int64]) -> int:
    """Count event streams that met an answer of another status before they were back."""
    kinds = streams["kind"].astype(str).to_numpy()[follower]
    refused = streams["refused"].astype(str).to_numpy()[follower]
    return sum(
        kind == "sse" and any(word.isdigit() for word in text.split(", "))
        for kind, text in zip(kinds, refused, strict=True)
    )


def _missing(
    streams: pd.DataFrame, returned: NDArray[np.bool_], follower: NDArray[np.int64]
) -> tuple[bool, int, int]:
    """Return whether messages are numbered, how many were missed between two streams, and how many came again."""
    first, last = streams["first_id"].to_numpy(), streams["last_id"].to_numpy()
    known = first >= 0
    steps = int((streams["messages"].to_numpy()[known] - 1).sum())
    jumps = int(streams["jumps"].to_numpy()[known].sum())
    if steps <= 0 or jumps > (1 - NUMBERED_SHARE) * steps:
        return False, 0, 0
    before, then = last[returned], first[follower]
    both = (before >= 0) & (then >= 0)
    between = (then - before - 1)[both]
    return True, int(between[between > 0].sum()), int(-between[between < 0].sum())
