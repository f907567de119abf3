"""What a pod sends back of its workers' files: the same rows, on the run's clock, in logs that only grow.

The workers write today's files on the pod's own disk. They are followed as they grow, and what the recording is to
have is appended to a log, which the collector copies byte by byte: hits and connections are Arrow streams and answers
are lines, exactly as the recording has them. A log is kept until the end, so what did not arrive is sent again.

Every hit that was not answered as expected is sent, and so is every connection. Good hits are sent while they fit;
of more, some stand for all.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from harness.fleet.frames import ANSWERS, CONNECTIONS, HEALTH, HITS, LogName
from harness.load.rows.thinning import good_hits, representative, strata_of
from harness.recording import folder
from harness.recording.write import CONNECTION_SCHEMA, HIT_SCHEMA, ArrowStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.fleet.clocks import Course
    from harness.model import HealthSample, LoadPlan

_POLL_S = 0.05
_MOMENTS = frozenset({"due_ns", "sent_ns", "first_byte_ns", "done_ns", "opened_ns", "closed_ns"})


class Growing:
    """A file that is still being written, for a reader that wants whole reads: each waits for its bytes."""

    closed = False

    def __init__(self, path: Path, over: threading.Event) -> None:
        self._file = path.open("rb", buffering=0)
        self._over = over

    def read(self, size: int = -1) -> bytes:
        """Return this many bytes. Fewer only if the writer has ended."""
        pieces: list[bytes] = []
        while size:
            over = self._over.is_set()  # asked before reading: what is not there then will never come
            if piece := self._file.read(size):
                pieces.append(piece)
                size -= len(piece)
            elif over:
                break
            else:
                time.sleep(_POLL_S)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Followed:
    """The batches of a worker's .arrow file, as they are written, read by a thread of its own."""

    def __init__(self, path: Path, over: threading.Event) -> None:
        self._batches: SimpleQueue[pa.RecordBatch] = SimpleQueue()
        self._file = Growing(path, over)
        self._thread = threading.Thread(target=self._read, name=f"follows {path.name}", daemon=True)
        self._thread.start()

    def take(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches that have come since the last call."""
        while True:
            try:
                yield self._batches.get_nowait()
            except Empty:
                return

    def join(self) -> None:
        """Wait until everything has been read, once the writer has ended."""
        self._thread.join()
        self._file.close()

    def _read(self) -> None:
        try:
            with pa.ipc.open_stream(pa.PythonFile(self._file, mode="r")) as reader:
                for batch in reader:
                    self._batches.put(batch)
        except (pa.ArrowInvalid, OSError):
            return  # cut off, as a killed worker leaves it: all before the cut has been read


class Log:
    """A file that only grows, and can be read from anywhere."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._fd = -1

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return os.fstat(self._opened()).st_size if self._path.exists() else 0

    def append(self, content: bytes) -> None:
        """Add to it."""
        with folder.append(self._path) as file:
            file.write(content)

    def read(self, offset: int, most: int) -> bytes:
        """Return what it has from this byte on."""
        return os.pread(self._opened(), most, offset)

    def _opened(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd


class Spool:
    """One worker's files and its logs."""

    def __init__(self, worker: int, plan: LoadPlan, written: Path, sent: Path) -> None:
        self._worker = worker
        self._plan = plan
        self._over = threading.Event()
        self._hits = Followed(written / HITS / f"{worker}.arrow", self._over)
        self._connections = Followed(written / CONNECTIONS / f"{worker}.arrow", self._over)
        self._answers = written / ANSWERS / f"{worker}.jsonl"
        self._answers_read = 0
        paths = {
            LogName(kind, worker): sent / kind / f"{worker}{ending}"
            for kind, ending in (
                (ANSWERS, ".jsonl"),
                (HEALTH, ".jsonl"),
                (CONNECTIONS, ".arrow"),
                (HITS, ".arrow"),
            )
        }
        self.logs = {name: Log(path) for name, path in paths.items()}
        self._to_hits = ArrowStream(paths[LogName(HITS, worker)], HIT_SCHEMA, worker)
        self._to_connections = ArrowStream(paths[LogName(CONNECTIONS, worker)], CONNECTION_SCHEMA, worker)

    def health(self, sample: HealthSample) -> None:
        """Append one second of the worker's health."""
        line = json.dumps(asdict(sample), separators=(",", ":")) + "\n"
        self.logs[LogName(HEALTH, self._worker)].append(line.encode())

    def turn(self, course: Course, keep: int) -> None:
        """Take over what the worker has written since the last turn: at most `keep` good rows or so."""
        batches = list(self._hits.take())
        self._take_answers()  # after the rows: each row's answer was written before it
        for batch in self._connections.take():
            self._to_connections.append(_moved(batch, course).columns)
        moved = [_moved(batch, course) for batch in batches]
        each = share(moved, keep, self._plan)
        for batch in moved:
            self._to_hits.append(representative(batch, each, self._plan.expect).columns)

    def finish(self, course: Course, keep: int) -> None:
        """Take over the rest, once the worker has ended."""
        self._over.set()
        self._hits.join()
        self._connections.join()
        self.turn(course, keep)
        self._to_hits.close()
        self._to_connections.close()

    def _take_answers(self) -> None:
        if not self._answers.exists():
            return
        with self._answers.open("rb") as file:
            file.seek(self._answers_read)
            whole = file.read().rpartition(b"\n")
        if new := b"".join(whole[:2]):
            self._answers_read += len(new)
            self.logs[LogName(ANSWERS, self._worker)].append(new)


def share(batches: list[pa.RecordBatch], keep: int, plan: LoadPlan) -> int:
    """Return how many good rows of each stratum may stay, so that about `keep` of all these batches do."""
    good = [good_hits(batch, plan.expect) for batch in batches]
    total = sum(int(each.sum()) for each in good)
    if total <= keep:
        return max(1, total)
    parts = sum(strata_of(batch, np.flatnonzero(each)) for batch, each in zip(batches, good, strict=True))
    return max(1, keep // max(1, parts))


def _moved(batch: pa.RecordBatch, course: Course) -> pa.RecordBatch:
    """Put the moments of a batch on the run's clock."""
    columns = [
        pa.array(course.on_the_runs_clock(column.to_numpy())) if name in _MOMENTS else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema.remove_metadata())
