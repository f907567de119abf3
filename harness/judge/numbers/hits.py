"""The hits, each with what it was: good, failed or cut; of which kind; in which phase.

A *kind* names how a failed hit ended in one word, whoever asks: the exact status ("502") for a whole response
that was not expected, the outcome ("reset_before_response") for all else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

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
_RESPONSE, _CUT = OUTCOME_CODE[Outcome.RESPONSE], OUTCOME_CODE[Outcome.CUT_AT_DEADLINE]
_FAILED = np.array([is_failed(outcome, expected=False) for outcome in OUTCOMES])


@dataclass(frozen=True)
class Hits:
    """Columns of equal length, one entry per row. `kind` holds codes; `kind_name` says what they mean."""

    frame: pd.DataFrame  # some of COLUMNS, and worker
    begun_ns: NDArray[np.int64]  # when the slot wanted to send: latency counts from here
    done_ns: NDArray[np.int64]
    outcome: NDArray[np.uint8]  # its code
    good: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    cut: NDArray[np.bool_]  # neither: still out when the load was over
    weight: NDArray[np.int64] | None = None  # how many hits each row stands for; None: each for itself

    def __len__(self) -> int:
        return len(self.done_ns)

    @cached_property
    def status(self) -> NDArray[np.int32]:
        """Return the status of whole responses, else 0."""
        raw = self.frame["status"].to_numpy().astype(np.int32)
        return np.where(self.outcome == _RESPONSE, raw, 0).astype(np.int32)

    @cached_property
    def kind(self) -> NDArray[np.int16]:
        """Return the code of how each ended."""
        whole = self.outcome == _RESPONSE
        status = np.minimum(self.frame["status"].to_numpy(), FIRST_OUTCOME - 1).astype(np.int16)
        return np.where(whole, status, self.outcome.astype(np.int16) + np.int16(FIRST_OUTCOME))

    @cached_property
    def took_ns(self) -> NDArray[np.int64]:
        """Return how long each took, from when it was wanted."""
        return self.done_ns - self.begun_ns

    @cached_property
    def waited_ns(self) -> NDArray[np.int64]:
        """Return how long was waited for each: latency. On a stream, since the message before."""
        took: NDArray[np.int64] = self.done_ns - self.frame["due_ns"].to_numpy()
        return took

    def where(self, mask: NDArray[np.bool_]) -> Hits:
        """Return the hits for which `mask` is true."""
        return self if mask.all() else self.at(np.flatnonzero(mask))

    def at(self, rows: NDArray[np.int64]) -> Hits:
        """Return some rows, in the order of their numbers here."""
        return Hits(
            frame=self.frame.take(rows),
            begun_ns=self.begun_ns[rows],
            done_ns=self.done_ns[rows],
            outcome=self.outcome[rows],
            good=self.good[rows],
            failed=self.failed[rows],
            cut=self.cut[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    def count(self, mask: NDArray[np.bool_]) -> int:
        """Count the hits of the rows for which `mask` is true."""
        return int(np.count_nonzero(mask)) if self.weight is None else int(self.weight[mask].sum())

    def tally(self, codes: NDArray[np.integer], mask: NDArray[np.bool_], least: int = 0) -> NDArray[np.int64]:
        """Count the hits of those rows by small whole numbers; `least`: how many numbers there are at least."""
        if self.weight is None:
            return np.bincount(codes[mask], minlength=least)
        return np.bincount(codes[mask], self.weight[mask], least).astype(np.int64)

    def counts(self, mask: NDArray[np.bool_]) -> dict[str, int]:
        """Count kinds among the hits for which `mask` is true; most frequent first, then by name."""
        return ranked({kind_name(code): n for code, n in nonzero(self.tally(self.kind, mask))})

    def names(self, column: str) -> NDArray[np.object_]:
        """Return a text column (peer, pod) as Python strings."""
        return np.asarray(self.frame[column].astype(object), dtype=object)


def classify(frame: pd.DataFrame, run: RunRecord) -> Hits:
    """Tell good from failed hits. `frame` has due_ns, done_ns, status, outcome and others of COLUMNS, and worker, as
    Recording.hits gives them. Without `stands_for` each row is one hit.
    """
    outcome = frame["outcome"].cat
    of_category = np.array(
        [OUTCOME_CODE[Outcome(name)] for name in outcome.categories] or [0], dtype=np.uint8
    )
    outcomes = of_category[outcome.codes.to_numpy()]
    expected = np.zeros(FIRST_OUTCOME * 66, dtype=bool)  # by status, the whole range of its column
    for low, high in run.expect:
        expected[low : high + 1] = True
    good = (outcomes == _RESPONSE) & expected[frame["status"].to_numpy()]
    return Hits(
        frame=frame,
        begun_ns=_of_streams(frame) if run.stream else frame["due_ns"].to_numpy(),
        done_ns=frame["done_ns"].to_numpy(),
        outcome=outcomes,
        good=good,
        failed=_FAILED[outcomes] & ~good,
        cut=outcomes == _CUT,
        weight=frame["stands_for"].to_numpy().astype(np.int64) if "stands_for" in frame else None,
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


def started_ns(hits: Hits) -> NDArray[np.int64]:
    """Return when each hit was sent, or wanted to be where nothing was sent."""
    sent: NDArray[np.int64] = hits.frame["sent_ns"].to_numpy()
    return np.where(sent == NEVER, hits.begun_ns, sent)


def may_be_masked(failed: Hits, run: RunRecord) -> NDArray[np.bool_]:
    """Say of which failed hits a retrying client might have hidden the failure, had asking again succeeded.

    That is: an idempotent method on a connection that had carried hits before, not one byte of a response, and no
    timeout (then the client itself gave up).
    """
    frame = failed.frame
    again = [str(target.get("method", "GET")).upper() in IDEMPOTENT for target in run.targets] or [False]
    timeouts = [kind_code(outcome) for outcome in TIMEOUTS]
    return np.asarray(
        failed.failed
        & (failed.kind >= FIRST_OUTCOME)
        & ~np.isin(failed.kind, timeouts)
        & (frame["conn_hits"].to_numpy() > 0)
        & (frame["first_byte_ns"].to_numpy() == NEVER)
        & np.array(again)[np.minimum(frame["target"].to_numpy(), len(again) - 1)]
    )


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


def nonzero(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (number, how often) of those that occur."""
    return [(int(code), int(counts[code])) for code in np.flatnonzero(counts)]


def own_faults(kinds: Mapping[str, int]) -> int:
    """Count those of our own making among failed hits by kind."""
    return sum(n for kind, n in kinds.items() if kind in OWN_FAULT)
