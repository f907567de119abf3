"""The hits, each with what it was: good, failed or cut; of which kind; in which phase.

A *kind* names how a failed hit ended in one word, whoever asks: the exact status ("502") for a whole response
that was not expected, the outcome ("reset_before_response") for all else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.model import NEVER, OUTCOME_CODE, OUTCOMES, Outcome, is_failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from harness.model import RunRecord

COLUMNS = (
    "slot",
    "conn",
    "conn_hits",
    "due_ns",
    "sent_ns",
    "first_byte_ns",
    "done_ns",
    "status",
    "outcome",
    "bytes_in",
    "bytes_out",
    "target",
    "peer",
    "pod",
    "until_close",
    "answer",
)
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
TIMEOUTS = frozenset(
    {
        Outcome.CONNECT_TIMEOUT,
        Outcome.TLS_TIMEOUT,
        Outcome.WRITE_TIMEOUT,
        Outcome.READ_TIMEOUT_HEADERS,
        Outcome.READ_TIMEOUT_BODY,
    }
)
# What the test did to itself: this host had no port or no descriptor left. Nobody's fault but ours.
OWN_FAULT = frozenset({Outcome.NO_LOCAL_PORT.value, Outcome.NO_DESCRIPTOR.value})
FIRST_OUTCOME = 1000  # kind codes below are statuses, from here on outcomes: the one place that knows
_FAILED = np.array([is_failed(outcome, expected=False) for outcome in OUTCOMES])


@dataclass(frozen=True, slots=True)
class Hits:
    """Columns of equal length, one entry per hit. `kind` holds codes; `kind_name` says what they mean."""

    frame: pd.DataFrame  # COLUMNS and worker
    begun_ns: NDArray[np.int64]  # when the slot wanted to send: latency counts from here
    done_ns: NDArray[np.int64]
    status: NDArray[np.int32]  # of whole responses, else 0
    kind: NDArray[np.int16]
    good: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    cut: NDArray[np.bool_]  # neither: still out when the load was over

    def __len__(self) -> int:
        return len(self.done_ns)

    def where(self, mask: NDArray[np.bool_]) -> Hits:
        """Return the hits for which `mask` is true."""
        if mask.all():
            return self
        return Hits(
            frame=self.frame.loc[mask],
            begun_ns=self.begun_ns[mask],
            done_ns=self.done_ns[mask],
            status=self.status[mask],
            kind=self.kind[mask],
            good=self.good[mask],
            failed=self.failed[mask],
            cut=self.cut[mask],
        )

    def counts(self, mask: NDArray[np.bool_]) -> dict[str, int]:
        """Count kinds among the hits for which `mask` is true; most frequent first, then by name."""
        return ranked({kind_name(code): n for code, n in tally(self.kind[mask])})

    def names(self, column: str) -> NDArray[np.object_]:
        """Return a text column (peer, pod) as Python strings."""
        return np.asarray(self.frame[column].astype(object), dtype=object)


def classify(frame: pd.DataFrame, run: RunRecord) -> Hits:
    """Tell good from failed hits. `frame` has COLUMNS and worker, as Recording.hits gives them."""
    outcome = frame["outcome"].cat
    of_category = np.array(
        [OUTCOME_CODE[Outcome(name)] for name in outcome.categories] or [0], dtype=np.int16
    )
    outcomes = of_category[outcome.codes.to_numpy()]
    raw_status = frame["status"].to_numpy().astype(np.int32)
    whole = outcomes == OUTCOME_CODE[Outcome.RESPONSE]
    expected = np.zeros(FIRST_OUTCOME * 66, dtype=bool)  # by status, the whole range of its column
    for low, high in run.expect:
        expected[low : high + 1] = True
    good = whole & expected[raw_status]
    cut = outcomes == OUTCOME_CODE[Outcome.CUT_AT_DEADLINE]
    return Hits(
        frame=frame,
        begun_ns=_of_streams(frame) if run.stream else frame["due_ns"].to_numpy(),
        done_ns=frame["done_ns"].to_numpy(),
        status=np.where(whole, raw_status, 0).astype(np.int32),
        kind=np.where(whole, np.minimum(raw_status, FIRST_OUTCOME - 1), FIRST_OUTCOME + outcomes),
        good=good,
        failed=_FAILED[outcomes] & ~good,
        cut=cut,
    )


def _of_streams(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return when each hit's request was sent, where streams are held: that of its handshake, for all on a stream.

    So what came long after a pod's SIGTERM is not taken for a request that the pod took then.
    """
    due: NDArray[np.int64] = frame["due_ns"].to_numpy()
    carried, conn = frame["conn_hits"].to_numpy(), frame["conn"].to_numpy().astype(np.int64)
    if not len(frame):
        return due
    keys = frame["worker"].to_numpy().astype(np.int64) * (1 << 32) + conn
    # A stream's first row. That of one of an earlier rollout of the run is not its handshake.
    known, first = np.unique(keys, return_index=True)
    began = np.where(carried[first] == 0, frame["sent_ns"].to_numpy()[first], due[first])
    of_stream = began[np.searchsorted(known, keys)]
    return np.where((carried > 0) & (conn >= 0), of_stream, due)


