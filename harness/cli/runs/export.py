"""`zdtest export`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from harness.cli.root import root, show
from harness.cli.runname import run_argument
from harness.cli.runs.outfile import replaced
from harness.errors import RecordingError, UsageError
from harness.model import ExitCode
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.verdict.judgement import Judgement
    from harness.recording.read import Recording

_MOST = 64 * folder.MIB
_ENDS = {"csv": "csv", "parquet": "parquet", "perfetto": "json"}


@root.command("export")
@run_argument()
@click.option("--to", "form", type=click.Choice(tuple(_ENDS)), required=True, help="The format.")
@click.option(
    "--table", type=click.Choice(("hits", "connections", "events")), default=None,
    help="What csv and parquet hold.  [hits]",
)  # fmt: skip
@click.option(
    "--out",
    metavar="FILE|-",
    help="The file, or - for standard output.  [RUN-TABLE.csv or so, in this folder]",
)
@click.option("--no-causes", is_flag=True, help="Do not judge, which needs the memory for all hits at once.")
def export(directory: Path, *, form: str, table: str | None, out: str | None, no_causes: bool) -> int:
    """Write RUN for other tools: every request, connection or event as a table, or a trace that ui.perfetto.dev opens.

    RUN is the folder of a run, or its name: see `zdtest report --help`. docs/history.md lists the columns.
    """
    from harness.recording.read import Recording  # noqa: PLC0415  brings pandas

    if form == "perfetto" and table:
        raise UsageError("--table goes with --to csv and --to parquet: a trace holds everything")
    recording = Recording.open(directory)
    what = "trace" if form == "perfetto" else table or "hits"
    path = out or f"{recording.path.resolve().name}-{what}.{_ENDS[form]}"
    if path == "-" and form == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is no text for a terminal: redirect it, or give a file with --out")
    with _opened(path) as file:
        count = _written(file, recording, form, what, judged=not no_causes)
    if path != "-":
        show(f"wrote {path}: {count:,} {'events' if form == 'perfetto' else what}")
    return ExitCode.PASS


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with replaced(Path(path)) as file:
            yield file


def _written(file: BinaryIO, recording: Recording, form: str, what: str, *, judged: bool) -> int:
    from harness.export import rows, tables, trace  # noqa: PLC0415  brings pandas
    from harness.judge.verdict.causesofhits import causes_of_hits  # noqa: PLC0415

    needs_causes = judged and what in {"hits", "trace"}
    causes = causes_of_hits(recording) if needs_causes else {}
    if form == "perfetto":
        return trace.write(file, trace.trace(recording, _judgement(recording), causes))
    phases = _judgement(recording).timeline.phases if needs_causes else ()
    schema, batches = rows.tables(recording, rows.Known(causes, phases))[what]
    write = tables.write_csv if form == "csv" else tables.write_parquet
    return write(file, schema, batches())


def _judgement(recording: Recording) -> Judgement:
    """Return the judgement that the run has, or judge it."""
    from harness.judge.verdict.judgement import from_json, judge  # noqa: PLC0415

    try:
        return from_json(folder.read(recording.path, "verdict.json", _MOST))
    except (FileNotFoundError, RecordingError):
        return judge(recording)
