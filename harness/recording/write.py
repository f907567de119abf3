"""The only writer of a run directory. Workers import it, so it uses pyarrow and json, but not pandas.

    <dir>/run.json  hits/<worker>.arrow  connections/<worker>.arrow  answers/<worker>.jsonl
    events.jsonl  generator.jsonl  manifests/{before,after}.json
    verdict.json  summary.txt  summary.md  timeline.png

The .arrow files are Arrow IPC *streams*, about one batch a second: if one is cut off at any byte, all batches before
the cut can be read. The .jsonl files lose at most their last line. Only the owner can read any of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TextIO

import numpy as np
import pyarrow as pa

from harness import masking
from harness.errors import RecordingError
from harness.model import OUTCOMES, ClusterEvent, HealthSample, RunRecord, WatchGap
from harness.recording import answers
from harness.recording.folder import FOLDER_MODE, append, create, new_folder, unwritable, write_text

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

_NAMES = pa.dictionary(pa.int32(), pa.string())

# One row per hit. A moment that did not come is -1 (model.NEVER); a status that did not come is 0.
HIT_SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),  # of this worker, in order of sending
        ("slot", pa.uint16()),
        ("conn", pa.int32()),  # this worker's connection number, -1 when none was opened
        # Hits the connection had carried before this one. 0: it was sent on a new connection, else on a reused one.
        # Where `conn` is -1 no connection was opened, so it is neither. Over HTTP/2, the hit's stream is this * 2 + 1.
        ("conn_hits", pa.int32()),
        ("due_ns", pa.int64()),  # when the slot wanted to send; latency = done_ns - due_ns
        ("sent_ns", pa.int64()),
        ("first_byte_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("status", pa.uint16()),
        ("outcome", pa.dictionary(pa.uint8(), pa.string())),
        ("bytes_in", pa.int64()),  # of this response on the wire above TLS, head included
        ("bytes_out", pa.int64()),
        ("target", pa.uint16()),  # index into run.json's targets
        ("peer", _NAMES),  # address:port connected to, "" when none
        ("pod", _NAMES),  # named by a response header, "" when none
        # A whole response whose body ended with the connection: one that was cut off looks the same.
        ("until_close", pa.bool_()),
        # A failed answer: `index` of a line of answers/<worker>.jsonl, answers.NONE or answers.OTHER. Read back as a
        # place in Recording.answers().
        ("answer", pa.int16()),
        # How many hits this row stands for, itself included. Over 1 only where good hits were thinned out
        # (load/rows/thinning.py); files in which every row is one hit lack the column.
        ("stands_for", pa.uint32()),
    ]
)
# What a worker writes: every hit is a row.
WORKER_SCHEMA = HIT_SCHEMA.remove(HIT_SCHEMA.get_field_index("stands_for"))
# Columns that files may lack, because they are older or need none, and the values that are read instead.
LATER: dict[str, Any] = {"until_close": False, "answer": answers.NONE, "stands_for": 1}

# One row per connection, written when it is closed, or failed to open.
CONNECTION_SCHEMA = pa.schema(
    [
        ("conn", pa.int32()),
        ("slot", pa.uint16()),
        ("peer", _NAMES),
        ("opened_ns", pa.int64()),  # when connecting began
        ("connect_ns", pa.int64()),  # how long TCP took, -1 when it failed
        ("tls_ns", pa.int64()),  # how long the handshake took, -1 without TLS
        ("closed_ns", pa.int64()),
        ("closed_by", _NAMES),  # us | peer | network
        ("how", _NAMES),  # fin | goaway | reset | timeout | refused | error | end | limit | unasked
        ("hits", pa.int32()),
        ("tls_version", _NAMES),
    ]
)


def _texts(words: list[str]) -> pa.Array:
    """Build an array of text without `pa.array`, which imports pandas if it is installed."""
    ends = np.cumsum([0, *(len(word.encode()) for word in words)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer("".join(words).encode())]
    return pa.Array.from_buffers(pa.string(), len(words), buffers)


OUTCOME_NAMES = _texts([outcome.value for outcome in OUTCOMES])


class ArrowStream:
    """One worker's columns on their way to disk."""

    def __init__(self, path: Path, schema: pa.Schema, worker: int) -> None:
        self._file: BinaryIO = create(path)
        self._schema = schema.with_metadata({"worker": str(worker), "format": "1"})
        # Dictionaries grow during a run (a new pod, a new peer): a stream takes deltas of them.
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._writer = pa.ipc.new_stream(self._file, self._schema, options=options)

    def append(self, arrays: list[pa.Array]) -> None:
        """Write one batch (arrays in the schema's order) and hand it to the operating system."""
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._file.flush()

    def close(self) -> None:
        """End the stream properly. A reader does not depend on it."""
        self._writer.close()
        self._file.close()


