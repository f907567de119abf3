"""Writes a table as CSV or Parquet, in the memory of a few batches.

Text in a recording may come from a stranger. In CSV, control characters become escapes, and what a spreadsheet would
take for a formula gets an apostrophe before it. Parquet keeps every value as it was recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from harness.escaping import for_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TOGETHER = 1 << 16  # rows that are written at once: Parquet's groups should not be small
_FORMULA = ("=", "+", "-", "@")


def write_csv(file: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a header and all rows; return how many rows."""
    rows = 0
    with pa_csv.CSVWriter(file, schema) as writer:
        for table in _gathered(schema, batches):
            writer.write_table(_harmless(table))
            rows += len(table)
    return rows


def write_parquet(file: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write all rows, compressed; return how many."""
    rows = 0
    with pa_parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in _gathered(schema, batches):
            writer.write_table(table)
            rows += len(table)
    return rows


def cell(text: str) -> str:
    """Return a text for a cell of a CSV file."""
    text = for_line(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _gathered(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _TOGETHER:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _harmless(table: pa.Table) -> pa.Table:
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(at, field, _escaped(table.column(at).combine_chunks()))
    return table


def _escaped(texts: pa.Array) -> pa.Array:
    coded = texts.dictionary_encode()  # most columns have a few words
    words = [None if word is None else cell(word) for word in coded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(coded.indices)
