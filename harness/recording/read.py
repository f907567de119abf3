"""The only reader of a run directory. Forgives what a crash leaves behind, and nothing else.

A crash leaves: Arrow files cut at any byte (every whole batch before the cut counts), half a last line in a
.jsonl file (dropped), files that were never begun (empty), and a run.json whose state is still "running".
Anything else that does not fit is a RecordingError of one line.
"""

from __future__ import annotations

import contextlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from harness.errors import RecordingError
from harness.model import FORMAT, ClusterEvent, HealthSample, RunRecord, WatchGap
from harness.recording.columns import Columns
from harness.recording.upstreams import kept
from harness.recording.write import CONNECTION_SCHEMA, HIT_SCHEMA, LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from harness.recording.upstreams import Upstreams


class Recording:
    """A run directory, opened for reading. Nothing is held in memory but run.json and the events."""

    def __init__(self, path: Path, run: RunRecord) -> None:
        self.path = path
        self.run = run
        self._lines: tuple[list[ClusterEvent], list[WatchGap]] | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory.

        Raises RecordingError, one line, when there is no such folder, no run.json in it, or a run.json that is
        of a newer format or not one of ours.
        """
        if not path.is_dir():
            what = "it is a file" if path.exists() else "no such folder"
            raise RecordingError(
                f"{path}: {what}; give the folder of one run, such as results/20261125T140211Z-web"
            )
        file = path / "run.json"
        raw = _json(file, f"{path} is no run directory: there is no run.json in it")
        if not isinstance(raw, dict) or not isinstance(raw.get("format"), int):
            raise RecordingError(f"{file} was not written by zdtest: it has no format number")
        if raw["format"] > FORMAT:
            raise RecordingError(
                f"{file} has format {raw['format']}, this zdtest reads up to {FORMAT}: use the newer zdtest that wrote it"
            )
        try:
            run: RunRecord = _adapter(RunRecord).validate_json(file.read_bytes(), strict=True)
        except ValidationError as error:
            raise RecordingError(f"{file}: {_first(error)}") from error
        return cls(path, run)

    def hits(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per hit of all workers: the columns asked for (default all) and `worker`.

        Columns are those of write.HIT_SCHEMA, text as categories; rows of one worker stand in the order in which
        they ended. A file that was cut off gives all its whole batches.
        """
        return self._table("hits", HIT_SCHEMA, columns)

    def connections(self) -> pd.DataFrame:
        """Return one row per connection of all workers: the columns of write.CONNECTION_SCHEMA and `worker`."""
        return self._table("connections", CONNECTION_SCHEMA, None)

    def workers(self) -> tuple[int, ...]:
        """Return the numbers of the workers that have left hits behind, even if none could be read."""
        return tuple(sorted(int(file.stem) for file in self._files("hits")))

    def events(self) -> list[ClusterEvent]:
        """Return the cluster events in the order in which they were received."""
        return self._events()[0]

    def gaps(self) -> list[WatchGap]:
        """Return the gaps of the watch in the order in which they ended."""
        return self._events()[1]

    def upstreams(self) -> Upstreams:
        """Return the pods' addresses that failed hits were sent to, where an access log was brought."""
        return kept(self.path)

    def health(self) -> list[HealthSample]:
        """Return the generator's own health, one sample per worker and second."""
        file = self.path / "generator.jsonl"
        return [_decode(HealthSample, line, file, number) for number, line in _json_lines(file)]

    def manifests(self, when: str) -> list[dict[str, Any]]:
        """Return the live objects as they were `before` or `after`; empty when they were not kept."""
        file = self.path / "manifests" / f"{when}.json"
        if not file.exists():
            return []
        raw = _json(file, f"{file} went away while it was read")
        if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
            raise RecordingError(f"{file} does not hold a list of Kubernetes objects")
        return raw

    def _events(self) -> tuple[list[ClusterEvent], list[WatchGap]]:
        if self._lines is None:
            file = self.path / "events.jsonl"
            events: list[ClusterEvent] = []
            gaps: list[WatchGap] = []
            for number, line in _json_lines(file):
                if line.get("gap") is True:
                    gaps.append(
                        _decode(WatchGap, {k: v for k, v in line.items() if k != "gap"}, file, number)
                    )
                else:
                    events.append(_decode(ClusterEvent, line, file, number))
            self._lines = (events, gaps)
        return self._lines

    def _files(self, folder: str) -> list[Path]:
        return sorted(
            (f for f in (self.path / folder).glob("*.arrow") if f.stem.isdigit()), key=lambda f: int(f.stem)
        )

    def _table(self, folder: str, schema: pa.Schema, columns: Sequence[str] | None) -> pd.DataFrame:
        names = [name for name in schema.names if columns is None or name in columns]
        files = self._files(folder)
        # Counted first, so that each column is made once, in its final size: a long run has gigabytes of them.
        table = Columns([schema.field(name) for name in names], sum(_rows(f, schema, names) for f in files))
        for file in files:
            try:
                for batch in _batches(file, schema, names, mapped=False):
                    table.take(batch, int(file.stem))
            except IndexError as error:
                raise RecordingError(
                    f"{file} is damaged: a row names what is in no list of its names"
                ) from error
        return table.frame()


