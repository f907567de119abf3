"""Record batches -> a data frame, column by column into arrays of their final size, so that no data is held twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.recording.answers import MOST, OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.answers import Answers

ANSWER = "answer"
MOST_WORDS = 1 << 16  # of one column: pods, addresses, ways to end


class TooManyWordsError(Exception):
    """A column of text has more distinct words than a run can have."""


class NoAnswerError(Exception):
    """A row points to an answer that no worker can have kept."""


class Words:
    """The words of a column of text, in the order in which they were first seen."""

    def __init__(self, name: str) -> None:
        self.known: dict[str, int] = {}
        self._name = name
        self._last: tuple[pa.Array, Any] | None = None  # a batch's words, and the code of each

    def codes(self, words: pa.Array) -> Any:
        """Return the code of each of a batch's words. Most batches have the words of the one before."""
        if self._last is None or not words.equals(self._last[0]):
            if len(words) > MOST_WORDS or len(self.known) > MOST_WORDS:
                raise TooManyWordsError(f"column {self._name} has over {MOST_WORDS:,} words")
            codes = [self.known.setdefault(word, len(self.known)) for word in words.to_pylist()]
            self._last = words, np.array(codes, dtype=np.int32)
        return self._last[1]

    def column(self, codes: Any) -> pd.Categorical:
        """Return a column of text from the codes of its rows."""
        return pd.Categorical.from_codes(codes, categories=pd.Index(list(self.known), dtype=object))


class Columns:
    """Columns being filled. Text columns become categories, in the order in which their words were first seen."""

    def __init__(self, fields: Sequence[pa.Field], rows: int) -> None:
        self._at = 0
        self._fields = fields
        self._numbers: dict[str, Any] = {"worker": np.empty(rows, dtype=np.uint16)}
        self._words: dict[str, Words] = {}
        for field in fields:
            if pa.types.is_dictionary(field.type):
                self._words[field.name] = Words(field.name)
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
            column = batch[field.name]
            if field.name in self._words:
                codes = column.indices.to_numpy(zero_copy_only=False)
                translated = self._words[field.name].codes(column.dictionary)
                self._numbers[field.name][rows] = translated[codes] if len(codes) else codes
            else:
                self._numbers[field.name][rows] = column.to_numpy(zero_copy_only=False)

    def frame(self) -> pd.DataFrame:
        """Return all rows as a frame that shares these arrays; `worker` is its last column."""
        found: dict[str, Any] = {}
        for field in self._fields:
            values = self._numbers.pop(field.name)[: self._at]
            found[field.name] = (
                self._words[field.name].column(values) if field.name in self._words else values
            )
        found["worker"] = self._numbers.pop("worker")[: self._at]
        return pd.DataFrame(found, copy=False)


class Places:
    """Where each worker's own indices of answers are among the answers of the whole recording."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._of: dict[int, Any] = {}

    @staticmethod
    def check(lowest: int, highest: int) -> None:
        """Raise NoAnswerError where indices between these cannot be a worker's."""
        if not OTHER <= lowest <= highest < MOST:
            raise NoAnswerError(f"column {ANSWER} has a value that no run can have")

    def __call__(self, worker: int, indices: Any) -> Any:
        """Translate a worker's own indices."""
        places = self._of.get(worker)
        if places is None:
            found = [self._answers.place(worker, index) for index in range(OTHER, MOST)]
            places = self._of[worker] = np.array(found, dtype=np.int32)
        return places.take(indices.astype(np.int64) - OTHER, mode="clip")