def waited_ns(hits: Hits) -> NDArray[np.int64]:
    """Return how long was waited for each hit: latency. On a stream, since the message before."""
    took: NDArray[np.int64] = hits.done_ns - hits.frame["due_ns"].to_numpy()
    return took


def started_ns(hits: Hits) -> NDArray[np.int64]:
    """Return when each hit was sent, or wanted to be where nothing was sent."""
    sent: NDArray[np.int64] = hits.frame["sent_ns"].to_numpy()
    return np.where(sent == NEVER, hits.begun_ns, sent)


def masked(hits: Hits, run: RunRecord) -> NDArray[np.bool_]:
    """Estimate which failed hits a retrying client would have hidden.

    That is: an idempotent method on a connection that had carried hits before, not one byte of a response, no
    timeout (then the client itself gave up), and the slot's next hit, begun within 1 s, succeeded.
    """
    frame = hits.frame
    again = [str(target.get("method", "GET")).upper() in IDEMPOTENT for target in run.targets] or [False]
    timeouts = [kind_code(outcome) for outcome in TIMEOUTS]
    candidate: NDArray[np.bool_] = (
        hits.failed
        & (hits.kind >= FIRST_OUTCOME)
        & ~np.isin(hits.kind, timeouts)
        & (frame["conn_hits"].to_numpy() > 0)
        & (frame["first_byte_ns"].to_numpy() == NEVER)
        & np.array(again)[np.minimum(frame["target"].to_numpy(), len(again) - 1)]
    )
    if not candidate.any():
        return candidate
    # The next hit of a slot begins within a second of the last candidate, and takes as long as the longest at most.
    until = int(hits.done_ns[candidate].max()) + NS + int((hits.done_ns - hits.begun_ns).max())
    rows = np.flatnonzero((hits.done_ns >= hits.done_ns[candidate].min()) & (hits.done_ns <= until))
    slots = frame["worker"].to_numpy()[rows].astype(np.int64) * 65536 + frame["slot"].to_numpy()[rows]
    begun, done = hits.begun_ns[rows], hits.done_ns[rows]
    order = np.lexsort((done, slots))
    follower = np.roll(order, -1)
    same_slot = slots[order] == slots[follower]
    same_slot[-1:] = False
    soon = begun[follower] - done[order] <= NS
    saved = np.zeros(len(hits), dtype=bool)
    saved[rows[order]] = same_slot & soon & hits.good[rows][follower]
    candidate &= saved
    return candidate


def by_code(codes: NDArray[np.integer], mask: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Group the rows for which `mask` is true: (code, its rows in ascending order), in one pass for all codes."""
    rows = np.flatnonzero(mask)
    if not len(rows):
        return
    small = codes[rows].astype(np.int16 if int(codes.max(initial=0)) < 32_000 else np.int32)
    order = np.argsort(small, kind="stable")  # of int16: counted, not compared
    ranked_ = small[order]
    starts = np.flatnonzero(np.diff(ranked_, prepend=ranked_[0] - 1))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        yield int(ranked_[start]), rows[order[start:stop]]


def kind_code(name: str) -> int:
    """Return the code of a kind by its name: a status, or an outcome."""
    return int(name) if name.isdigit() else FIRST_OUTCOME + OUTCOME_CODE[Outcome(name)]


def kind_name(code: int) -> str:
    """Return the name of a kind."""
    return str(code) if code < FIRST_OUTCOME else str(OUTCOMES[code - FIRST_OUTCOME].value)


def ranked(counts: dict[str, int]) -> dict[str, int]:
    """Order counts: most frequent first, then by name, so that the same run always prints the same."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def tally(codes: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Count small whole numbers: (number, how often), those that occur."""
    counts = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    return [(int(code), int(counts[code])) for code in np.flatnonzero(counts)]


def own_faults(kinds: Mapping[str, int]) -> int:
    """Count those of our own making among failed hits by kind."""
    return sum(n for kind, n in kinds.items() if kind in OWN_FAULT)
