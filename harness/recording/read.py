"""The only reader of a run directory. It accepts what a crash leaves behind, and no other damage.

A crash leaves Arrow files cut at any byte (every whole batch before the cut counts), half a last line in a .jsonl
file (dropped), missing files (read as empty), and a run.json whose state is still "running". Anything else that does
not fit is a RecordingError of one line. A recording may come from a stranger: no link in it is followed, sizes are
bounded, and numbers, names and types are checked.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import TypeAdapter, ValidationError

from harness.errors import RecordingError
from harness.model import FORMAT, NEVER, ClusterEvent, HealthSample, RunRecord, WatchGap
from harness.recording import answers, folder, shapes, streams
from harness.recording.batches import Stream
from harness.recording.bounds import LONGEST_NS, MOST_WORKERS, check_rows, check_run, is_moment, is_sparse
from harness.recording.bytime.columns import Columns, Places, TooManyWordsError
from harness.recording.bytime.index import Index
from harness.recording.bytime.reading import ROW, read
from harness.recording.bytime.stretches import Stretch, cut
from harness.recording.folder import MIB
from harness.recording.jsontext import parse
from harness.recording.upstreams import access_log, kept
from harness.recording.write import CONNECTION_SCHEMA, HIT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from harness.recording.answers import Answer, Answers
    from harness.recording.upstreams import AccessLog, Upstreams


_MOST_TEXT = 64 * MIB
_MOST_LINES = 1024 * MIB
_WORKER = re.compile(r"(0|[1-9][0-9]{0,4})\.arrow")
_LAST_WORKER = 0xFFFF


class Recording:
    """A run directory, opened for reading. Only small files are held in memory, each once it was asked for."""

    at_once = 1 << 20  # hits that are held in memory at a time, about

    def __init__(self, path: Path, run: RunRecord) -> None:
        self.path = path
        self.run = run
        self._index: Index | None = None
        self._stretches: tuple[Stretch, ...] | None = None
        self._lines: tuple[list[ClusterEvent], list[WatchGap]] | None = None
        self._answers: Answers | None = None
        self._log: AccessLog | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory.

        Raises RecordingError, one line, if there is no such folder, no run.json in it, or a run.json that has a
        newer format or is not ours.
        """
        if not path.is_dir():
            what = "it is a file" if path.exists() else "no such folder"
            raise RecordingError(
                f"{path}: {what}; give the folder of one run, such as results/20261125T140211Z-web"
            )
        file = path / "run.json"
        raw, text = _json(
            path,
            "run.json",
            f"{path} is not a run folder: there is no run.json in it; give the folder of one run",
        )
        if not isinstance(raw, dict) or not isinstance(raw.get("format"), int):
            raise RecordingError(f"{file} was not written by zdtest: it has no format number")
        if raw["format"] > FORMAT:
            raise RecordingError(
                f"{file} has format {raw['format']}, this zdtest reads up to "
                f"{FORMAT}: use the newer zdtest that wrote it"
            )
        try:
            run: RunRecord = _adapter(RunRecord).validate_json(text, strict=True)
        except ValidationError as error:
            raise RecordingError(f"{file}: {_first(error)}") from error
        check_run(run, file)
        return cls(path, run)

    def hits(self, columns: Sequence[str] | None = None, within: Stretch | None = None) -> pd.DataFrame:
        """Return one row per hit of all workers: the columns asked for (default all) and `worker`.

        Columns are those of write.HIT_SCHEMA, text as categories; the rows of one worker are in the order in which
        its hits ended. A file that was cut off gives all its whole batches. `answer` is a place in `answers()`, or
        answers.NONE or OTHER; in a recording older than the column, it is always NONE. `within`: only the hits of one
        stretch of the run. Asked for by name, the column `row` has the number of each row.
        """
        names = [name for name in HIT_SCHEMA.names if columns is None or name in columns]
        names += [ROW] if columns is not None and ROW in columns else []
        span = (within.from_ns, within.to_ns) if within else (NEVER, LONGEST_NS + 1)
        try:
            return read(self._hits(), names, span, Places(self._kept()) if "answer" in names else None)
        except MemoryError:
            raise RecordingError(f"{self.path / 'hits'} does not fit into this machine's memory") from None

    def stretches(self) -> tuple[Stretch, ...]:
        """Cut the run into stretches of time that have about `at_once` hits each: one, for most runs."""
        if self._stretches is None:
            self._stretches = cut(self._hits().batches, self.at_once)
        return self._stretches

    def weighted(self) -> bool:
        """Whether a row stands for several hits."""
        return self._hits().weighted

    def words(self, column: str) -> tuple[str, ...]:
        """Return the words of a column of text of the hits, in the order in which they were first seen."""
        return tuple(self._hits().words[column].known)

    def answers(self) -> tuple[Answer, ...]:
        """Return the distinct failed answers of all workers, and some good ones that identify the server; may be ()."""
        return self._kept().known

    def lost_answers(self) -> int:
        """Return how many answers are damaged in the recording. Their hits have answers.OTHER."""
        return self._kept().lost

    def connections(self) -> pd.DataFrame:
        """Return one row per connection of all workers: the columns of write.CONNECTION_SCHEMA and `worker`."""
        return self._table("connections", CONNECTION_SCHEMA)

    def streams(self) -> pd.DataFrame:
        """Return one row per stream of all workers: the columns of streams.STREAM_SCHEMA and `worker`."""
        return self._table(streams.FOLDER, streams.STREAM_SCHEMA)

    def _table(self, kind: str, schema: pa.Schema) -> pd.DataFrame:
        numbers, file = self._workers(kind), self.path / kind
        # Counted first, so that each column is allocated once, in its final size: a long run has gigabytes of them.
        files = [Stream(self.path, f"{kind}/{n}.arrow", schema, schema.names) for n in numbers]
        try:
            table = Columns(list(schema), sum(one.rows for one in files))
            for number, one in zip(numbers, files, strict=True):
                for batch in one.batches():
                    table.take(batch, number)
        except TooManyWordsError as error:
            raise RecordingError(f"{file} is damaged: {error}") from None
        except MemoryError:
            raise RecordingError(f"{file} does not fit into this machine's memory") from None
        frame = table.frame()
        check_rows(frame, self.run, file)
        return frame

    def batches(self, kind: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the "hits", "connections" or "streams" of each worker in batches as they were written, with its number.

        It needs the memory of one batch. Columns are those of the schema that the file has: a recording may be older
        than one. `answer` is the worker's own index: `answer_of` says which answer that is.
        """
        schema = {"hits": HIT_SCHEMA, "streams": streams.STREAM_SCHEMA}.get(kind, CONNECTION_SCHEMA)
        for number in self._workers(kind):
            for batch in Stream(self.path, f"{kind}/{number}.arrow", schema, schema.names).batches():
                check_rows(batch.to_pandas(), self.run, self.path / kind)
                yield number, batch

    def answer_of(self, worker: int, index: int) -> Answer | None:
        """Return the answer with a worker's own index; None if there was none, or it was not kept."""
        place = self._kept().place(worker, index)
        return self._kept().known[place] if place >= 0 else None

    def workers(self) -> tuple[int, ...]:
        """Return the numbers of the workers that have left hits behind, even if none could be read."""
        return tuple(self._workers("hits"))

    def events(self) -> list[ClusterEvent]:
        """Return the cluster events in the order in which they were received."""
        return self._events()[0]

    def gaps(self) -> list[WatchGap]:
        """Return the gaps of the watch in the order in which they ended."""
        return self._events()[1]

    def upstreams(self) -> Upstreams:
        """Return the pods' addresses that failed hits were sent to, as far as an access log was given."""
        return kept(self.path)

    def access_log(self) -> AccessLog:
        """Return all that the balancer's access log says about failed hits; empty if none was given."""
        if self._log is None:
            self._log = access_log(self.path)
        return self._log

    def health(self) -> list[HealthSample]:
        """Return the generator's own health, one sample per worker and second."""
        file = self.path / "generator.jsonl"
        found = [
            _decode(HealthSample, line, file, number)
            for number, line in _json_lines(self.path, "generator.jsonl")
        ]
        moments = [sample.t_ns for sample in found]
        if found and (
            is_sparse(min(moments), max(moments), len(found))
            or len({sample.worker for sample in found}) > MOST_WORKERS
        ):
            raise RecordingError(
                f"{file} is damaged: its lines are of too many workers, or of too long a time"
            )
        return found

    def manifests(self, when: str) -> list[dict[str, Any]]:
        """Return the live objects as they were `before` or `after`; empty if they were not kept."""
        file = self.path / "manifests" / f"{when}.json"
        raw, _ = _json(self.path, f"manifests/{when}.json", "")
        if raw is None:
            return []
        return shapes.objects(raw, file)

    def _events(self) -> tuple[list[ClusterEvent], list[WatchGap]]:
        if self._lines is None:
            file = self.path / "events.jsonl"
            events: list[ClusterEvent] = []
            gaps: list[WatchGap] = []
            for number, line in _json_lines(self.path, "events.jsonl"):
                if line.get("gap") is True:
                    gaps.append(
                        _decode(WatchGap, {k: v for k, v in line.items() if k != "gap"}, file, number)
                    )
                else:
                    event = _decode(ClusterEvent, line, file, number)
                    if at := shapes.wrong(event.object, shapes.of(event.kind)):
                        raise RecordingError(
                            f"{file}, line {number}: object.{at}: no Kubernetes object has this value"
                        )
                    events.append(event)
            self._lines = (events, gaps)
        return self._lines

    def _kept(self) -> Answers:
        if self._answers is None:
            self._answers = answers.kept(self.path, self._workers("hits"))
        return self._answers

    def _workers(self, kind: str) -> list[int]:
        """Return the numbers of the workers that have a file of this kind. Files with other names are ignored."""
        numbers = (_WORKER.fullmatch(name) for name in folder.names(self.path, kind))
        return sorted(int(found[1]) for found in numbers if found and int(found[1]) <= _LAST_WORKER)

    def _hits(self) -> Index:
        if self._index is None:
            self._index = Index(self.path, self._workers("hits"), self.run)
        return self._index


def _json(root: Path, name: str, missing: str) -> tuple[Any, bytes]:
    """Return a file's value and its text; None if it is missing. Raises RecordingError(missing) if that is given."""
    try:
        text = folder.read(root, name, _MOST_TEXT)
    except FileNotFoundError as error:
        if missing:
            raise RecordingError(missing) from error
        return None, b""
    try:
        return parse(text), text
    except ValueError as error:
        raise RecordingError(f"{root / name} is not JSON: {error}") from error


def _json_lines(root: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines with their numbers. Half a last line, which a kill leaves, is dropped."""
    file = root / name
    try:
        raw = folder.read(root, name, _MOST_LINES)
    except FileNotFoundError:
        return
    rows = raw.split(b"\n")
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        try:
            line = parse(row)
        except ValueError as error:
            if number == len(rows):
                break
            raise RecordingError(f"{file}, line {number}: not JSON ({error})") from error
        if not isinstance(line, dict):
            if number == len(rows):  # half a line can be JSON of another kind
                break
            raise RecordingError(f"{file}, line {number}: not a JSON object")
        yield number, line


def _decode(kind: Any, line: dict[str, Any], file: Path, number: int) -> Any:
    try:
        found = _adapter(kind).validate_python(line)
    except ValidationError as error:
        raise RecordingError(f"{file}, line {number}: {_first(error)}") from error
    # All integers of such a line are moments, or counts that have the same bounds.
    for name in found.__slots__:
        value = getattr(found, name)
        if isinstance(value, int) and not is_moment(value):
            raise RecordingError(f"{file}, line {number}: {name}: no run can have this value")
    return found


def _first(error: ValidationError) -> str:
    """Say the first thing that is wrong, in one line."""
    fault = error.errors()[0]
    return f"{'.'.join(str(part) for part in fault['loc']) or 'the whole'}: {fault['msg']}"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
