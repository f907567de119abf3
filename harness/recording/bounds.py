"""Bounds on the numbers and names of a recording: a stranger's file may contain anything."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.errors import RecordingError
from harness.model import MOST_STREAMS, NEVER, ORIGINS, OUTCOMES
from harness.recording import shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas as pd

    from harness.model import RunRecord, WorkerClock

LONGEST_NS = 31 * 86400 * NS  # no moment of a run is later
MOST_WORKERS = 1024
_SPARSE_S = 100_000  # seconds without any row, over a day: a longer run has more rows
_SETTING_NS = 1 << 60  # every setting is shorter
_LAST_STATUS = 999
_MOST_BYTES = 1 << 50  # of one hit
MOST_FOR_ONE = 1 << 24  # hits that one row may stand for
_MOST_NUMBER = 10**18  # of a message
_WALL_NS = 1 << 62  # the year 2116
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST_NAME = 253
_TIMES = frozenset(
    {
        "due_ns", "sent_ns", "first_byte_ns", "done_ns", "opened_ns", "connect_ns", "tls_ns", "closed_ns",
        "handshake_ns", "first_message_ns", "last_message_ns", "largest_gap_ns", "ended_ns", "lost_ns",
    }
)  # fmt: skip
_COUNTS = frozenset(
    {"seq", "conn_hits", "bytes_in", "bytes_out", "hits", "messages", "jumps", "missing", "tries"}
)
_OUTCOMES = frozenset(outcome.value for outcome in OUTCOMES)


def is_name(text: object) -> bool:
    """Whether a run may have this name, which its folder has and its reports begin with."""
    return isinstance(text, str) and len(text) <= _LONGEST_NAME and bool(_NAME.fullmatch(text))


def is_moment(t_ns: int) -> bool:
    """Whether a number can be a moment on the run's clock."""
    return NEVER <= t_ns <= LONGEST_NS


def check_run(run: RunRecord, file: Path) -> None:
    """Raise RecordingError, one line, that names the first field with an impossible value."""
    for field, fine in _fields(run):
        if not fine:
            raise RecordingError(f"{file}: {field}: no run can have this value")
    if at := shapes.wrong(run.scenario, shapes.SCENARIO):
        raise RecordingError(f"{file}: scenario.{at}: no scenario can have this value")


def _fields(run: RunRecord) -> Iterable[tuple[str, bool]]:
    yield "name", is_name(run.name)
    yield "wall_ns", 0 <= run.wall_ns < _WALL_NS
    yield "monotonic_ns", 0 <= run.monotonic_ns < _WALL_NS
    yield "concurrency", 0 < run.concurrency < 1 << 32
    yield "streams", 0 < run.streams <= MOST_STREAMS
    yield "workers", 0 < run.workers <= MOST_WORKERS
    yield "rollouts", 0 < run.rollouts < 1 << 20
    yield "backed_off", run.backed_off >= 0
    yield "stream", run.stream in {"", "websocket", "http"}
    for field in ("timeout_ns", "stalled_ns", "settle_ns", "ramp_ns", "back_within_ns"):
        yield field, 0 <= getattr(run, field) <= _SETTING_NS
    yield "max_baseline_failures", isfinite(run.max_baseline_failures) and 0 <= run.max_baseline_failures <= 1
    yield "rate", run.rate is None or (isfinite(run.rate) and run.rate > 0)
    yield "server_clock_ns", all(abs(bound) < _WALL_NS for bound in run.server_clock_ns or ())
    yield "expect", all(0 <= low <= high < 1000 for low, high in run.expect)
    yield (
        "targets",
        all(isinstance(target.get(part), str) for target in run.targets for part in ("method", "url")),
    )
    yield "load_from", run.load_from in {"", *ORIGINS}
    yield "worker_clocks", len(run.worker_clocks) <= MOST_WORKERS and all(map(_is_clock, run.worker_clocks))
    yield "changes", all(is_moment(change.at_ns) for change in run.changes)
    rounds = [("", run.marks, run.rollout)]
    rounds += [(f"earlier.{n}.", one.marks, one.rollout) for n, one in enumerate(run.earlier)]
    for where, marks, rollout in rounds:
        yield f"{where}marks", all(is_moment(mark.t_ns) for mark in marks)
        yield f"{where}marks", len({mark.mark for mark in marks}) == len(marks)
        yield f"{where}rollout.replicas", rollout is None or 0 <= rollout.replicas < 1 << 31


def _is_clock(one: WorkerClock) -> bool:
    return (
        0 <= one.worker < MOST_WORKERS
        and all(abs(each) < _WALL_NS for each in (one.offset_ns, one.uncertainty_ns, one.late_ns))
        and one.uncertainty_ns >= 0 <= one.late_ns
        and is_name(one.pod)
        and (not one.node or is_name(one.node))
    )


def is_sparse(first_ns: int, last_ns: int, rows: int) -> bool:
    """Whether so few rows (or lines) span so long a time that some of their moments must be wrong.

    Without this bound, a count by second could need far more memory than the recording itself.
    """
    return (last_ns - first_ns) // NS > _SPARSE_S + rows


def check_rows(frame: pd.DataFrame, run: RunRecord, file: Path) -> None:
    """Raise RecordingError, one line, that names the first column with an impossible value."""
    if not len(frame):
        return
    numbers = [name for name in frame.columns if frame[name].dtype.kind in "iu"]
    check_values({name: (int(frame[name].min()), int(frame[name].max())) for name in numbers}, run, file)
    if "outcome" in frame:
        check_outcomes(frame["outcome"].cat.categories, file)
    check_span(frame, len(frame), file)


def check_span(moments: Any, rows: int, file: Path) -> None:
    """Raise RecordingError, one line, if so few rows span so long a time. `moments`: columns by name, or extremes."""
    import numpy as np  # noqa: PLC0415  lists of runs are read without it

    known = [np.asarray(moments[name]) for name in ("due_ns", "done_ns") if name in moments]
    if known and rows:
        first, last = min(int(each.min()) for each in known), max(int(each.max()) for each in known)
        if is_sparse(first, last, rows):
            raise RecordingError(f"{file} is damaged: its {rows:,} rows span {(last - first) // NS:,} s")


def check_outcomes(words: Iterable[str], file: Path) -> None:
    """Raise RecordingError, one line, if a word is no outcome."""
    if not _OUTCOMES.issuperset(words):
        raise _impossible("outcome", file)


def check_values(extremes: Mapping[str, tuple[int, int]], run: RunRecord, file: Path) -> None:
    """Raise RecordingError, one line, that names the first column whose least or largest value no run can have."""
    for name, (least, largest) in extremes.items():
        if not _fine(name, least, largest, run):
            raise _impossible(name, file)


def _impossible(name: str, file: Path) -> RecordingError:
    return RecordingError(f"{file} is damaged: column {name} has a value that no run can have")


def _fine(name: str, least: int, largest: int, run: RunRecord) -> bool:
    bounds = dict.fromkeys(_TIMES, (NEVER, LONGEST_NS)) | dict.fromkeys(_COUNTS, (0, _MOST_BYTES))
    bounds |= {"conn": (NEVER, _MOST_BYTES), "status": (0, _LAST_STATUS), "stands_for": (1, MOST_FOR_ONE)}
    bounds |= dict.fromkeys(("first_id", "last_id"), (NEVER, _MOST_NUMBER))
    bounds |= {"replaces": (NEVER, _MOST_BYTES)}
    if run.targets:
        bounds["target"] = 0, len(run.targets) - 1
    low, high = bounds.get(name, (None, None))
    return low is None or high is None or (low <= least and largest <= high)
