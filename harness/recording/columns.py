"""Record batches -> a data frame, column by column into arrays of their final size, so that no data is held twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.recording.answers import MOST, OTHER, Answers
from harness.recording.write import LATER

if TYPE_CHECKING:
    from collections.abc import Sequence


_ANSWER = "answer"
MOST_WORDS = 1 << 16  # of one column: pods, addresses, ways to end


class TooManyWordsError(Exception):
    """A column of text has more distinct words than a run can have."""


class NoAnswerError(Exception):
    """A row points to an answer that no worker can have kept."""


class Columns:
    """Columns being filled. Text columns become categories, in the order in which their words were first seen."""

    def __init__(self, fields: Sequence[pa.Field], rows: int, answers: Answers | None = None) -> None:
        self._at = 0
        self._answers = answers or Answers()
        self._placed: dict[int, Any] = {}  # by worker: the place of each value of its column `answer`
        self._fields = fields
        self._numbers: dict[str, Any] = {"worker": np.empty(rows, dtype=np.uint16)}
        self._words: dict[str, dict[str, int]] = {}
        self._last: dict[str, tuple[pa.Array, Any]] = {}  # a batch's words, and the code of each
        for field in fields:
            if pa.types.is_dictionary(field.type):
                self._words[field.name] = {}
                self._numbers[field.name] = np.empty(rows, dtype=np.int32)
            elif (
                field.name == _ANSWER
            ):  # wider than in the file: all workers together have more answers than one
                self._numbers[field.name] = np.empty(rows, dtype=np.int32)
            else:
                self._numbers[field.name] = np.empty(rows, dtype=field.type.to_pandas_dtype())

    def take(self, batch: pa.RecordBatch, worker: int) -> None:
        """Append a batch of one worker."""
        rows = slice(self._at, self._at + batch.num_rows)
        if rows.stop > len(self._numbers["worker"]):  # written since the rows were counted
            return
        self._at += batch.num_rows
        self._numbers["worker"][rows] = worker
        for field in self._fields:
            at = batch.schema.get_field_index(field.name)
            if at < 0:  # the recording is older than the column
                self._numbers[field.name][rows] = LATER[field.name]
                continue
            column = batch.column(at)
            if field.name in self._words:
                known = self._words[field.name]
                codes = column.indices.to_numpy(zero_copy_only=False)
                translated = self._translate(field.name, column.dictionary, known)
                self._numbers[field.name][rows] = translated[codes] if len(codes) else codes
            elif field.name == _ANSWER:
                self._numbers[field.name][rows] = self._place(worker, column.to_numpy(zero_copy_only=False))
            else:
                self._numbers[field.name][rows] = column.to_numpy(zero_copy_only=False)

    def _place(self, worker: int, indices: Any) -> Any:
        """Translate a worker's own indices into places among the answers of the whole recording."""
        if len(indices) and not OTHER <= indices.min() <= indices.max() < MOST:
            raise NoAnswerError(f"column {_ANSWER} has a value that no run can have")
        places = self._placed.get(worker)
        if places is None:
            found = [self._answers.place(worker, index) for index in range(OTHER, MOST)]
            places = self._placed[worker] = np.array(found, dtype=np.int32)
        return places[indices.astype(np.int64) - OTHER]

    def _translate(self, name: str, words: pa.Array, known: dict[str, int]) -> Any:
        """Return the code of each of a batch's words. Most batches have the words of the one before."""
        last, codes = self._last.get(name, (None, None))
        if last is None or not words.equals(last):
            if len(words) > MOST_WORDS or len(known) > MOST_WORDS:
                raise TooManyWordsError(f"column {name} has over {MOST_WORDS:,} words")
            codes = np.array(
                [known.setdefault(word, len(known)) for word in words.to_pylist()], dtype=np.int32
            )
            self._last[name] = words, codes
        return codes

    def frame(self) -> pd.DataFrame:
        """Return all rows as a frame that shares these arrays; `worker` is its last column."""
        found: dict[str, Any] = {}
        for field in self._fields:
            values = self._numbers.pop(field.name)[: self._at]
            if field.name in self._words:
                words = list(self._words[field.name])
                values = pd.Categorical.from_codes(values, categories=pd.Index(words, dtype=object))
            found[field.name] = values
        found["worker"] = self._numbers.pop("worker")[: self._at]
        return pd.DataFrame(found, copy=False)
