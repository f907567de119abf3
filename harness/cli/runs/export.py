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
from harness.cli.runs.standing import standing
from harness.errors import UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.recording.read import Recording

_ENDS = {"csv": "csv", "parquet": "parquet", "perfetto": "json"}


@root.command("export")
@run_argument()
@click.option("--to", "form", type=click.Choice(tuple(_ENDS)), required=True, help="The format.")
@click.option(
    "--table", type=click.Choice(("hits", "connections", "streams", "events")), default=None,
    help="What csv and parquet hold.  [hits]",
)  # fmt: skip
@click.option(
    "--out",
    metavar="FILE|-",
    help="The file, or - for standard output.  [RUN-TABLE.csv or so, in this folder]",
)
@click.option(
    "--no-causes", is_flag=True,
    help="Leave `cause` and `phase` empty: do not judge, which needs the memory for all hits at once.",
)  # fmt: skip
def export(directory: Path, *, form: str, table: str | None, out: str | None, no_causes: bool) -> int:
    """Write RUN for other tools: every request, connection, stream or event as a table, or a trace for Perfetto.

    RUN is a run's folder or a name, such as last: see `zdtest report --help`. docs/history.md lists the columns.
    """
    from harness.recording.read import Recording  # noqa: PLC0415  brings pandas

    if form == "perfetto" and table:
        raise UsageError("--table goes with --to csv and --to parquet: a trace holds everything")
    if form == "perfetto" and no_causes:
        raise UsageError("--no-causes goes with --to csv and --to parquet: a trace shows what the judge says")
    recording = Recording.open(directory)
    if table == "streams" and not recording.run.stream:
        raise UsageError(
            "--table streams: this run sent requests and held no streams; leave it out for its requests"
        )
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
        return trace.write(file, trace.trace(recording, standing(recording.path), causes))
    phases = standing(recording.path).timeline.phases if needs_causes else ()
    schema, batches = rows.tables(recording, rows.Known(causes, phases))[what]
    write = tables.write_csv if form == "csv" else tables.write_parquet
    return write(file, schema, batches())