class JsonLines:
    """One JSON object a line, flushed line by line."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = io.TextIOWrapper(create(path), encoding="utf-8", errors="backslashreplace")

    def append(self, line: dict[str, Any]) -> None:
        """Write one line."""
        self._file.write(json.dumps(line, separators=(",", ":"), default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # a line that could not be written was complained of then
            self._file.close()


class RunDirectory:
    """A run directory being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events = JsonLines(path / "events.jsonl")
        self._health = JsonLines(path / "generator.jsonl")

    @classmethod
    def create(cls, root: Path, name: str, when: datetime) -> Self:
        """Make `<root>/<20261125T140211Z>-<name>`, with `-2`, `-3` … on collision.

        Raises RecordingError when the folder cannot be made or written.
        """
        path = new_folder(root, name, when)
        try:
            for sub in ("hits", "connections", "answers", "manifests"):
                (path / sub).mkdir(mode=FOLDER_MODE)
            return cls(path)
        except OSError as error:
            raise unwritable(root, error) from error

    def event(self, event: ClusterEvent) -> None:
        """Append one cluster event."""
        self._events.append(dataclasses.asdict(event))

    def gap(self, gap: WatchGap) -> None:
        """Append one gap of the watch."""
        self._events.append({"gap": True, **dataclasses.asdict(gap)})

    def keep(self, item: ClusterEvent | WatchGap) -> None:
        """Append what the watch yields: an event or a gap."""
        if isinstance(item, WatchGap):
            self.gap(item)
        else:
            self.event(item)

    def health(self, sample: HealthSample) -> None:
        """Append one second of one worker's health."""
        self._health.append(dataclasses.asdict(sample))

    def manifests(self, when: str, objects: list[dict[str, Any]]) -> None:
        """Keep the live objects (already reduced) as they were `before` or `after`."""
        write_json(self.path / "manifests" / f"{when}.json", objects)

    def run(self, record: RunRecord) -> None:
        """Rewrite run.json. Never leaves half a file behind."""
        write_json(self.path / "run.json", dataclasses.asdict(record))

    def command_log(self) -> BinaryIO:
        """Open command.log, for what the trigger's command prints."""
        return append(self.path / "command.log")

    def mask_command_log(self) -> None:
        """Mask what looks like a secret in command.log, once the command has ended."""
        path = self.path / "command.log"
        with contextlib.suppress(OSError):
            write_text(path, masking.prose(path.read_text(encoding="utf-8", errors="backslashreplace")))

    def close(self) -> None:
        """Close the line files."""
        self._events.close()
        self._health.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_json(path: Path, value: object) -> None:
    """Write JSON in one step: a reader sees the old file or the new one."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def say_balancer(path: Path, record: RunRecord, name: str) -> None:
    """Record a run's balancer in its run.json. Raises RecordingError if that cannot be written."""
    said = dataclasses.replace(record, scenario={**record.scenario, "balancer": name})
    try:
        write_json(path / "run.json", dataclasses.asdict(said))
    except OSError as error:
        raise RecordingError(f"cannot write {path / 'run.json'}: {error.strerror}") from None