def _rows(file: Path, schema: pa.Schema, names: list[str]) -> int:
    """Count the rows of all whole batches. Mapped, so that only their heads are read."""
    return sum(batch.num_rows for batch in _batches(file, schema, names, mapped=True))


def _batches(file: Path, schema: pa.Schema, names: list[str], *, mapped: bool) -> Iterator[pa.RecordBatch]:
    """Read batch by batch until the end or the cut.

    Raises RecordingError when the file is whole enough to show columns, and they are not ours.
    """
    if file.stat().st_size == 0:  # cannot be mapped
        return
    # pyarrow has no type of its own for a stream that stops in the middle: it says invalid, or OSError.
    with (
        pa.memory_map(str(file)) if mapped else pa.OSFile(str(file)) as source,
        contextlib.suppress(pa.ArrowInvalid, OSError, StopIteration),
    ):
        found = pa.ipc.open_stream(source).schema
        odd = [
            name
            for name in names
            if (name not in found.names and name not in LATER)
            or (name in found.names and found.field(name).type != schema.field(name).type)
        ]
        if odd:
            raise RecordingError(
                f"{file}: column {odd[0]} is missing or of another type than this zdtest reads"
            )
        there = [found.get_field_index(name) for name in names if name in found.names]
        options = pa.ipc.IpcReadOptions(included_fields=there)
        source.seek(0)
        reader = pa.ipc.open_stream(source, options=options)
        while True:
            yield reader.read_next_batch()


def _json(file: Path, missing: str) -> Any:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise RecordingError(missing) from error
    except OSError as error:
        raise RecordingError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordingError(f"{file} is not JSON: {error}") from error


def _json_lines(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the lines with their numbers. Half a last line is what a kill leaves, and is dropped."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordingError(f"{file} cannot be read: {error.strerror}") from error
    rows = raw.split(b"\n")
    found: list[tuple[int, dict[str, Any]]] = []
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        try:
            line = json.loads(row)
        except ValueError as error:
            if number == len(rows):
                break
            raise RecordingError(f"{file}, line {number}: not JSON ({error})") from error
        if not isinstance(line, dict):
            if number == len(rows):  # half a line can be JSON of another kind
                break
            raise RecordingError(f"{file}, line {number}: not a JSON object")
        found.append((number, line))
    return found


def _decode(kind: Any, line: dict[str, Any], file: Path, number: int) -> Any:
    try:
        return _adapter(kind).validate_python(line)
    except ValidationError as error:
        raise RecordingError(f"{file}, line {number}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """Say the first thing that is wrong, in one line."""
    fault = error.errors()[0]
    return f"{'.'.join(str(part) for part in fault['loc']) or 'the whole'}: {fault['msg']}"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
