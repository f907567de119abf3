"""`-o DIR` and `-o s3://BUCKET/PREFIX` of `zdtest run`: recorded here first, stored there when it is over."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.root import warn
from harness.errors import RecordingError, UsageError
from harness.storage.address import Address, is_address, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.storage.door import Store

RESULTS = Path("results")


@dataclass(frozen=True, slots=True)
class Output:
    """Where runs are recorded, and where they are stored afterwards, if anywhere."""

    folder: Path = RESULTS
    address: Address | None = None


@dataclass(slots=True)
class Storing:
    """What is to be stored. `began` is the run's folder once there is one; `left`: the user would not wait."""

    began: Path | None = None
    left: bool = False

    def begin(self, path: Path) -> None:
        """Take in the run's folder."""
        self.began = path


def output_of(given: Sequence[str]) -> Output:
    """Read the values of -o: at most one folder, and at most one address. Raises UsageError."""
    folders = [text for text in given if not is_address(text)]
    addresses = [text for text in given if is_address(text)]
    if len(folders) > 1 or len(addresses) > 1:
        raise UsageError("-o takes one folder, and one address of an object storage beside it")
    return Output(
        Path(folders[0]) if folders else RESULTS,
        parse(addresses[0]) if addresses else None,
    )


def _read(_: click.Context, __: click.Parameter, given: Any) -> Output:
    return output_of(given)


run_output_option = click.option(
    "-o",
    "--output",
    multiple=True,
    metavar="DIR|URL",
    callback=_read,
    help="Folder for the runs. With s3://, gs:// or az://BUCKET/PREFIX each run is also stored there when it is over; "
    "give -o twice for both.  [results]",
)


@contextlib.contextmanager
def storing(address: Address | None) -> Iterator[Storing]:
    """See, before a run, that it can be stored; store it when the block is left, however that happens.

    Raises UsageError if it cannot be. What goes wrong afterwards is said, and changes neither verdict nor exit code:
    the recording is still here.
    """
    about = Storing()
    if address is None:
        yield about
        return
    from harness.storage.door import Store  # noqa: PLC0415  keeps `--help` light
    from harness.storage.upload import check  # noqa: PLC0415

    store = Store(address)
    try:
        check(store)
    except RecordingError as error:
        raise UsageError(f"runs cannot be stored there: {error}") from None
    try:
        yield about
    finally:
        if about.began and about.began.is_dir():
            _store(about.began, store, left=about.left)


def _store(path: Path, store: Store, *, left: bool) -> None:
    from harness.storage.upload import upload  # noqa: PLC0415

    again = f"it is in {path}; store it with: zdtest upload {path} {store.address}"
    if left:
        warn(f"zdtest: not stored: {again}")
        return
    try:
        done = upload(path, store)
    except RecordingError as error:
        warn(f"zdtest: the run could not be stored: {error}; {again}")
    except KeyboardInterrupt:
        warn(f"zdtest: interrupted before the run was stored: {again}")
    else:
        warn(f"stored {done.where}: {done.files} files, {done.bytes / 1e6:.1f} MB")
